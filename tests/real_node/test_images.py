"""The archive of images, which is made on this machine from its own busybox."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from devstack.real_node.images import image_digest, write_images
from devstack.real_node.names import BUSYBOX_IMAGE, DEMO_IMAGE, PAUSE_IMAGE
from devstack.state import StackError

pytestmark = [pytest.mark.real_node]


@pytest.fixture
def archive(tmp_path: Path) -> dict[str, bytes]:
    write_images(tmp_path / "images.tar")
    with tarfile.open(tmp_path / "images.tar") as tar:
        return {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]


def blob(archive: dict[str, bytes], described: dict[str, Any]) -> bytes:
    content = archive[f"blobs/{described['digest'].replace(':', '/')}"]
    assert described["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert described["size"] == len(content)
    return content


def test_every_digest_is_that_of_the_content(archive: dict[str, bytes]) -> None:
    named = {}
    for entry in json.loads(archive["index.json"])["manifests"]:
        manifest = json.loads(blob(archive, entry))
        [layer] = manifest["layers"]
        config = json.loads(blob(archive, manifest["config"]))
        # The layer is not compressed, so that both digests are the same.
        assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(blob(archive, layer)).hexdigest()}"]
        named[entry["annotations"]["io.containerd.image.name"]] = entry["digest"]
    for image in (PAUSE_IMAGE, BUSYBOX_IMAGE, DEMO_IMAGE):
        digest = image_digest(image)
        assert named[image] == named[f"{image.rpartition(':')[0]}@{digest}"] == digest


def test_the_demo_image_has_its_script_and_the_tools(archive: dict[str, bytes]) -> None:
    entry = next(e for e in json.loads(archive["index.json"])["manifests"] if e["digest"] == image_digest(DEMO_IMAGE))
    [layer] = json.loads(blob(archive, entry))["layers"]
    with tarfile.open(fileobj=io.BytesIO(blob(archive, layer))) as tar:
        assert {"bin/busybox", "bin/demo", "bin/sh", "bin/nc", "bin/ps"} <= set(tar.getnames())
        assert tar.getmember("bin/demo").mode == 0o755


def test_an_unknown_image_is_refused() -> None:
    with pytest.raises(StackError, match="no such image"):
        image_digest("firebreak.dev/other:1")
