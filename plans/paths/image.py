"""Compromised images: refuse them at admission, contain what runs from them, empty the registry (guide I1 to I5)."""

from __future__ import annotations

from findings.catalogue import Feature, lookup
from plans import causes
from plans.drafts import Draft
from plans.images import accused_images, ecr_image, image_doubt
from plans.model import Gate, Target, TargetKind
from plans.paths import roles
from plans.paths.pod import NEEDS_IMAGE, PATCHABLE, pod_target, reading
from plans.situation import Situation

_NOTHING_UNDOES_READING = "Nothing to undo: it only reads."
_UNKNOWN = "The image is not known."
_ALL_CONTAINED = "No other pod runs the image than those that the path of pods contains."


def steps(s: Situation) -> tuple[Draft, ...]:
    """Block, contain and collect; keep the image as evidence; replace and delete its pods; archive and delete it."""
    targets = image_targets(s)
    common = Draft(
        action="",
        targets=targets,
        undo="",
        causes=_causes(s),
        never="" if targets else _UNKNOWN,
        namespaces=tuple(sorted({*s.pod_namespaces, *s.image_namespaces})),
    )
    return (
        common._replace(
            action="block",
            targets=(*targets, *_tags(s)),
            gate=Gate.CONTAIN,
            undo="`firebreak release` removes the admission policy of the image.",
            proves=True,
        ),
        *_of_the_pods(s, common),
        common._replace(action="export", undo=_NOTHING_UNDOES_READING),
        common._replace(action="scan", undo="Nothing to undo: a scan changes nothing."),
        common._replace(
            action="archive",
            gate=Gate.ERADICATE,
            undo="`firebreak release` restores the digest from the archive of ECR, which takes up to 20 minutes; other "
            "registries are a task for their owner.",
        ),
        common._replace(
            action="delete",
            gate=Gate.ERADICATE,
            undo="Nothing brings a deleted image back, except pushing the copy that the evidence keeps.",
        ),
        common._replace(
            action="deny_repository",
            targets=_repositories(targets),
            gate=Gate.TERMINATE,
            undo="`firebreak release` puts the old policy of the repository back.",
            never=_why_not_the_repository(targets),
        ),
    )


def image_targets(s: Situation) -> tuple[Target, ...]:
    """The digests that really run; offline the images as the finding writes them, which proves less (guide I1)."""
    names = s.images if s.observed is not None else accused_images(s.finding)
    return tuple(Target(kind=TargetKind.IMAGE, name=n) for n in sorted(set(names)))


def _of_the_pods(s: Situation, common: Draft) -> tuple[Draft, ...]:
    """The steps on the pods that run the image beside those of the path of pods."""
    observed = s.observed
    pods = tuple(pod_target(p) for p in s.image_pods)
    counted = observed is not None and observed.images_counted
    mine = common
    if counted and observed is not None:
        mine = common._replace(
            targets=pods,
            never=common.never or ("" if pods else _ALL_CONTAINED),
            total=observed.image_pod_count,
            sha256=observed.image_targets_sha256,
        )
    static = {p.uid for p in s.image_pods if p.static}
    deletable = tuple(t for t in pods if t.uid not in static)
    delete = mine._replace(
        action="delete_pods",
        gate=Gate.ERADICATE,
        undo="Nothing brings a deleted pod back; its evidence stays.",
    )
    if counted and static:
        never = delete.never or ("" if deletable else "Static pods come back from the manifest folder of their node.")
        delete = delete._replace(targets=deletable, total=delete.total - len(static), never=never)
    return (
        mine._replace(
            action="quarantine",
            gate=Gate.CONTAIN,
            undo="`firebreak release` takes the labels off and puts the selectors of the other policies back.",
            proves=True,
        ),
        mine._replace(action="collect", undo=reading(s)),
        *roles.of_image_pods(s, common.causes),
        *_redeploy(s, common),
        delete,
    )


def _redeploy(s: Situation, common: Draft) -> tuple[Draft, ...]:
    found = [w.ref for w in s.observed.image_workloads] if s.observed is not None else []
    targets = tuple(
        Target(kind=TargetKind.WORKLOAD, namespace=r.namespace, name=r.name, uid=r.uid)
        for r in found
        if r.kind in PATCHABLE
    )
    if not targets:
        return ()
    return (
        common._replace(
            action="redeploy",
            targets=targets,
            gate=Gate.ERADICATE,
            needs=NEEDS_IMAGE,
            undo="The old pod template is recorded; a failed rollout puts it back, and so does `firebreak release`. "
            "As long as the image is blocked, the old template starts no pod.",
        ),
    )


def _tags(s: Situation) -> tuple[Target, ...]:
    """Tags that stand for the image and for no other one: a tag that was moved may be good again."""
    images = s.observed.images if s.observed is not None else ()
    tags = {t for i in images for t in i.tags if t not in i.moved_tags}
    return tuple(Target(kind=TargetKind.IMAGE, name=t) for t in sorted(tags))


def _causes(s: Situation) -> tuple[str, ...]:
    observed, found = s.observed, causes.of_the_pods(s)
    entry = lookup(s.finding.type)
    if entry is not None and entry.feature in (Feature.EKS_AUDIT_LOGS, Feature.ATTACK_SEQUENCE):
        # Whoever starts a privileged pod takes whatever image is at hand, and half of the cluster may run it.
        found.append("The finding tells how a workload was started, not what its image holds.")
    if observed is None or not observed.images_counted:
        return (*found, "An image can run anywhere in the cluster; its pods have not been counted.")
    most, count = s.policy.budget.incident_pods, s.pod_count + observed.image_pod_count
    if s.pod_count <= most < count:
        found.append(f"{count} pods are more than the {most} that one incident may contain by itself.")
    found += causes.protected_namespaces(s.policy, s.image_namespaces)
    found += causes.protected_accounts(s.policy, s.image_pods)
    found += [doubt] if (doubt := image_doubt(s.finding, s.images, s.pods)) else []
    return tuple(dict.fromkeys(found))


def _repositories(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    names = {i.repository for t in targets if (i := ecr_image(t.name)) is not None}
    return tuple(Target(kind=TargetKind.IMAGE, name=n) for n in sorted(names)) or targets


def _why_not_the_repository(targets: tuple[Target, ...]) -> str:
    """A repository policy cannot select a digest, so it is only proposed where one digest is not all there is (I1)."""
    images = {i for t in targets if (i := ecr_image(t.name)) is not None}
    if not images:
        return "The repository is not in ECR."
    if len({i.repository for i in images}) == len(images):
        return "Archiving the digest is enough; a repository is closed when several of its images are compromised."
    return ""
