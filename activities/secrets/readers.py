"""Which Secrets an identity can read, or could before this incident cut it off. The API server itself is asked.

What the path has taken away already is read from its own record: the roles behind the bindings that it edited. Values
are never asked for (guide U7).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from activities.access_review import access_review
from activities.doors import Doors
from activities.secrets.taken import Identity, taken_away, with_lost_groups
from clients.kubernetes import JsonObject
from clients.paths import list_path
from findings.subject import Subject, SubjectKind
from plans.causes import account_username
from plans.model import Change

SecretName = tuple[str, str]
"""Namespace and name."""

_VERBS = ("get", "list")
"""Either gives values. Who may only watch gets them too, but no role in use grants that alone."""
_MOST_REVIEWS = 1000
_PARALLEL = 8


@dataclass
class Readable:
    """What can be read: all of some namespaces ("" is every one), and single Secrets."""

    namespaces: set[str] = field(default_factory=set)
    names: set[SecretName] = field(default_factory=set)
    unasked: int = 0
    """How many Secrets were not asked about, because they are too many."""

    def covers(self, secret: SecretName) -> bool:
        """Whether a Secret is among them."""
        return bool({"", secret[0]} & self.namespaces) or secret in self.names


def identity_of(subject: Subject) -> Identity:
    """An identity of a finding as the API server knows it."""
    if subject.kind is SubjectKind.SERVICE_ACCOUNT:
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{subject.namespace}", "system:authenticated")
        return Identity(account_username(subject), groups)
    return Identity(subject.username or subject.name, tuple(dict.fromkeys((*subject.groups, "system:authenticated"))))


def all_secrets(doors: Doors) -> list[JsonObject]:
    """The metadata of every Secret of the cluster."""
    return list(doors.bindings.metadata(list_path("Secret")))


def name_of(secret: JsonObject) -> SecretName:
    """Namespace and name of an object."""
    return str(secret["metadata"]["namespace"]), str(secret["metadata"]["name"])


def readable(
    doors: Doors, who: Identity, secrets: Sequence[JsonObject], made: Iterable[Change], near: str = ""
) -> Readable:
    """What an identity can read, and could before.

    Args:
        doors: The clients.
        who: The identity.
        secrets: Every Secret's metadata.
        made: What the path has changed so far.
        near: A namespace that is asked about first.

    Raises:
        Throttled, Unavailable: The API server does not answer.
    """
    found, changes = Readable(), tuple(made)
    who = with_lost_groups(who, changes)
    for lost in taken_away(doors, who, changes):
        if lost.names:
            there = map(name_of, secrets)
            found.names |= {s for s in there if s[1] in lost.names and lost.namespace in ("", s[0])}
        else:
            found.namespaces.add(lost.namespace)
    if "" in found.namespaces or _any_allowed(doors, who, "", ""):
        found.namespaces.add("")
        return found
    candidates = sorted({name_of(s) for s in secrets}, key=lambda n: (n[0] != near, n))
    spaces = [ns for ns in dict.fromkeys(ns for ns, _ in candidates) if ns not in found.namespaces]
    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="who-can") as pool:
        asked = spaces[: _MOST_REVIEWS // len(_VERBS)]
        answers = pool.map(lambda ns: _any_allowed(doors, who, ns, ""), asked)
        found.namespaces |= {ns for ns, yes in zip(asked, answers, strict=True) if yes}
        # Rules may name single Secrets (resourceNames); only `get` can be granted that way and be of use.
        rest = [c for c in candidates if not found.covers(c)]
        single = rest[:_MOST_REVIEWS]
        answers = pool.map(lambda c: _allowed(doors, who, "get", *c), single)
        found.names |= {c for c, yes in zip(single, answers, strict=True) if yes}
    found.unasked = len(rest) - len(single)
    return found


def mounted(doors: Doors, subject: Subject) -> set[SecretName]:
    """The Secrets that pods of a service account have in files and variables: whoever is in a pod needs no API."""
    if subject.kind is not SubjectKind.SERVICE_ACCOUNT:
        return set()
    path, selector = list_path("Pod", subject.namespace), f"spec.serviceAccountName={subject.name}"
    pods = doors.kubernetes.items(path, fieldSelector=selector)
    return {(subject.namespace, name) for pod in pods for name in secrets_in(pod.get("spec") or {})}


def secrets_in(spec: JsonObject) -> Iterator[str]:
    """The names of the Secrets that a pod's spec refers to."""
    for volume in spec.get("volumes") or ():
        yield from _named(volume.get("secret"), "secretName")
        yield from _named((volume.get("csi") or {}).get("nodePublishSecretRef"), "name")
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _named(source.get("secret"), "name")
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(group) or ():
            for source in container.get("envFrom") or ():
                yield from _named(source.get("secretRef"), "name")
            for variable in container.get("env") or ():
                yield from _named((variable.get("valueFrom") or {}).get("secretKeyRef"), "name")
    for reference in spec.get("imagePullSecrets") or ():
        yield from _named(reference, "name")


def _named(reference: JsonObject | None, key: str) -> Iterator[str]:
    if reference and reference.get(key):
        yield str(reference[key])


def _any_allowed(doors: Doors, who: Identity, namespace: str, name: str) -> bool:
    return any(_allowed(doors, who, verb, namespace, name) for verb in _VERBS)


def _allowed(doors: Doors, who: Identity, verb: str, namespace: str, name: str) -> bool:
    asked = {"verb": verb, "resource": "secrets", "namespace": namespace, "name": name}
    return access_review(doors.kubernetes, who.username, who.groups, **asked).allowed
