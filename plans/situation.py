"""Everything a plan is made from, gathered once, with the questions that several paths ask of it."""

from __future__ import annotations

from functools import cached_property

from pydantic import BaseModel

from findings.model import Finding
from findings.subject import Subject, SubjectKind, subjects_of
from findings.text import cleaned
from plans.images import suspected_images
from plans.model import WIRE
from plans.observed import Observed, PodFacts
from plans.policy import Policy
from plans.routing import NamedWorkload, Route, named_workloads, routes_of

NEVER_TOUCHED = frozenset({SubjectKind.SYSTEM, SubjectKind.ANONYMOUS, SubjectKind.NODE, SubjectKind.NONE})
"""Identities that the user path does not act on: the cluster's own, nobody, and nodes, which have a path of theirs."""


class Situation(BaseModel):
    """A finding, what was observed of it (None: offline, nothing was asked), and the policy."""

    model_config = WIRE

    finding: Finding
    observed: Observed | None
    policy: Policy

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        """Every identity of the finding; the plan names the first."""
        return subjects_of(self.finding)

    @cached_property
    def users(self) -> tuple[Subject, ...]:
        """The identities that the user path acts on."""
        return tuple(s for s in self.subjects if s.kind not in NEVER_TOUCHED)

    @cached_property
    def routes(self) -> tuple[Route, ...]:
        """The paths that the finding opens."""
        return routes_of(self.finding, self.observed)

    @cached_property
    def workloads(self) -> tuple[NamedWorkload, ...]:
        """The workloads that the finding names."""
        return named_workloads(self.finding)

    @cached_property
    def pods(self) -> tuple[PodFacts, ...]:
        """The pods that were found, each once, by namespace and name."""
        pods = self.observed.pods if self.observed is not None else ()
        return tuple(sorted({p.uid: p for p in pods}.values(), key=lambda p: (p.namespace, p.name, p.uid)))

    @property
    def pod_count(self) -> int:
        """How many pods there are, those beyond the list included."""
        return max(len(self.pods), self.observed.pod_count if self.observed is not None else 0)

    @cached_property
    def chosen_by_account(self) -> tuple[Subject, ...]:
        """The service accounts through which the pods were chosen: only when no workload is named (guide P3)."""
        if self.workloads:
            return ()
        return tuple(s for s in self.subjects if s.kind is SubjectKind.SERVICE_ACCOUNT)

    @cached_property
    def pod_namespaces(self) -> tuple[str, ...]:
        """The namespaces of the pods, and those in which the finding says that they are."""
        named = {w.namespace for w in self.workloads} | {s.namespace for s in self.chosen_by_account}
        return tuple(sorted((named | {p.namespace for p in self.pods}) - {""}))

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The suspected images: as the cluster was searched for them, else as the pods run them."""
        if self.observed is not None and self.observed.images_counted:
            return tuple(i.name for i in self.observed.images)
        return suspected_images(self.finding, self.pods)

    @cached_property
    def image_pods(self) -> tuple[PodFacts, ...]:
        """The pods that run a suspected image and are not among `pods`."""
        pods = self.observed.image_pods if self.observed is not None else ()
        return tuple(sorted(pods, key=lambda p: (p.namespace, p.name, p.uid)))

    @cached_property
    def image_namespaces(self) -> tuple[str, ...]:
        """The namespaces of those pods, and of the workloads that would start one."""
        if self.observed is None:
            return ()
        templates = {w.ref.namespace for w in self.observed.image_workloads}
        return tuple(sorted({*self.observed.image_pod_namespaces, *templates}))


def words(text: str) -> str:
    """A name from outside, fit to stand in a sentence: one printable line of at most 120 characters."""
    return cleaned(text, 120)


def clause(text: str) -> str:
    """A sentence from outside, fit to stand inside another: printable, at most 400 characters, without its stop."""
    return cleaned(text, 400).strip().rstrip(".")


def listed(names: list[str] | tuple[str, ...], most: int = 5) -> str:
    """Names in a sentence: `a, b and 3 more`."""
    shown = [words(n) for n in names[:most]]
    rest = len(names) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""
