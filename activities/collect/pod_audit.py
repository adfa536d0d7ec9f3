"""The audit events of the pods of a collection: what was done to them, and what they did with their own tokens.

Searching an audit log takes minutes whatever is looked for, so all pods are looked for at once.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from activities.collect import audit
from activities.collect.audit import AuditLog
from activities.collect.audit_selection import of_pods
from activities.collect.entries import Part
from activities.collect.model import Deadline, Found, Task, Wave
from contracts.common import PodTarget
from evidence.entry import EntrySubject
from plans.situation import listed

FOLDER: Final = "audit"


class PodsAudit:
    """The pods of one collection, as something that artefacts are about."""

    def __init__(self, log: AuditLog, pods: Iterable[PodTarget]) -> None:
        self._log = log
        self._pods = tuple(sorted(pods, key=lambda p: p.uid))

    @property
    def subject(self) -> EntrySubject:
        """The pod, or all of them together."""
        if len(self._pods) == 1:
            (pod,) = self._pods
            return EntrySubject(kind="Pod", namespace=pod.namespace, name=pod.name, uid=pod.uid)
        spaces = {p.namespace for p in self._pods}
        return EntrySubject(
            kind="Pods",
            namespace=spaces.pop() if len(spaces) == 1 else "",
            name=listed([p.name for p in self._pods]),
        )

    @property
    def place(self) -> str:
        """The folder of these artefacts below the incident's prefix."""
        return FOLDER

    @property
    def part(self) -> Part:
        """Their part of the collection."""
        return Part(self._name, Wave.LASTING)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """AWS is asked again for single pages, so what does not answer in the end is recorded, and not asked anew."""
        return (Task(f"{self._name}.jsonl", audit.KIND, self._find, audit.SECONDS, patient=False),)

    @property
    def _name(self) -> str:
        """A pod is in one collection of its incident only, so the same pods are the same artefact."""
        digest = hashlib.sha256("\n".join(p.uid for p in self._pods).encode("utf-8", "backslashreplace")).hexdigest()
        return f"pods-{digest[:16]}"

    def _find(self, deadline: Deadline) -> Found:
        uids: dict[tuple[str, str], set[str]] = defaultdict(set)
        for pod in self._pods:
            uids[pod.namespace, pod.name].add(pod.uid)
        return self._log.find(of_pods({pod: frozenset(found) for pod, found in uids.items()}), deadline)
