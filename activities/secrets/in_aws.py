"""Secrets and parameters of AWS for an identity of IAM: what it read is rotated or a task, the rest is for people.

Only the policies of the account can tell what it could have read, and they are many and interlocked; that is left to
IAM's own simulator and to somebody who judges what it says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from activities.doors import Doors
from activities.secrets.providers import Source, managed_source
from activities.secrets.read_in_aws import ReadInAws, read_in_aws
from activities.user.principals import Principal, principal_in
from contracts.steps import StepRequest, Task, task_id
from errors import FirebreakError, Throttled, Unavailable
from findings.subject import Subject, SubjectKind
from plans.model import Change
from plans.situation import listed, words

_MOST_SECRETS = 40
_MOST_NAMES = 20


class InAws(NamedTuple):
    """What becomes of secrets outside of the cluster."""

    changes: tuple[Change, ...] = ()
    tasks: tuple[Task, ...] = ()
    notes: tuple[str, ...] = ()


def sort_in_aws(doors: Doors, request: StepRequest, subjects: Iterable[Subject]) -> InAws:
    """What the identities have read in AWS, and who makes new ones. Changes nothing.

    Raises:
        Throttled, Unavailable: A service does not answer.
    """
    changes: dict[str, Change] = {}
    tasks: list[Task] = []
    notes: list[str] = []
    for subject in subjects:
        principal = principal_in(subject, request.finding, doors.settings.account)
        if principal is None or subject.kind is SubjectKind.SERVICE_ACCOUNT:
            continue
        read = read_in_aws(doors, subject, request.finding)
        for name in read.secrets[:_MOST_SECRETS]:
            source = _source(doors, request, name)
            changes.update({c.key: c for c in source.changes})
            if not source.changes:
                text = f"Rotate the secret {words(name)}: it was read; {source.why}."
                tasks.append(_task(request, principal, text, identity=f"AWS {principal} {name}"))
        for what, names in _by_hand(read):
            tasks.append(_task(request, principal, f"Replace {what} that were read: {listed(names, _MOST_NAMES)}."))
        tasks.append(_review(request, principal, read))
        if any(read[:3]):
            notes.append(f"CloudTrail records that {words(str(principal))} read {_count(read)} in AWS.")
    return InAws(tuple(changes.values()), tuple(tasks), tuple(notes))


def _source(doors: Doors, request: StepRequest, name: str) -> Source:
    try:
        return managed_source(doors, (name,), request.step.step, request.incident.workflow_id)
    except (Throttled, Unavailable):
        raise
    except FirebreakError as error:
        return Source(why=f"Secrets Manager does not say how it is rotated: {error.message}")


def _by_hand(read: ReadInAws) -> Iterable[tuple[str, tuple[str, ...]]]:
    found = (
        ("secrets of Secrets Manager", read.secrets[_MOST_SECRETS:]),
        ("secrets of Secrets Manager in other regions", read.elsewhere),
        ("parameters of Systems Manager", read.parameters),
    )
    return [(what, names) for what, names in found if names]


def _review(request: StepRequest, principal: Principal, read: ReadInAws) -> Task:
    unknown = f" {read.unknown[:1].upper()}{read.unknown[1:]}." if read.unknown else ""
    return _task(
        request,
        principal,
        f"Find out which other secrets of Secrets Manager and parameters of Systems Manager {words(str(principal))} "
        f"could read (IAM policy simulator), and rotate them.{unknown}",
        identity=f"AWS {principal}",
    )


def _task(request: StepRequest, principal: Principal, text: str, identity: str = "") -> Task:
    step = request.step.step
    owner = f"account {principal.account}"
    return Task(id=task_id(step, identity or f"AWS {principal} {text}"), step=step, text=text, owner=owner)


def _count(read: ReadInAws) -> str:
    secrets, parameters = len(read.secrets) + len(read.elsewhere), len(read.parameters)
    return f"{secrets} secret{'' if secrets == 1 else 's'} and {parameters} parameter{'' if parameters == 1 else 's'}"
