"""Which of a step's images lie in the registry that Firebreak may change, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from contracts.steps import StepRequest, Task, task_id
from plans.images import EcrImage, ecr_image, repository_of, shown
from plans.situation import words
from settings import Settings


class Sorted(NamedTuple):
    """The images of a step: those in our account's registry and region, and the names of all others."""

    ours: tuple[EcrImage, ...]
    others: tuple[str, ...]


def sort_images(request: StepRequest, settings: Settings) -> Sorted:
    """Tell the images of our own registry from all others."""
    ours: list[EcrImage] = []
    others: list[str] = []
    for target in request.step.targets:
        image = ecr_image(target.name)
        if image is not None and (image.account, image.region) == (settings.account, settings.region):
            ours.append(image)
        else:
            others.append(target.name)
    return Sorted(tuple(ours), tuple(others))


def owner_tasks(request: StepRequest, names: Iterable[str], what: str) -> tuple[Task, ...]:
    """What the owner of another registry must do, one task an image (guide I1)."""
    tasks = []
    for name in names:
        registry = repository_of(name).partition("/")[0]
        tasks.append(
            Task(
                id=task_id(request.step.step, name),
                step=request.step.step,
                text=f"{what} the image {shown(name)} in its registry, which Firebreak may not change.",
                owner=words(registry),
            )
        )
    return tuple(tasks)
