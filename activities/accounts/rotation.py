"""Planning a new identity for accounts, and reading again whether they have it. Shared by the steps that need one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from activities.accounts.identity import ACCOUNT, IDENTITY, UID, account, fields_of, missing_fields
from activities.accounts.restart import AccountName, Restarts, plan_restarts
from activities.accounts.tokens import ACCOUNT_UID, annotations_of, stale_tokens, token_change, tokens_of
from activities.assess.policy_file import PolicyFile
from activities.doors import Doors
from activities.steps import beat
from activities.targets import read_targets
from clients.kubernetes import JsonObject
from contracts.common import Failure
from contracts.steps import StepRequest, Task, task_id
from plans.causes import is_protected
from plans.model import Change, ResourceRef
from plans.rulings import matches_any
from plans.situation import listed, words

UNTIL_THEN = "An API server may still honour an old token for about ten seconds."


class Rotation(NamedTuple):
    """What is to be done about some accounts, and what only people can do."""

    changes: tuple[Change, ...] = ()
    tasks: tuple[Task, ...] = ()
    notes: tuple[str, ...] = ()
    gone: tuple[AccountName, ...] = ()
    """Accounts that do not exist, and that nobody here has removed."""


class Rotating:
    """Plans and checks new identities."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._kubernetes = doors.kubernetes
        self._policy = PolicyFile(doors.settings.policy)

    def plan(self, request: StepRequest, accounts: Collection[AccountName], *, renew: bool = False) -> Rotation:
        """A new identity for each account, and new tokens for the pods that live.

        Args:
            request: The step, and what its path has changed so far.
            accounts: The accounts.
            renew: Make the token Secrets anew instead of deleting them: it is their values that are known, and not the
                account that is compromised.

        Raises:
            Throttled, Unavailable: The API server does not answer.
        """
        changes: list[Change] = []
        notes: list[str] = []
        gone: list[AccountName] = []
        free = [a for a in sorted(set(accounts)) if not self._protected(a)]
        for name in free:
            planned = self._plan_one(request, name, renew)
            if planned is None:
                gone.append(name)
            else:
                changes += planned[0]
                notes += planned[1]
        there = [a for a in free if a not in gone]
        fresh = {(c.resource.namespace, c.resource.name) for c in changes if c.resource.kind == IDENTITY}
        restarts = self._restarts(request, there, fresh)
        if changes:
            notes.append(UNTIL_THEN)
        refused = [_by_hand(request, a) for a in sorted(set(accounts)) if self._protected(a)]
        notes += [t.text for t in (*restarts.tasks, *refused)]
        return Rotation(
            changes=(*changes, *restarts.changes),
            tasks=(*restarts.tasks, *refused),
            notes=(*notes, *restarts.notes),
            gone=tuple(gone),
        )

    def tasks(self, request: StepRequest, accounts: Collection[AccountName]) -> tuple[Task, ...]:
        """What is left to people after the step."""
        free = [a for a in accounts if not self._protected(a)]
        refused = [_by_hand(request, a) for a in sorted(set(accounts)) if self._protected(a)]
        return (*self._restarts(request, free).tasks, *refused)

    def unproved(self, request: StepRequest) -> list[Failure]:
        """What of the planned identities is not as it should be, as read again."""
        failures = []
        for change in request.changes:
            if change.resource.kind != IDENTITY:
                continue
            beat()
            ref, what = change.resource, str(change.resource)
            live = account(self._kubernetes, ref.namespace, ref.name)
            if live is None:
                failures.append(_unproved(request, what, "the account does not exist; `retry` makes it again"))
                continue
            uid = str(live["metadata"]["uid"])
            if uid == ref.uid:
                failures.append(_unproved(request, what, f"the account still has the uid {uid}"))
                continue
            wanted = change.after[ACCOUNT]
            assert isinstance(wanted, dict)
            lacking = missing_fields(live, wanted)
            # The list of Secrets is the controller's too: it takes names off when their Secrets are gone.
            if names := sorted(set(lacking) - {"/secrets"}):
                failures.append(_unproved(request, what, f"the account lacks what it had in {', '.join(names)}"))
            if left := stale_tokens(self._doors.bindings, ref.namespace, ref.name, uid):
                failures.append(_unproved(request, what, f"token Secrets of the old identity are left: {listed(left)}"))
        return failures

    def _plan_one(self, request: StepRequest, name: AccountName, renew: bool) -> tuple[list[Change], list[str]] | None:
        made = [
            c for c in request.made
            if c.resource.kind == IDENTITY and (c.resource.namespace, c.resource.name) == name
            and c.step == request.step.step
        ]  # fmt: skip
        live = account(self._kubernetes, *name)
        if live is None:
            # Killed, or refused, between the two calls: what it had stands in the history.
            return ([made[-1]], [f"{made[-1].resource} is gone, and is made again."]) if made else None
        tokens = list(tokens_of(self._doors.bindings, *name))
        uid = live["metadata"]["uid"]
        done = made and not request.again and all(c.resource.uid != uid for c in made)
        if done:
            # This incident gave it its identity already; only what is left of the old one is still to go.
            stale = [t for t in tokens if annotations_of(t).get(ACCOUNT_UID, uid) != uid]
            return [token_change(t, request.step.step, renew=renew) for t in stale], []
        change = _new_identity(live, [] if renew else tokens, request.step.step)
        around = [token_change(t, request.step.step, renew=renew) for t in tokens]
        # Deleted before the account; made anew after it, because only then there is an account to fill them for.
        ordered = [change, *around] if renew else [*around, change]
        return ordered, _notes(change.resource, live, tokens, renew)

    def _restarts(
        self, request: StepRequest, accounts: Sequence[AccountName], fresh: Collection[AccountName] = ()
    ) -> Restarts:
        held = {p.uid for p in read_targets(self._doors.store, request.pods)}
        step, made = request.step.step, request.made
        return plan_restarts(self._kubernetes, accounts, step=step, held=held, made=made, fresh=fresh)

    def _protected(self, name: AccountName) -> bool:
        policy, _ = self._policy.current()
        namespaces = (*policy.protected.namespaces, self._doors.settings.namespace)
        return matches_any(name[0], namespaces) or is_protected(policy, [f"system:serviceaccount:{name[0]}:{name[1]}"])


