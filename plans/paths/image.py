"""Compromised images: refuse them at admission, contain what runs from them, empty the registry (guide I1 to I5)."""

from __future__ import annotations

from plans import causes
from plans.drafts import Draft
from plans.model import Gate, Target, TargetKind
from plans.routing import named_images
from plans.situation import Situation


def steps(s: Situation) -> tuple[Draft, ...]:
    """Block, scan, contain and collect; delete the pods, archive and delete the image.

    The pods that run from the image are found when the path is carried out; until then the image stands for them.
    """
    targets = image_targets(s)
    common = Draft(
        action="",
        targets=targets,
        undo="",
        # Every namespace may run the image, protected ones too, and nobody has counted the pods.
        causes=(*causes.of_the_pods(s), "An image can run anywhere in the cluster; its pods have not been counted."),
        never="" if targets else "The image is not known.",
        namespaces=s.pod_namespaces,
    )
    return (
        common._replace(
            action="block", gate=Gate.CONTAIN, undo="`firebreak release` removes the admission policy of the image."
        ),
        common._replace(
            action="quarantine",
            gate=Gate.CONTAIN,
            undo="`firebreak release` takes the labels off and puts the selectors of the other policies back.",
        ),
        common._replace(action="collect", undo="Nothing to undo: it only reads."),
        common._replace(
            action="delete_pods",
            gate=Gate.ERADICATE,
            undo="Nothing brings a deleted pod back; a workload that was scaled to zero is scaled up again.",
        ),
        common._replace(
            action="archive",
            gate=Gate.ERADICATE,
            undo="The digest is restored from the archive of ECR; other registries are a task for their owner.",
        ),
        common._replace(
            action="delete",
            gate=Gate.ERADICATE,
            undo="Nothing brings a deleted image back, except pushing the copy that the evidence keeps.",
        ),
    )


def image_targets(s: Situation) -> tuple[Target, ...]:
    """The digests that really run, else the images as the finding writes them, which proves less (guide I1)."""
    running = {c.image_id for p in s.pods for c in p.containers if c.image_id}
    names = running or set(named_images(s.finding))
    return tuple(Target(kind=TargetKind.IMAGE, name=n) for n in sorted(names))
