"""The node's images, made of the host's static busybox: there is no registry, and nothing is downloaded.

One archive holds all of them, in the layout of the Open Container Initiative, whose digests are known before anything
is imported. The same busybox makes the same digests.

Source: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from devstack.real_node.names import BUSYBOX_IMAGE, DEMO_IMAGE, PAUSE_IMAGE
from devstack.real_node.preconditions import static_busybox
from devstack.state import StackError

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_OCI = "application/vnd.oci.image"
_DEMO = "/bin/demo"


@dataclass(frozen=True)
class _Image:
    """One image: what its process is, and which files it has beside busybox."""

    name: str
    command: tuple[str, ...]
    files: Mapping[str, bytes]


def _images() -> tuple[_Image, ...]:
    demo = files("devstack.real_node").joinpath("demo.sh").read_bytes()
    return (
        # The process that holds a pod's namespaces only has to stay.
        _Image(PAUSE_IMAGE, ("/bin/sleep", "infinity"), {}),
        _Image(BUSYBOX_IMAGE, ("/bin/sh",), {}),
        _Image(DEMO_IMAGE, (_DEMO,), {_DEMO: demo}),
    )


def image_digest(name: str) -> str:
    """The digest of one of the images, ``sha256:…``, by which a pod can name it: ``repository@digest``.

    Raises:
        StackError: There is no such image, or no static busybox.
    """
    for entry in json.loads(_layout()["index.json"])["manifests"]:
        if entry["annotations"]["io.containerd.image.name"] == name:
            return str(entry["digest"])
    raise StackError(f"{name}: the real node has no such image")


def write_images(archive: Path) -> None:
    """Write the archive that `ctr images import` reads.

    Raises:
        StackError: There is no static busybox.
    """
    with tarfile.open(archive, "w") as tar:
        for name, content in _layout().items():
            _add_file(tar, name, content, 0o644)


@cache
def _layout() -> dict[str, bytes]:
    """The archive's files by name."""
    found = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"})}
    manifests = []
    for image in _images():
        layer = _layer(image.files)
        blobs = [layer, _config(image, layer)]
        described = [
            {"mediaType": f"{_OCI}.layer.v1.tar", **_described(blobs[0])},
            {"mediaType": f"{_OCI}.config.v1+json", **_described(blobs[1])},
        ]
        kind = f"{_OCI}.manifest.v1+json"
        manifest = _json({"schemaVersion": 2, "mediaType": kind, "config": described[1], "layers": [described[0]]})
        # The same manifest under two names: by tag for people, by digest because that is what findings name.
        by_digest = f"{image.name.rpartition(':')[0]}@{_described(manifest)['digest']}"
        for name in (image.name, by_digest):
            annotations = {"io.containerd.image.name": name}
            manifests.append({"mediaType": kind, **_described(manifest), "annotations": annotations})
        for blob in (*blobs, manifest):
            found[f"blobs/{_described(blob)['digest'].replace(':', '/')}"] = blob
    found["index.json"] = _json({"schemaVersion": 2, "manifests": manifests})
    return found


def _config(image: _Image, layer: bytes) -> bytes:
    return _json(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Cmd": list(image.command), "Env": ["PATH=/bin"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [_described(layer)["digest"]]},
        }
    )


def _layer(extra: Mapping[str, bytes]) -> bytes:
    program, applets = _busybox()
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for folder in ("bin", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        _add_file(tar, "bin/busybox", program, 0o755)
        for applet in applets:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name, text in extra.items():
            _add_file(tar, name.lstrip("/"), text, 0o755)
    return content.getvalue()


@cache
def _busybox() -> tuple[bytes, list[str]]:
    """The program and the names that it answers to."""
    path = static_busybox()
    if path is None:
        raise StackError("the images of a real node are made of a static busybox, which is missing")
    listed = subprocess.run([path, "--list"], capture_output=True, text=True, check=True)
    return path.read_bytes(), sorted({name for name in listed.stdout.split() if name != "busybox"})


def _add_file(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    # TarInfo's own time is 1970 and its owner root, so that equal content has equal digests.
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _described(blob: bytes) -> dict[str, Any]:
    return {"digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
