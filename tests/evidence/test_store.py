from __future__ import annotations

import hashlib
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mypy_boto3_s3 import S3Client

from errors import Conflict, EvidenceError, FirebreakError, Forbidden, InputError, TargetGone
from evidence.retention import Lock
from evidence.s3 import PART_SIZE, S3Store
from evidence.store import EvidenceStore, is_plain_key, open_store, read_bytes

MEGABYTE = b"z" * (1 << 20)


def test_what_is_put_is_hashed_and_read_back(store: EvidenceStore) -> None:
    stored = store.put("a/b.json", iter([b"one", b"", b"two"]))
    assert stored == ("a/b.json", hashlib.sha256(b"onetwo").hexdigest(), 6)
    assert b"".join(store.get("a/b.json")) == b"onetwo"


def test_an_empty_artefact_is_an_artefact(store: EvidenceStore) -> None:
    assert store.put("a/empty.log", iter([])).size == 0
    assert list(store.keys("a")) == ["a/empty.log"]
    assert b"".join(store.get("a/empty.log")) == b""


@pytest.mark.parametrize("size", [PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE + 3], ids=["one part", "and one", "three"])
def test_streams_of_several_parts_are_whole(store: EvidenceStore, size: int) -> None:
    data = os.urandom(size)
    stored = store.put("long", (data[i : i + 100_000] for i in range(0, size, 100_000)))
    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert hashlib.sha256(b"".join(store.get("long"))).hexdigest() == stored.sha256


def test_the_same_content_again_is_a_success_and_other_content_a_conflict(store: EvidenceStore) -> None:
    first = store.create("a", b"content")
    assert store.create("a", b"content") == first
    assert store.put("a", iter([b"con", b"tent"])) == first
    with pytest.raises(Conflict):
        store.create("a", b"other")
    with pytest.raises(Conflict):
        store.put("a", iter([MEGABYTE] * 20))
    assert read_bytes(store, "a") == b"content"


def test_what_is_absent_is_gone(store: EvidenceStore) -> None:
    with pytest.raises(TargetGone):
        store.get("nothing")
    assert list(store.keys("nothing")) == []


def test_keys_are_sorted_and_prefixes_are_whole_segments(store: EvidenceStore) -> None:
    for key in ("b/2", "a/1", "ab/1", "a/1x", "a/0/deep"):
        store.create(key, b"")
    assert list(store.keys("a")) == ["a/0/deep", "a/1", "a/1x"]
    assert list(store.keys("a/1")) == ["a/1"]
    assert list(store.keys("")) == ["a/0/deep", "a/1", "a/1x", "ab/1", "b/2"]


@pytest.mark.parametrize("megabytes", [1, 20])
def test_a_stream_that_breaks_off_leaves_nothing(store: EvidenceStore, megabytes: int) -> None:
    def breaking() -> Iterator[bytes]:
        for _ in range(megabytes):
            assert list(store.keys("")) == []
            yield MEGABYTE
        raise RuntimeError("the connection is gone")

    with pytest.raises(RuntimeError, match="connection"):
        store.put("broken", breaking())
    assert list(store.keys("")) == []
    if isinstance(store, S3Store):
        assert not store._client.list_multipart_uploads(Bucket=store._bucket).get("Uploads")


def test_of_many_writers_one_wins_and_all_others_are_told(store: EvidenceStore) -> None:
    outcomes: list[str] = []

    def write(number: int) -> None:
        try:
            store.create("raced", b"writer %d" % number)
            outcomes.append(f"writer {number}")
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = [o for o in outcomes if o != "conflict"]
    assert len(outcomes) == 8
    assert winner == [read_bytes(store, "raced").decode()]


HOSTILE = ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", ".partial/x", "-rf", "a\n", "a b", "a\\b"]


@pytest.mark.parametrize("key", [*HOSTILE, "ä", "a\0b", "a:b", "%2e%2e", "x" * 201, "/".join("ab" for _ in range(400))])
def test_keys_that_are_not_plain_are_refused(store: EvidenceStore, key: str) -> None:
    with pytest.raises(InputError):
        store.create(key, b"")
    with pytest.raises(InputError):
        store.get(key)


@given(st.text(max_size=40))
def test_a_plain_key_stays_below_its_root(key: str) -> None:
    if is_plain_key(key):
        assert os.path.normpath(f"/root/{key}") == f"/root/{key}"
        assert key.isascii()
        assert key.isprintable()


