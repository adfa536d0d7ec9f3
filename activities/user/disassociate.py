"""The activity `disassociate_provider`: an identity provider shut out, with everybody in it (guide U2)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from temporalio import activity

from activities.steps import Planner, StepRoom, beat
from activities.user.principals import subjects_in
from activities.user.providers import DELETING, Provider, disassociated, providers_of, read_provider
from activities.user.ways import Cluster
from clients.kubernetes import JsonObject
from contracts.names import ActivityName
from contracts.steps import StepOutcome, StepPlan, StepRequest
from errors import TargetGone, Unavailable
from plans.situation import listed, words

_PAUSE: Final = 1.0
"""Seconds between two looks."""


class ProviderActivities(StepRoom):
    """Disassociates identity providers."""

    def planners(self) -> Mapping[str, Planner]:
        """By step."""
        return {"user.disassociate_provider": self._plan}

    @activity.defn(name=ActivityName.DISASSOCIATE_PROVIDER, no_thread_cancel_exception=True)
    def disassociate_provider(self, request: StepRequest) -> StepOutcome:
        """Disassociate, and wait until EKS has done it.

        Raises:
            Paused, Throttled, Unavailable: EKS is not done, or does not answer; a retry goes on.
        """
        made = self._make(request)
        names = [c.resource.name for c in request.changes]
        # EKS takes some minutes. An attempt that Temporal ends for it is followed by one that goes on waiting.
        while not made.failures and not all(self._gone(name) for name in names):
            time.sleep(_PAUSE)
        return StepOutcome(
            complete=not made.failures,
            summary=f"{listed(names)} disassociated" if not made.failures else "",
            failures=made.failures,
        )

    def _plan(self, request: StepRequest) -> StepPlan:
        found = [
            p
            for p in providers_of(self._doors.aws.eks, self._doors.settings.cluster)
            if any(p.signs_in(s) for s in subjects_in(request))
        ]
        if not found:
            return StepPlan(skip="No identity provider of the cluster can have signed it in.")
        return StepPlan(
            changes=tuple(disassociated(p, request.step.step) for p in found),
            notes=tuple(n for p in found for n in self._notes(p)),
        )

    def _notes(self, provider: Provider) -> list[str]:
        """Everybody who signs in through it is hit; those whom bindings name can be listed."""
        cluster = Cluster(self._doors, "")
        bound = [s for b in cluster.bindings for s in b.get("subjects") or () if _of(provider, s)]
        names = sorted({str(s["name"]) for s in bound})
        said = [f"Everybody who signs in through {words(provider.issuer)} loses access to the cluster."]
        said += [f"Bindings name of them {listed(names)}."] if names else []
        return [*said, "EKS takes some minutes to disassociate it, and as long to associate it again on release."]

    def _gone(self, name: str) -> bool:
        beat()
        try:
            provider = read_provider(self._doors.aws.eks, self._doors.settings.cluster, name)
        except TargetGone:
            return True
        if provider.status != DELETING:
            raise Unavailable(f"provider {words(name)} is {words(provider.status)}, not on its way out")
        return False


def _of(provider: Provider, subject: JsonObject) -> bool:
    return bool(provider.prefix) and str(subject.get("name", "")).startswith(provider.prefix)
