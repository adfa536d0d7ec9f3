"""Who in the whole cluster runs a suspected image, and which templates would start it again (guide I2).

By digest, which the status of a pod names. A tag only tells where no digest is known yet: a tag that was moved stands
for another image in other pods, and those are no targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from activities.assess import surroundings
from activities.assess.owners import follow_owners, workload_facts
from activities.assess.pods import pod_facts, with_workload
from activities.assess.reading import Reader, controller_of
from clients.kubernetes import JsonObject
from clients.paths import list_path
from findings.model import Finding
from plans.images import accused_images, digest_of, normalised, repository_of, suspected_images
from plans.observed import ImageFacts, PodFacts, WorkloadFacts
from plans.situation import listed

_TEMPLATES = ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "ReplicaSet", "ReplicationController")
_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_SPECS = ("containers", "initContainers", "ephemeralContainers")
_MOST_IMAGES = 20
_MOST_TAGS = 10
_MOST_WORKLOADS = 200


@dataclass
class ImageUse:
    """What was found. `pods` and `workloads` leave out those of the path of pods, which treats them already."""

    images: tuple[ImageFacts, ...] = ()
    pods: list[PodFacts] = field(default_factory=list)
    workloads: tuple[WorkloadFacts, ...] = ()
    policies: list[JsonObject] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def find_image_use(
    reader: Reader,
    finding: Finding,
    pods: Iterable[PodFacts],
    workloads: Iterable[WorkloadFacts],
    beat: Callable[[], None],
) -> ImageUse:
    """Search all namespaces for the images that a finding accuses.

    Args:
        reader: Of the cluster.
        finding: The finding.
        pods: Those that the path of pods treats.
        workloads: Theirs.
        beat: Called after each page.

    Raises:
        Throttled, Unavailable: The API server does not answer.
    """
    mine = list(pods)
    suspected, accused = suspected_images(finding, mine), accused_images(finding)
    seen = _Seen(reader, beat, {digest_of(n) for n in suspected}, {normalised(a) for a in accused})
    seen.read()
    names = suspected or seen.by_tag()
    if not names:
        return ImageUse(notes=("No pod of the cluster says by which digest the image of the finding runs.",))
    names = names[:_MOST_IMAGES]
    use = _Use(seen, {digest_of(n) for n in names} - {""})
    found = use.pods({p.uid for p in mine})
    owners = follow_owners(reader, found, [])
    beat()
    treated = {w.ref.uid for w in workloads} | {r.uid for p in mine if (r := p.workload or p.owner) is not None}
    templates = {w.ref.uid: w for w in (*owners.workloads([]), *use.templates()) if w.ref.uid not in treated}
    found = [with_workload(p, owners.tops) for p in found]
    ours, others = _by_repository(templates.values(), names)
    return ImageUse(
        images=tuple(use.facts(n) for n in names),
        pods=found,
        workloads=ours[:_MOST_WORKLOADS],
        policies=_policies(reader, found),
        notes=(*use.notes(), *others),
    )


class _Seen:
    """Every pod of the cluster, of which little is kept: references, digests, and those pods that may be targets."""

    def __init__(self, reader: Reader, beat: Callable[[], None], digests: set[str], accused: set[str]) -> None:
        self.reader = reader
        self.beat = beat
        self._suspected = digests
        self._accused = accused
        self.digests: dict[str, set[str]] = {}
        """References as written in pods, and the images (`repository@sha256:…`) that run from them."""
        self.kept: list[tuple[frozenset[str], frozenset[str], PodFacts]] = []
        """What runs in a pod, what it has not started yet, and the pod."""

    def read(self) -> None:
        for page in self.reader.kubernetes.pages(list_path("Pod")):
            for pod in page:
                self._add(pod)
            self.beat()

    def by_tag(self) -> tuple[str, ...]:
        """The digests that run anywhere under references that the finding accuses but none of its pods runs."""
        hit = {i for w, images in self.digests.items() if normalised(w) in self._accused for i in images}
        return tuple(sorted(hit))

    def _add(self, pod: JsonObject) -> None:
        spec, status = pod.get("spec") or {}, pod.get("status") or {}
        ids = {s["name"]: s.get("imageID") or "" for key in _STATUSES for s in status.get(key) or ()}
        running, waiting = set(), set()
        for key in _SPECS:
            for container in spec.get(key) or ():
                image, image_id = container.get("image") or "", ids.get(container["name"], "")
                if digest := digest_of(image_id):
                    running.add(digest)
                    self.digests.setdefault(image, set()).add(image_id)
                else:
                    waiting.add(image)
        accused = not self._suspected and any(normalised(w) in self._accused for w in _written(spec))
        if running & self._suspected or waiting or accused:
            self.kept.append((frozenset(running), frozenset(waiting), pod_facts(pod)))


class _Use:
    """How the cluster uses images of some digests."""

    def __init__(self, seen: _Seen, digests: set[str]) -> None:
        self._seen = seen
        self._digests = digests
        self.tags: dict[str, set[str]] = {}
        """References without a digest, and the digests that run from them."""
        for written, images in seen.digests.items():
            behind = {digest_of(i) for i in images}
            if behind & digests and not digest_of(written):
                self.tags[written] = behind
        self.moved = {t for t, behind in self.tags.items() if behind - digests}

    def starts(self, written: str) -> bool:
        """Whether a reference would start one of the images, as far as anything running says."""
        return digest_of(written) in self._digests or (written in self.tags and written not in self.moved)

    def pods(self, without: set[str]) -> list[PodFacts]:
        """The pods that run one of them, or are about to."""
        found = {
            facts.uid: facts
            for running, waiting, facts in self._seen.kept
            if facts.uid not in without and (running & self._digests or any(self.starts(w) for w in waiting))
        }
        return sorted(found.values(), key=lambda p: (p.namespace, p.name))

    def templates(self) -> Iterator[WorkloadFacts]:
        """The templates that would start one of them; what has an owner follows from its owner's."""
        reader = self._seen.reader
        lists: list[tuple[str, Future[list[WorkloadFacts]]]] = [
            (kind, reader.start(partial(self._templates_of, kind))) for kind in _TEMPLATES
        ]
        for kind, future in lists:
            read: list[WorkloadFacts] = reader.optional(future, [], f"The {kind}s of the cluster")
            yield from read
            self._seen.beat()

    def facts(self, name: str) -> ImageFacts:
        """One image as the plan tells of it."""
        tags = sorted(t for t, behind in self.tags.items() if digest_of(name) in behind)[:_MOST_TAGS]
        return ImageFacts(name=name, tags=tuple(tags), moved_tags=tuple(t for t in tags if t in self.moved))

    def notes(self) -> Iterator[str]:
        """What a person should know about the tags."""
        for tag in sorted(self.moved)[:_MOST_TAGS]:
            yield (
                f"The tag {listed([tag])} was moved: other pods run another digest under it. Those are no targets, and "
                "the tag itself is not refused at admission, only the digest."
            )

    def _templates_of(self, kind: str) -> list[WorkloadFacts]:
        return [
            workload_facts(item | {"kind": kind})
            for item in self._seen.reader.kubernetes.items(list_path(kind))
            if controller_of(item) is None and any(self.starts(i) for i in _images(item))
        ]