def test_only_the_owner_can_enter_and_read(folder: EvidenceStore) -> None:
    folder.create("a/b/c", b"")
    root = Path(folder.location)
    for path in (root, root / "a", root / "a/b", root / ".partial"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "a/b/c").stat().st_mode) == 0o600


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_listed(folder: EvidenceStore) -> None:
    code = (
        "import os, sys\nfrom evidence.store import open_store\n"
        "def chunks():\n    yield b'half'\n    os.kill(os.getpid(), 9)\n    yield b'other half'\n"
        "open_store(sys.argv[1]).put('a/b', chunks())"
    )
    ended = subprocess.run([sys.executable, "-c", code, folder.location], check=False, cwd=Path(__file__).parents[2])
    assert ended.returncode == -9
    assert list(folder.keys("")) == []
    # The next writer is not hindered by what the dead one left.
    folder.create("a/b", b"whole")
    assert list(folder.keys("")) == ["a/b"]


def test_what_dead_writers_left_is_cleared_after_a_day(folder: EvidenceStore) -> None:
    partial = Path(folder.location, ".partial")
    partial.mkdir(parents=True)
    for name, age in (("old", 90_000), ("young", 60)):
        (partial / name).write_bytes(b"half")
        then = (partial / name).stat().st_mtime - age
        os.utime(partial / name, (then, then))
    folder.create("a", b"")
    assert [p.name for p in partial.iterdir()] == ["young"]


def test_a_link_in_the_folder_is_listed_and_not_followed(folder: EvidenceStore, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not evidence")
    folder.create("a/b", b"")
    Path(folder.location, "a/link").symlink_to(secret)
    Path(folder.location, "a/folder").symlink_to(tmp_path)
    assert list(folder.keys("")) == ["a/b", "a/folder", "a/link"]
    with pytest.raises(EvidenceError):
        folder.get("a/link")


@pytest.mark.parametrize("location", ["", "https://bucket/x", "s3://", "s3://UPPER", "s3://bucket/../up", "a\nb"])
def test_locations_that_make_no_sense_are_named(location: str) -> None:
    with pytest.raises(InputError, match="FIREBREAK_EVIDENCE"):
        open_store(location)


def test_an_s3_location_needs_a_client() -> None:
    with pytest.raises(InputError, match="client"):
        open_store("s3://bucket")


def test_a_bucket_that_does_not_exist_is_an_error_of_our_tree(s3: S3Client) -> None:
    store = open_store("s3://no-such-bucket-here", s3)
    for call in (lambda: store.create("a", b""), lambda: store.get("a"), lambda: list(store.keys(""))):
        with pytest.raises(FirebreakError):
            call()


def test_object_lock_without_a_default_rule_is_set_on_each_object(s3: S3Client) -> None:
    s3.create_bucket(Bucket="locked-bare", ObjectLockEnabledForBucket=True)
    # The stand-in forgets the retention of a multipart upload, so what is asked for is looked at instead.
    asked: list[str] = []
    hook = "provide-client-params.s3.CreateMultipartUpload"
    s3.meta.events.register(hook, lambda params, **_: asked.append(params["ObjectLockMode"]), unique_id="look")
    store = open_store("s3://locked-bare", s3)
    assert isinstance(store, S3Store)
    store.create("short", b"x")
    store.put("long", iter([MEGABYTE] * 9))
    s3.meta.events.unregister(hook, unique_id="look")
    assert store.lock is Lock.PER_OBJECT
    assert s3.head_object(Bucket="locked-bare", Key="short")["ObjectLockMode"] == "GOVERNANCE"
    assert asked == ["GOVERNANCE"]


def test_the_default_rule_of_a_bucket_governs(s3: S3Client) -> None:
    s3.create_bucket(Bucket="locked-ruled", ObjectLockEnabledForBucket=True)
    s3.put_object_lock_configuration(
        Bucket="locked-ruled",
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 3}},
        },
    )
    store = open_store("s3://locked-ruled", s3)
    assert isinstance(store, S3Store)
    store.create("a", b"x")
    assert store.lock is Lock.BUCKET_DEFAULT


def test_a_bucket_without_object_lock_gets_no_retention(s3: S3Client) -> None:
    s3.create_bucket(Bucket="unlocked-bare")
    store = open_store("s3://unlocked-bare", s3)
    assert isinstance(store, S3Store)
    store.create("a", b"x")
    assert store.lock is Lock.NONE


def test_two_hundred_megabytes_pass_in_bounded_memory(folder: EvidenceStore) -> None:
    _grows_less_than(64, lambda: folder.put("long", (MEGABYTE for _ in range(200))))


def _grows_less_than(megabytes: int, call: object) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert callable(call)
    call()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < megabytes, f"{grown:.0f} MB"


def test_a_folder_that_may_not_be_written_is_forbidden(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(Forbidden):
        open_store(str(tmp_path / "evidence")).create("a", b"")
