"""Image references: which repository one names, and whether it names its content by digest.

Source: https://github.com/distribution/reference (the normalisation that container runtimes apply).
"""

from __future__ import annotations

import re

from errors import InputError
from plans.images import repository_of as repository_of

_DIGEST = re.compile(r"(?P<repository>[a-zA-Z0-9][a-zA-Z0-9._:/-]*)@sha256:[0-9a-f]{64}", re.ASCII)


def fixed_repository(image: str) -> str:
    """The normalised repository of an image that is named by digest, `repository@sha256:…`.

    Raises:
        InputError: It is not. A tag can be moved to another image between the approval and the pull.
    """
    match = _DIGEST.fullmatch(image)
    if match is None or ":" in match["repository"].rpartition("/")[2]:
        raise InputError("image", "repository@sha256: and 64 hex digits, without a tag", repr(image[:200]))
    return repository_of(image)
