"""The activities `recreate_account` and `rotate_accounts`: a new identity for service accounts (guide U6 and N3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from temporalio import activity

from activities.accounts.identity import IDENTITY
from activities.accounts.restart import RESTARTED, AccountName
from activities.accounts.rotation import Rotating
from activities.accounts.tokens import TOKEN_SECRET
from activities.doors import Doors
from activities.node.pods import pods_on
from activities.steps import Planner, StepRoom
from activities.user.holders import accounts_at
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from plans.model import Change, TargetKind
from plans.situation import listed


class AccountActivities(StepRoom):
    """Ends every token of service accounts, and lets the pods that live get new ones."""

    def __init__(self, doors: Doors) -> None:
        super().__init__(doors)
        self._rotating = Rotating(doors)

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        named = dict.fromkeys(
            ("user.recreate_account", "pod.recreate_account", "image.recreate_account"), self._plan_named
        )
        return {**named, "node.rotate_accounts": self._plan_of_nodes}

    @activity.defn(name=ActivityName.RECREATE_ACCOUNT, no_thread_cancel_exception=True)
    def recreate_account(self, request: StepRequest) -> StepOutcome:
        """Give the accounts of the finding a new identity, restart their healthy pods, and read both again.

        Raises:
            Paused, Throttled, Unavailable: The cluster, not an account, stands in the way; a retry goes on.
        """
        return self._rotate(request, sorted(accounts_at(request)))

    @activity.defn(name=ActivityName.ROTATE_ACCOUNTS, no_thread_cancel_exception=True)
    def rotate_accounts(self, request: StepRequest) -> StepOutcome:
        """The same for every account whose pods ran on the nodes.

        Raises:
            Paused, Throttled, Unavailable: The cluster, not an account, stands in the way; a retry goes on.
        """
        planned = {(c.resource.namespace, c.resource.name) for c in request.changes if c.resource.kind == IDENTITY}
        return self._rotate(request, sorted({*planned, *self._on_nodes(request)}))

    def _plan_named(self, request: StepRequest) -> StepPlan:
        return self._plan(request, sorted(accounts_at(request)))

    def _plan_of_nodes(self, request: StepRequest) -> StepPlan:
        accounts = self._on_nodes(request)
        plan = self._plan(request, accounts)
        names = listed([f"{ns}/{name}" for ns, name in accounts], most=20) or "none"
        return plan.model_copy(update={"notes": (f"Accounts of the pods on the node: {names}.", *plan.notes)})

    def _plan(self, request: StepRequest, accounts: Sequence[AccountName]) -> StepPlan:
        plan = self._rotating.plan(request, accounts)
        skip = ""
        if not plan.changes and not plan.tasks:
            gone = listed([f"{ns}/{name}" for ns, name in plan.gone])
            skip = f"there is no account {gone}" if gone else "no account is to be rotated"
        return StepPlan(changes=plan.changes, notes=plan.notes, skip=skip)

    def _rotate(self, request: StepRequest, accounts: Sequence[AccountName]) -> StepOutcome:
        made = self._make(request)
        failures = (*made.failures, *self._rotating.unproved(request))
        return StepOutcome(
            complete=not failures,
            summary=said(request.changes),
            failures=failures,
            at=datetime.now(UTC),
            tasks=self._rotating.tasks(request, accounts),
        )

    def _on_nodes(self, request: StepRequest) -> list[AccountName]:
        found = set()
        for node in (t.name for t in request.step.targets if t.kind is TargetKind.NODE):
            for pod in pods_on(self._doors.kubernetes, node):
                found.add((str(pod["metadata"]["namespace"]), str(pod["spec"].get("serviceAccountName") or "default")))
        return sorted(found)


def said(changes: Sequence[Change]) -> str:
    """What changes of accounts and their tokens come to, in a sentence."""
    kinds = Counter("restart" if RESTARTED in c.after else c.resource.kind for c in changes)
    parts = [
        (kinds[IDENTITY], "account", "recreated"),
        (kinds[TOKEN_SECRET], "token Secret", "replaced" if any("/anew" in c.after for c in changes) else "deleted"),
        (kinds["restart"], "rollout", "restarted"),
    ]
    return ", ".join(f"{n} {what}{'' if n == 1 else 's'} {done}" for n, what, done in parts if n) or "nothing to do"
