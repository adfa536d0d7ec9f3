"""The activity `revert_binding`: nobody keeps what a suspicious change of RBAC gave them.

A binding is emptied and stays, with its name and uid: that takes all rights away, and `release` gives back exactly
what was there. A role is left as it is, because writing one needs `escalate`, which is as good as cluster-admin; its
bindings are emptied, and deleting it is a task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from temporalio import activity

from activities.bindings import bindings_of, ref_of, role_of, without_subject
from activities.configuration.shared import taken_out_by_others
from activities.steps import Planner, StepRoom
from clients.kubernetes import JsonObject
from clients.paths import object_path
from contracts.common import Failure
from contracts.names import ActivityName
from contracts.states import Containment
from contracts.steps import StepOutcome, StepPlan, StepRequest, Task
from errors import TargetGone
from plans.model import Change
from plans.situation import words

_CLUSTERS_OWN: Final = "kube-system"
_BUILT_IN: Final = ("cluster-admin", "admin", "edit", "view")
_NAMED_NOBODY: Final = "the finding names neither a binding nor a role"


class RevertActivities(StepRoom):
    """Empties the bindings that a finding names."""

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"configuration.revert_binding": self._plan}

    @activity.defn(name=ActivityName.REVERT_BINDING, no_thread_cancel_exception=True)
    def revert_binding(self, request: StepRequest) -> StepOutcome:
        """Empty the planned bindings, then read them again.

        Raises:
            Paused, Throttled, Unavailable: The cluster, not a binding, stands in the way; a retry goes on.
        """
        made = self._make(request)
        left = [ref_of(b) for b in self._named(request) if any(map(self._removable, b.get("subjects") or ()))]
        return StepOutcome(
            complete=not left and not made.failures,
            summary=f"{made.stand} binding{'' if made.stand == 1 else 's'} emptied",
            failures=made.failures,
            containment=Containment.INCOMPLETE if left or made.failures else Containment.VERIFIED,
            at=datetime.now(UTC),
            reasons=tuple(f"{ref} binds somebody still." for ref in left[:20]),
            tasks=_tasks(request),
        )

    def _plan(self, request: StepRequest) -> StepPlan:
        named = request.finding.role_binding or request.finding.role
        if named is None or not named.name:
            return StepPlan(skip=_NAMED_NOBODY)
        bindings = self._named(request)
        if refused := self._why_not(request, bindings):
            failure = Failure(
                step=request.step.step,
                target=words(named.name),
                code="PolicyRefusal",
                message=f"{refused}; look at it by hand",
            )
            return StepPlan(blocked=True, failures=(failure,))
        changes = [without_subject(b, self._removable, request.step.step) for b in bindings]
        changes = [c for c in changes if c.before != c.after]
        changes += self._shared(request)
        notes = [self._note(b) for b in bindings]
        if request.finding.role_binding is None:
            notes.append(f"The role {words(named.name)} itself stays; deleting it is a task.")
        return StepPlan(
            changes=tuple(changes),
            skip="" if changes else f"nothing binds anybody through {words(named.name)} any more",
            notes=tuple(notes),
        )

    def _named(self, request: StepRequest) -> list[JsonObject]:
        """The binding that the finding names, or those of the role that it names."""
        binding, role = request.finding.role_binding, request.finding.role
        if binding is not None:
            return self._all(
                lambda b: _is(b["metadata"], binding.name, binding.uid) and binding.kind in ("", b["kind"])
            )
        if role is None:
            return []
        found = self._all(
            lambda b: (r := b.get("roleRef") or {}).get("name") == role.name and role.kind in ("", r.get("kind"))
        )
        # A Role of the same name in another namespace is another role.
        return [b for b in found if role.uid in ("", self._role_uid(b))]

    def _shared(self, request: StepRequest) -> list[Change]:
        """Whom other incidents took out of the binding that the finding names."""
        binding = request.finding.role_binding
        if binding is None or not binding.uid:
            return []
        return taken_out_by_others(
            self._engine,
            request.step.step,
            lambda ref, subject: ref.uid == binding.uid and self._removable(subject),
        )

    def _why_not(self, request: StepRequest, bindings: list[JsonObject]) -> str:
        """Why a person has to find out what the finding means, or empty."""
        binding, role = request.finding.role_binding, request.finding.role
        places = {str(b["metadata"].get("namespace", "")) for b in bindings}
        if binding is not None:
            name = words(binding.name)
            if not binding.uid and len(bindings) > 1:
                return f"several bindings are called {name}, and the finding gives no uid"
            if not bindings and binding.uid and self._others(binding.name, binding.uid):
                return f"another binding stands under the name {name}: its uid differs"
        elif role is not None:
            if role.kind != "Role" and (role.name in _BUILT_IN or role.name.startswith("system:")):
                return f"{words(role.name)} is a role of Kubernetes itself, whose bindings are the cluster's"
            if role.kind != "ClusterRole" and not role.uid and len(places) > 1:
                return f"several roles may be called {words(role.name)}, and the finding gives no uid"
        return ""

    def _others(self, name: str, uid: str) -> list[JsonObject]:
        return self._all(lambda b: b["metadata"]["name"] == name and b["metadata"]["uid"] != uid)

    def _role_uid(self, binding: JsonObject) -> str:
        role = binding["roleRef"]
        namespace = str(binding["metadata"].get("namespace", "")) if role["kind"] == "Role" else ""
        try:
            live = self._doors.kubernetes.get(object_path(role["kind"], namespace, role["name"]))
        except TargetGone:
            return ""
        return str(live["metadata"]["uid"])

    def _all(self, matches: Callable[[JsonObject], bool]) -> list[JsonObject]:
        return [b for b in bindings_of(self._doors.kubernetes, lambda _: True) if matches(b)]

    def _removable(self, subject: JsonObject) -> bool:
        """Everybody but the cluster itself and Firebreak: what they lose could not be given back."""
        name, namespace = str(subject.get("name", "")), str(subject.get("namespace", ""))
        own = (_CLUSTERS_OWN, self._doors.settings.namespace)
        if subject.get("kind") == "ServiceAccount":
            return namespace not in own
        if any(name.startswith(f"system:serviceaccount:{n}:") for n in own):
            return False
        anonymous = ("system:anonymous", "system:unauthenticated", "system:authenticated", "system:serviceaccounts")
        account = name.startswith(("system:serviceaccount:", "system:serviceaccounts:"))
        return not name.startswith(("system:", "eks:")) or account or name in anonymous

    def _note(self, binding: JsonObject) -> str:
        kept = [words(str(s.get("name"))) for s in binding.get("subjects") or () if not self._removable(s)]
        said = f"{ref_of(binding)} gives the rights of {words(role_of(binding))}."
        return f"{said} These of the cluster's own keep them: {', '.join(kept[:5])}." if kept else said


def _tasks(request: StepRequest) -> tuple[Task, ...]:
    role = request.finding.role
    if request.finding.role_binding is not None or role is None:
        return ()
    text = f"Delete the {words(role.kind or 'role')} {words(role.name)}, or say why it stays: nobody is bound to it."
    return (Task(id="revert_binding-role", step=request.step.step, text=text, owner="whoever administers the cluster"),)


def _is(metadata: JsonObject, name: str, uid: str) -> bool:
    return bool(metadata["name"] == name and uid in ("", metadata["uid"]))
