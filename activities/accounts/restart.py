"""Healthy pods of an account that gets a new identity: their workloads are rolled, so that they get new tokens.

As `kubectl rollout restart` does it: an annotation on the pod template. Pods that an incident holds keep their dead
token, as wanted, and a workload that runs one is left to the step that redeploys it. What nothing would start again
is never deleted: it is a task for its owner.

Source: https://kubernetes.io/docs/reference/kubectl/generated/kubectl_rollout/kubectl_rollout_restart/
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from activities.assess.owners import follow_owners
from activities.assess.pods import pod_facts, with_workload
from activities.assess.reading import Reader
from activities.changes.kinds import Values, register
from activities.changes.kubernetes import KubernetesKind
from activities.isolation.fields import field_value
from clients.kubernetes import Kubernetes
from clients.paths import list_path, object_path
from contracts.changes import pointer
from contracts.names import HOLD_LABEL, LABEL_ON, QUARANTINED_LABEL
from contracts.steps import Task, task_id
from errors import TargetGone
from plans.model import Change, ResourceRef
from plans.observed import PodFacts
from plans.situation import words

RESTARTED: Final = pointer("spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")
_ROLLED: Final = ("Deployment", "StatefulSet", "DaemonSet")
_SUFFIX: Final = "Rollout"
_OVER: Final = ("Succeeded", "Failed")

AccountName = tuple[str, str]
"""Namespace and name."""


class RolloutKind(KubernetesKind):
    """See `activities.changes.kinds.Kind`. Putting the annotation back would only restart the pods once more."""

    undoable = False

    def read(self, ref: ResourceRef, fields: tuple[str, ...]) -> dict[str, Any]:
        """The annotation on the template of the workload."""
        return super().read(_workload(ref), fields)

    def write(self, ref: ResourceRef, now: Values, new: Values) -> None:
        """Set it, on the condition that it is what was read."""
        super().write(_workload(ref), now, new)


class Restarts(NamedTuple):
    """What is to be restarted, and what cannot be."""

    changes: tuple[Change, ...] = ()
    tasks: tuple[Task, ...] = ()
    notes: tuple[str, ...] = ()


def plan_restarts(
    kubernetes: Kubernetes,
    accounts: Iterable[AccountName],
    *,
    step: str,
    held: Collection[str],
    made: Collection[Change],
    fresh: Collection[AccountName] = (),
) -> Restarts:
    """Which workloads must be rolled so that the healthy pods of these accounts get tokens again.

    Args:
        kubernetes: The door.
        accounts: The accounts.
        step: Whose changes they are.
        held: Uids of pods that the incident holds.
        made: What the path has changed so far: a workload that was restarted already is not restarted again.
        fresh: The accounts that are just about to get another identity: what was restarted before must be again.

    Raises:
        Throttled, Unavailable: The API server does not answer.
    """
    pods = [p for a in sorted(set(accounts)) for p in _pods_of(kubernetes, a)]
    with ThreadPoolExecutor(4, thread_name_prefix="owners") as pool:
        owners = follow_owners(Reader(kubernetes, pool), pods, ())
    tops: dict[ResourceRef | None, list[PodFacts]] = {}
    for pod in (with_workload(p, owners.tops) for p in pods):
        tops.setdefault(pod.workload or pod.owner, []).append(pod)
    plan = _Plan(kubernetes, step, {c.key: c for c in made})
    for top, mine in tops.items():
        kept = [p for p in mine if p.uid in held or _is_held(p)]
        if top is None:
            plan.bare([p for p in mine if p not in kept])
        elif kept:
            plan.notes.append(f"{top} runs pods that an incident holds: it is not restarted, only redeployed.")
        elif top.kind in _ROLLED:
            plan.roll(top, anew=any((p.namespace, p.service_account) in fresh for p in mine))
        else:
            plan.by_hand(top)
    return Restarts(tuple(plan.changes), tuple(plan.tasks), tuple(plan.notes))


class _Plan:
    def __init__(self, kubernetes: Kubernetes, step: str, made: dict[str, Change]) -> None:
        self._kubernetes = kubernetes
        self._step = step
        self._made = made
        self.changes: list[Change] = []
        self.tasks: list[Task] = []
        self.notes: list[str] = []

    def roll(self, top: ResourceRef, *, anew: bool) -> None:
        """Restart a workload, unless that was done for this identity, or whoever looks after it does not want it."""
        with contextlib.suppress(TargetGone):
            live = self._kubernetes.get(object_path(top.kind, top.namespace, top.name))
            if live["metadata"]["uid"] != top.uid:
                return
            spec, now = live.get("spec") or {}, field_value(live, RESTARTED)
            change = Change(
                step=self._step,
                resource=top.model_copy(update={"kind": top.kind + _SUFFIX}),
                summary="its pods are restarted, so that they get tokens of the new identity",
                before={RESTARTED: now},
                after={RESTARTED: datetime.now(UTC).isoformat(timespec="microseconds")},
            )
            earlier = self._made.get(change.key)
            if not anew and earlier is not None and now == earlier.after[RESTARTED]:
                return
            strategy = (spec.get("updateStrategy") or {}).get("type")
            if spec.get("paused") or strategy == "OnDelete":
                self.by_hand(top, "its rollout is paused" if spec.get("paused") else "it rolls nothing by itself")
            else:
                self.changes.append(change)

    def bare(self, pods: Iterable[PodFacts]) -> None:
        """Pods that nothing would start again."""
        for pod in pods:
            self._task(f"Pod {pod.namespace}/{pod.name}", "nothing would start it again")

    def by_hand(self, top: ResourceRef, why: str = "") -> None:
        """A workload whose template says nothing about the pods that run."""
        self._task(str(top), why or "a changed template would not reach the pods that run")

    def _task(self, what: str, why: str) -> None:
        text = f"Restart {words(what)}: its tokens are worth nothing any more, and {why}."
        self.tasks.append(Task(id=task_id(self._step, what), step=self._step, text=text, owner=words(what)))


def _pods_of(kubernetes: Kubernetes, account: AccountName) -> Iterator[PodFacts]:
    namespace, name = account
    path = list_path("Pod", namespace)
    for pod in kubernetes.items(path, fieldSelector=f"spec.serviceAccountName={name}"):
        facts = pod_facts(pod)
        if facts.phase not in _OVER and not facts.terminating and not facts.static:
            yield facts


def _is_held(pod: PodFacts) -> bool:
    return LABEL_ON in (pod.labels.get(QUARANTINED_LABEL), pod.labels.get(HOLD_LABEL))


def _workload(ref: ResourceRef) -> ResourceRef:
    return ref.model_copy(update={"kind": ref.kind.removesuffix(_SUFFIX)})


for _kind in _ROLLED:
    register(_kind + _SUFFIX, lambda doors: RolloutKind(doors.kubernetes))