def _images(workload: JsonObject) -> Iterator[str]:
    spec = workload.get("spec") or {}
    template = spec.get("template") or ((spec.get("jobTemplate") or {}).get("spec") or {}).get("template") or {}
    return _written(template.get("spec") or {})


def _written(pod_spec: JsonObject) -> Iterator[str]:
    for key in _SPECS:
        for container in pod_spec.get(key) or ():
            yield container.get("image") or ""


def _by_repository(
    workloads: Iterable[WorkloadFacts], names: Iterable[str]
) -> tuple[tuple[WorkloadFacts, ...], list[str]]:
    """The workloads that a fixed image of the same repository repairs, and sentences on those that it does not."""
    repositories = {repository_of(n) for n in names}
    ours, fixed, elsewhere = [], [], []
    for w in sorted(workloads, key=lambda w: (w.ref.namespace, w.ref.name, w.ref.kind)):
        if w.ref.kind == "Job":
            fixed.append(str(w.ref))
        elif repositories & {repository_of(i) for i in w.images.values()}:
            ours.append(w)
        else:
            elsewhere.append(str(w.ref))
    notes = []
    if fixed:
        notes.append(
            f"The template of a Job cannot be changed: {listed(fixed)}. New pods of it are refused while the image is "
            "blocked; delete it or let it be made anew."
        )
    if elsewhere:
        notes.append(f"They run the image from another repository and must be changed by hand: {listed(elsewhere)}.")
    return tuple(ours), notes


def _policies(reader: Reader, pods: list[PodFacts]) -> list[JsonObject]:
    reads = {
        n: reader.start(partial(surroundings.read_policies, reader.kubernetes, n))
        for n in sorted({p.namespace for p in pods})
    }
    found: list[JsonObject] = []
    for namespace, future in reads.items():
        read: list[JsonObject] = reader.optional(future, [], f"The NetworkPolicies of {namespace}")
        found += read
    return surroundings.selecting(found, pods)
