"""Image references: what they name, which of a finding's images are suspected, and whose registry holds them.

Source: https://github.com/distribution/reference (the normalisation that container runtimes apply).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from findings.model import Finding
from findings.text import cleaned
from plans.observed import PodFacts
from plans.routing import named_images

_DIGEST = re.compile(r"(?:.*@|)(sha256:[0-9a-f]{64})", re.ASCII)
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,500}", re.ASCII)
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]{5,30})\.(?:amazonaws\.com(?:\.cn)?|on\.aws)"
    r"/(?P<repository>[a-z0-9][a-z0-9._/-]{1,255})@(?P<digest>sha256:[0-9a-f]{64})",
    re.ASCII,
)
_DOCKER_HUB = "docker.io"


class EcrImage(NamedTuple):
    """An image in a private repository of ECR, by its digest."""

    account: str
    region: str
    repository: str
    digest: str

    @property
    def name(self) -> str:
        """`repository@sha256:…`, as it is called within its registry."""
        return f"{self.repository}@{self.digest}"


def digest_of(reference: str) -> str:
    """The digest that a reference ends with, `sha256:…`, or "": a tag can be moved, a digest cannot."""
    match = _DIGEST.fullmatch(reference)
    return match[1] if match else ""


def is_reference(text: str) -> bool:
    """Whether a text has the characters of an image reference and no others, so that it may stand in an expression."""
    return _REFERENCE.fullmatch(text) is not None


def ecr_image(reference: str) -> EcrImage | None:
    """The image in ECR that a reference names by digest; None for other registries."""
    match = _ECR.fullmatch(reference)
    return EcrImage(match["account"], match["region"], match["repository"], match["digest"]) if match else None


def repository_of(image: str) -> str:
    """The repository of a reference, with the registry that runtimes assume: `nginx:1` is `docker.io/library/nginx`."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    # A colon after the last slash begins a tag; one before it is the port of the registry.
    name = head + slash + last.partition(":")[0]
    registry, slash, rest = name.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, rest = _DOCKER_HUB, name
    if registry == "index.docker.io":
        registry = _DOCKER_HUB
    if registry == _DOCKER_HUB and "/" not in rest:
        rest = f"library/{rest}"
    return f"{registry}/{rest}"


def normalised(reference: str) -> str:
    """A reference as runtimes understand it: registry, repository, and the tag `latest` where there is none."""
    if digest := digest_of(reference):
        return f"{repository_of(reference)}@{digest}"
    tag = reference.rpartition("/")[2].partition(":")[2] or "latest"
    return f"{repository_of(reference)}:{tag}"


def shown(reference: str) -> str:
    """A reference, fit to stand in a sentence and long enough to be whole: its end is the digest, which matters."""
    return cleaned(reference, 400)


def shown_all(references: Iterable[str], most: int = 5) -> str:
    """References in a sentence: `a, b and 3 more`."""
    names = list(references)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shown(n) for n in names[:most]) + rest


def accused_images(finding: Finding) -> tuple[str, ...]:
    """The images that a finding accuses: those of the containers that it saw, else all of its workload."""
    return tuple(dict.fromkeys(c.image for c in finding.containers if c.image)) or named_images(finding)


def suspected_images(finding: Finding, pods: Iterable[PodFacts]) -> tuple[str, ...]:
    """The digests that run in the finding's pods from the images that it accuses (guide I1: the digest, not the tag).

    A harmless container beside the compromised one keeps its image. Where nothing that runs is accused by name, every
    image of the pods is suspected, and a person decides.
    """
    running = {(c.image, c.image_id) for p in pods for c in p.containers if c.image_id}
    accused = {normalised(i) for i in accused_images(finding)}
    digests = {d for i in accused if (d := digest_of(i))}
    hit = {i for image, i in running if normalised(image) in accused or digest_of(i) in digests}
    return tuple(sorted(hit or {i for _, i in running} or {i for i in accused_images(finding) if digest_of(i)}))


def image_doubt(finding: Finding, images: Iterable[str], pods: Iterable[PodFacts]) -> str:
    """Why it is not certain that these images are the compromised ones, as a sentence, or ""."""
    accused = {normalised(i) for i in accused_images(finding)}
    digests = {d for i in accused if (d := digest_of(i))}
    written = {normalised(c.image) for p in pods for c in p.containers}
    if not accused & written and not digests & {digest_of(i) for i in images}:
        return "The image that the finding names is not written in any of its pods; what they run is taken for it."
    if len(set(images)) > 1 and not any(c.image for c in finding.containers):
        return f"The finding names a workload of {len(set(images))} images and does not say which is compromised."
    return ""
