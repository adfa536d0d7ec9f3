"""Image references: which repository one names, and whether it names its content by digest.

Source: https://github.com/distribution/reference (the normalisation that container runtimes apply).
"""

from __future__ import annotations

import re

from errors import InputError

_DIGEST = re.compile(r"(?P<repository>[a-zA-Z0-9][a-zA-Z0-9._:/-]*)@sha256:[0-9a-f]{64}", re.ASCII)
_DOCKER_HUB = "docker.io"


def fixed_repository(image: str) -> str:
    """The normalised repository of an image that is named by digest, `repository@sha256:…`.

    Raises:
        InputError: It is not. A tag can be moved to another image between the approval and the pull.
    """
    match = _DIGEST.fullmatch(image)
    if match is None or ":" in match["repository"].rpartition("/")[2]:
        raise InputError("image", "repository@sha256: and 64 hex digits, without a tag", repr(image[:200]))
    return repository_of(image)


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
