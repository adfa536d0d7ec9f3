from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from mypy_boto3_s3 import S3Client

from evidence.document import SealedList
from evidence.entry import Entry, EntrySubject
from evidence.manifest import Head, seal
from evidence.store import EvidenceStore, open_store

PREFIX = "incidents/gd-1-finding-0a1b2c3d/run-1"
AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Client]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="invented",
        aws_secret_access_key="invented",
        region_name="us-east-1",
    )
    yield client
    client.close()
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> EvidenceStore:
    if request.param == "folder":
        return open_store(str(tmp_path / "evidence"))
    client: S3Client = request.getfixturevalue("s3")
    # Bucket names are unique to a test, so that no test sees another one's objects.
    bucket = f"evidence-{abs(hash(request.node.nodeid)):x}"[:60]
    client.create_bucket(Bucket=bucket)
    return open_store(f"s3://{bucket}/firebreak", client)


@pytest.fixture
def folder(tmp_path: Path) -> EvidenceStore:
    return open_store(str(tmp_path / "evidence"))


def entry(key: str, data: bytes, store: EvidenceStore, kind: str = "pod-manifest") -> Entry:
    stored = store.create(f"{PREFIX}/{key}", data)
    return Entry(
        key=key,
        sha256=stored.sha256,
        size=stored.size,
        kind=kind,
        source="GET /api/v1/namespaces/shop/pods/web",
        subject=EntrySubject(kind="Pod", namespace="shop", name="web", uid=key.split("/")[1]),
        collected_at=AT,
        activity="collect_pods/1/1",
        worker="worker-1",
    )


def entry_list(store: EvidenceStore, key: str, entries: list[Entry]) -> SealedList:
    stored = store.create(f"{PREFIX}/{key}", b"".join(e.line() + b"\n" for e in entries))
    return SealedList(key=key, sha256=stored.sha256, count=len(entries), size=stored.size)


def two_phases(store: EvidenceStore) -> Head:
    """Two manifests: five artefacts from a list, then two given directly."""
    first = [entry(f"pods/uid-{n}/manifest.json", b'{"pod":%d}' % n, store) for n in range(5)]
    listed = entry_list(store, "entries/pod.collect-1.jsonl", first)
    seal(store, PREFIX, "collect", [listed], [], sealed_by="worker-1")
    second = [entry(f"pods/uid-{n}/events.json", b'{"events":%d}' % n, store) for n in range(2)]
    return seal(store, PREFIX, "eradicate", [], second, sealed_by="worker-2")
