"""Manifests of images, read with care: whoever pushed the image wrote them.

Source: https://github.com/opencontainers/image-spec/blob/main/manifest.md and image-index.md
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

from errors import InputError

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_LONGEST: Final = 4 << 20
"""Registries refuse manifests of more than 4 MiB."""
_MOST_PARTS: Final = 500


class Part(NamedTuple):
    """What a manifest refers to. `foreign` are layers that the registry does not hold but says where to find."""

    digest: str
    size: int
    foreign: bool = False


class Parsed(NamedTuple):
    """A manifest's own parts, or the manifests of an index."""

    blobs: tuple[Part, ...]
    children: tuple[str, ...]


def parse(text: bytes) -> Parsed:
    """Read a manifest or an index.

    Raises:
        InputError: It is neither, or it refers to something by anything but a digest.
    """
    if len(text) > _LONGEST:
        raise InputError("manifest", f"at most {_LONGEST} bytes", str(len(text)))
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("manifest", "JSON") from None
    if not isinstance(manifest, dict):
        raise InputError("manifest", "a JSON object")
    children = tuple(p.digest for p in _parts(manifest.get("manifests")))
    layers = _parts(manifest.get("layers"))
    config = _parts([manifest["config"]]) if isinstance(manifest.get("config"), dict) else ()
    # The oldest format of all, in which layers have digests and nothing else.
    old = _parts([{"digest": x.get("blobSum")} for x in manifest.get("fsLayers") or () if isinstance(x, dict)])
    if not children and not layers and not config and not old:
        raise InputError("manifest", "an image or an index of images")
    return Parsed(tuple(dict.fromkeys((*config, *layers, *old))), tuple(dict.fromkeys(children)))


def _parts(found: Any) -> tuple[Part, ...]:
    if not isinstance(found, list):
        return ()
    if len(found) > _MOST_PARTS:
        raise InputError("manifest", f"at most {_MOST_PARTS} parts", str(len(found)))
    return tuple(_part(one) for one in found)


def _part(one: Any) -> Part:
    digest = one.get("digest") if isinstance(one, dict) else None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise InputError("manifest", "parts named by sha256 digest", str(digest)[:100])
    size = one.get("size")
    return Part(digest, size if isinstance(size, int) and size >= 0 else 0, bool(one.get("urls")))
