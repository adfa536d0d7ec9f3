"""What an identity may still do, as the API server itself answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from activities.access_review import Answer, access_review
from clients.kubernetes import JsonObject, Kubernetes
from clients.paths import object_path
from errors import InputError, TargetGone
from plans.situation import clause, words

EVERYBODY: Final = "system:authenticated"
"""The group of everybody who has signed in."""
_NOBODY: Final = "firebreak:nobody"
"""A name that nobody has: what it may do, everybody may."""
_MOST: Final = 24


class Question(NamedTuple):
    """Whether somebody may do one thing; `own` when it comes from a role that the subject had."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    name: str = ""
    own: bool = False

    def __str__(self) -> str:
        """As people say it."""
        where = f" in {self.namespace}" if self.namespace else ""
        return words(f"{self.verb} {self.resource}{'.' + self.group if self.group else ''}{where}")


_ALWAYS: Final = (Question("*", "*", "*"), Question("get", "secrets"), Question("create", "pods"))


def questions(kubernetes: Kubernetes, bindings: Iterable[JsonObject]) -> list[Question]:
    """What is asked about a subject: what always matters, and what the roles that it was bound to allowed."""
    asked = list(_ALWAYS)
    for binding in bindings:
        namespace = binding["metadata"].get("namespace", "")
        asked += [q._replace(namespace=namespace) for q in _ALWAYS[1:] if namespace]
        # A role that is gone allows nothing.
        with suppress(TargetGone, InputError):
            role = binding.get("roleRef") or {}
            found = kubernetes.get(object_path(role["kind"], namespace if role["kind"] == "Role" else "", role["name"]))
            asked += [_of_rule(rule, namespace) for rule in found.get("rules") or () if rule.get("resources")]
    return list(dict.fromkeys(asked))[:_MOST]


def allowed(
    kubernetes: Kubernetes, username: str, groups: Sequence[str], asked: Iterable[Question], beat: Callable[[], None]
) -> list[str]:
    """What a user may do, a sentence each, with the API server's own reason.

    Raises:
        Forbidden: We may not ask.
    """
    found = []
    for question in asked:
        beat()
        may, why = _review(kubernetes, username, groups, question)
        # Some things everybody may, and a role may have allowed them once more.
        if may and not (question.own and _review(kubernetes, _NOBODY, [EVERYBODY], question).allowed):
            found.append(f"{words(username)} may still {question}{': ' + clause(why) if why else ''}.")
    return found


def _review(kubernetes: Kubernetes, username: str, groups: Sequence[str], question: Question) -> Answer:
    resource, _, subresource = question.resource.partition("/")
    return access_review(
        kubernetes,
        username,
        groups,
        verb=question.verb,
        group=question.group,
        resource=resource,
        subresource=subresource,
        namespace=question.namespace,
        name=question.name,
    )


def _of_rule(rule: JsonObject, namespace: str) -> Question:
    def first(key: str) -> str:
        return str(next(iter(rule.get(key) or ()), ""))

    return Question(first("verbs"), first("resources"), first("apiGroups"), namespace, first("resourceNames"), own=True)
