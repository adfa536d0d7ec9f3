"""How many targets travel, and how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from activities.assess.target_list import carry_targets
from activities.targets import read_targets
from contracts.common import IncidentKey, PodTarget
from errors import EvidenceError, Unavailable
from evidence.store import EvidenceStore, Stored, open_store

INCIDENT = IncidentKey(workflow_id="gd/123456789012/us-east-1/abc", run_id="run-1")


def targets(count: int) -> list[PodTarget]:
    return [PodTarget(namespace="shop", name=f"web-{n}", uid=f"uid-{n}") for n in range(count)]


class Down:
    """A store that does not answer."""

    location = "s3://nowhere"

    def put(self, key: str, chunks: Iterable[bytes]) -> Stored:
        raise Unavailable("the bucket does not answer")

    def create(self, key: str, data: bytes) -> Stored:
        raise Unavailable("the bucket does not answer")

    def get(self, key: str) -> Iterator[bytes]:
        raise Unavailable("the bucket does not answer")

    def keys(self, prefix: str) -> Iterator[str]:
        raise Unavailable("the bucket does not answer")


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    return open_store(str(tmp_path))


def test_two_hundred_travel_inline(store: EvidenceStore) -> None:
    carried, warning = carry_targets(store, INCIDENT, targets(200))
    assert (len(carried.inline), carried.count, carried.reference, warning) == (200, 200, None, "")


def test_more_are_a_list_that_reads_the_same(store: EvidenceStore) -> None:
    carried, warning = carry_targets(store, INCIDENT, targets(201))
    assert carried.inline == () and carried.count == 201 and not warning
    assert carried.reference is not None and carried.reference.key == f"{INCIDENT.evidence_prefix}/targets.jsonl"
    assert list(read_targets(store, carried)) == targets(201)
    # A retry of the activity finds its own list; another look that finds other pods writes another one.
    assert carry_targets(store, INCIDENT, targets(201))[0] == carried
    other = carry_targets(store, INCIDENT, targets(300))[0]
    assert list(read_targets(store, other)) == targets(300) and list(read_targets(store, carried)) == targets(201)


def test_a_store_that_is_down_does_not_stop_containment() -> None:
    carried, warning = carry_targets(Down(), INCIDENT, targets(500))
    assert len(carried.inline) == 500 and "does not answer" in warning
    with pytest.raises(EvidenceError, match="5000 targets"):
        carry_targets(Down(), INCIDENT, targets(5000))
