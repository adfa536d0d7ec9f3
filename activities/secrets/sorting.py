"""Sorting the Secrets that somebody could read by who makes new ones, and the tasks for those that only people can."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from activities.accounts.restart import AccountName
from activities.accounts.tokens import ACCOUNT_NAME, TOKEN_TYPE, annotations_of
from activities.doors import Doors
from activities.secrets.in_aws import sort_in_aws
from activities.secrets.providers import Source, source_of
from activities.secrets.readers import (
    SecretName,
    all_secrets,
    identity_of,
    mounted,
    name_of,
    readable,
)
from clients.kubernetes import JsonObject
from clients.paths import list_path
from contracts.steps import StepRequest, Task, task_id
from findings.subject import Subject, SubjectKind, subjects_of
from plans.model import Change, TargetKind
from plans.situation import NEVER_TOUCHED, listed, words

MOST_TASKS = 40
"""Above so many, one task a namespace and owner names several Secrets."""
_MOST_NAMES = 20
_MOST_ROTATIONS, _MOST_ACCOUNTS = 200, 50
"""What one step has rotated; the rest is left to people, and its plan still fits into a history."""
_TOO_MANY = "they are too many for one step"
_MANAGED_BY = "app.kubernetes.io/managed-by"
_RELEASE = "meta.helm.sh/release-name"


class Sorted(NamedTuple):
    """What becomes of the Secrets that the identities of a step could read."""

    changes: tuple[Change, ...] = ()
    accounts: frozenset[AccountName] = frozenset()
    """Accounts whose token Secrets could be read, and which need a new identity for new tokens."""
    tasks: tuple[Task, ...] = ()
    notes: tuple[str, ...] = ()


class _ForPeople(NamedTuple):
    secret: JsonObject
    why: str


def sort_secrets(doors: Doors, request: StepRequest) -> Sorted:
    """Find the Secrets that the step's identities could read, and who makes new ones. Changes nothing.

    Raises:
        Throttled, Unavailable: A service does not answer.
    """
    subjects, step = _subjects(request), request.step.step
    secrets = all_secrets(doors)
    notes: list[str] = []
    known = _known(doors, request, subjects, secrets, notes)
    own = {(s.namespace, s.name) for s in subjects if s.kind is SubjectKind.SERVICE_ACCOUNT}
    tokens = _token_secrets(doors)
    changes: dict[str, Change] = {}
    accounts: set[AccountName] = set()
    people: list[_ForPeople] = []
    for secret in secrets:
        name = name_of(secret)
        if name not in known:
            continue
        if secret["metadata"]["uid"] in tokens:
            owner = (name[0], annotations_of(secret).get(ACCOUNT_NAME, ""))
            if owner in own:
                continue  # The step recreate_account of the same path deletes them.
            if owner[1] == "default":
                people.append(_ForPeople(secret, "it is a token of the account of every pod that names none"))
            elif len(accounts) < _MOST_ACCOUNTS or owner in accounts:
                accounts.add(owner)
            else:
                people.append(_ForPeople(secret, _TOO_MANY))
            continue
        if len(changes) < _MOST_ROTATIONS:
            source = source_of(doors, secret, step, request.incident.workflow_id)
        else:
            source = Source(why=_TOO_MANY)
        changes.update({c.key: c for c in source.changes})
        notes += source.notes
        if not source.changes or source.check:
            people.append(_ForPeople(secret, source.check or source.why))
    notes.insert(0, _counts(len(known), len(changes), accounts, len(people)))
    in_aws = sort_in_aws(doors, request, subjects)
    changes.update({c.key: c for c in in_aws.changes})
    return Sorted(
        changes=tuple(changes.values()),
        accounts=frozenset(accounts),
        tasks=(*_tasks(step, people), *in_aws.tasks),
        notes=tuple(dict.fromkeys(n for n in (*notes, *in_aws.notes) if n)),
    )


def _subjects(request: StepRequest) -> list[Subject]:
    wanted = {(t.namespace, t.name, t.uid) for t in request.step.targets}
    found = [
        s
        for s in subjects_of(request.finding)
        if s.kind not in NEVER_TOUCHED and (s.namespace, s.name, s.principal_arn) in wanted
    ]
    # The accounts of the finding's pods are targets without being subjects of the finding.
    named = {(s.namespace, s.name) for s in found}
    return found + [
        Subject(kind=SubjectKind.SERVICE_ACCOUNT, namespace=t.namespace, name=t.name)
        for t in request.step.targets
        if t.kind is TargetKind.SERVICE_ACCOUNT and (t.namespace, t.name) not in named
    ]


def _known(
    doors: Doors, request: StepRequest, subjects: Iterable[Subject], secrets: Sequence[JsonObject], notes: list[str]
) -> set[SecretName]:
    found: set[SecretName] = set()
    there = {name_of(s) for s in secrets}
    for subject in subjects:
        # A service account is never cut off: what the path took away, it took from others.
        made = () if subject.kind is SubjectKind.SERVICE_ACCOUNT else request.made
        access = readable(doors, identity_of(subject), secrets, made, near=subject.namespace)
        found |= {n for n in there if access.covers(n)} | (mounted(doors, subject) & there)
        if access.unasked:
            notes.append(
                f"{access.unasked} more Secrets were not asked about: too many for one review of {words(subject.name)}."
            )
    return found


def _token_secrets(doors: Doors) -> set[str]:
    # A list of metadata does not say the type; the server selects by it.
    found = doors.bindings.metadata(list_path("Secret"), fieldSelector=f"type={TOKEN_TYPE}")
    return {str(s["metadata"]["uid"]) for s in found}


def _tasks(step: str, people: Sequence[_ForPeople]) -> list[Task]:
    if len(people) <= MOST_TASKS:
        return [_task(step, one) for one in people]
    groups: dict[tuple[str, str], list[_ForPeople]] = defaultdict(list)
    for one in people:
        groups[(name_of(one.secret)[0], owner_of(one.secret))].append(one)
    if len(groups) > MOST_TASKS:
        # Nobody works through hundreds of tasks; whoever looks after a namespace can share them out.
        groups = defaultdict(list)
        for one in people:
            namespace = name_of(one.secret)[0]
            groups[(namespace, f"namespace {words(namespace)}")].append(one)
    return [_group_task(step, namespace, owner, members) for (namespace, owner), members in sorted(groups.items())]


def _task(step: str, one: _ForPeople) -> Task:
    namespace, name = name_of(one.secret)
    why = f"; {one.why}" if one.why else ""
    return Task(
        id=task_id(step, f"Secret {namespace}/{name}"),
        step=step,
        text=f"Rotate the Secret {words(namespace)}/{words(name)}: it could be read{why}.",
        owner=owner_of(one.secret),
    )


def _group_task(step: str, namespace: str, owner: str, members: Sequence[_ForPeople]) -> Task:
    names = sorted(name_of(m.secret)[1] for m in members)
    return Task(
        id=task_id(step, f"Secrets {namespace} {owner}"),
        step=step,
        text=f"Rotate {len(names)} Secrets of {words(namespace)} that could be read: {listed(names, _MOST_NAMES)}.",
        owner=owner,
    )


def owner_of(secret: JsonObject) -> str:
    """Who looks after a Secret, as far as it says so: its controller, a release, a tool, or its namespace."""
    metadata = secret["metadata"]
    labels, annotations = metadata.get("labels") or {}, annotations_of(secret)
    namespace = words(str(metadata["namespace"]))
    for owner in metadata.get("ownerReferences") or ():
        return f"{words(str(owner.get('kind', '')))} {namespace}/{words(str(owner.get('name', '')))}"
    if annotations.get(_RELEASE):
        return f"Helm release {words(str(annotations[_RELEASE]))} in {namespace}"
    if labels.get(_MANAGED_BY):
        return f"{words(str(labels[_MANAGED_BY]))} in {namespace}"
    return f"namespace {namespace}"


def _counts(known: int, changes: int, accounts: set[AccountName], people: int) -> str:
    tokens = (
        f", token Secrets of {listed([f'{ns}/{n}' for ns, n in sorted(accounts)])} get new tokens" if accounts else ""
    )
    return f"{known} Secrets could be read: {changes} rotations are started{tokens}, {people} are left to people."