def _new_identity(live: JsonObject, tokens: Sequence[JsonObject], step: str) -> Change:
    metadata, fields = live["metadata"], fields_of(live)
    deleted = {t["metadata"]["name"] for t in tokens}
    if "secrets" in fields:
        fields["secrets"] = [s for s in fields["secrets"] if s.get("name") not in deleted]
    return Change(
        step=step,
        resource=ResourceRef(
            kind=IDENTITY, namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"]
        ),
        summary="the account is recreated with its fields, and all its tokens end",
        before={UID: metadata["uid"]},
        after={UID: None, ACCOUNT: fields},
    )


def _notes(ref: ResourceRef, live: JsonObject, tokens: Sequence[JsonObject], renew: bool) -> list[str]:
    what = f"{words(ref.namespace)}/{words(ref.name)}"
    notes = []
    if tokens:
        names = listed([str(t["metadata"]["name"]) for t in tokens])
        becomes = "get new tokens" if renew else "are deleted"
        notes.append(f"Whoever uses a token of {what} outside the cluster loses it: {names} {becomes}.")
    if ref.name == "default":
        notes.append(f"{what} is the account of every pod of the namespace that names none.")
    finalizers = live["metadata"].get("finalizers") or ()
    if finalizers:
        notes.append(f"{what} goes only when whoever set them lets go of {listed([str(f) for f in finalizers])}.")
    if any(o.get("controller") for o in live["metadata"].get("ownerReferences") or ()):
        notes.append(f"{what} has a controller, which may make it again by itself; its fields are then added.")
    return notes


def _by_hand(request: StepRequest, name: AccountName) -> Task:
    what = f"ServiceAccount {words(name[0])}/{words(name[1])}"
    text = f"Rotate {what} by hand: it is protected, so Firebreak leaves it as it is."
    return Task(
        id=task_id(request.step.step, f"ServiceAccount {name[0]}/{name[1]}"),
        step=request.step.step,
        text=text,
        owner=f"namespace {words(name[0])}",
    )


def _unproved(request: StepRequest, target: str, message: str) -> Failure:
    return Failure(step=request.step.step, target=target, code="Conflict", message=message)
