from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import EvidenceError, TargetGone
from evidence.document import SealedList, chain_next, chain_start
from evidence.entry import Entry, Outcome, canonical
from evidence.manifest import read_manifests, seal
from evidence.read import fetch, fetch_all, find_entry, list_entries
from evidence.store import EvidenceStore, open_store
from evidence.verify import Problem, ProblemKind, verify
from tests.evidence.conftest import AT, PREFIX, entry, entry_list, two_phases

Tamper = Callable[[Path], object]


def _edit(root: Path, number: int, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path = root / f"manifest/{number:04d}.json"
    path.write_bytes(b"\n".join(change(path.read_bytes().split(b"\n"))))


def _swap(lines: list[bytes]) -> list[bytes]:
    """The second and third entry change places; the commas between entries stay where they are."""
    lines[2], lines[3] = lines[3], lines[2]
    return lines


def _relinked(root: Path, number: int, change: Callable[[list[object]], None]) -> None:
    """Rewrite a manifest as somebody would who knows the format: entries, chain and footer fit each other again."""
    path = root / f"manifest/{number:04d}.json"
    document = json.loads(path.read_bytes())
    entries = [record["entry"] for record in document["entries"]]
    change(entries)
    header = document["header"]
    chain = chain_start(header["incident"], header["number"], header["previous"])
    lines = [canonical({"header": header})[:-1] + b',"entries":[']
    for n, raw in enumerate(entries, 1):
        chain = chain_next(chain, n, raw)
        lines.append((b"," if n > 1 else b"") + canonical({"chain": chain, "entry": raw, "n": n}))
    footer = document["footer"] | {"entries": len(entries), "chain": chain}
    lines += [b"]," + canonical({"footer": footer})[1:], b""]
    path.write_bytes(b"\n".join(lines))


def _forge(root: Path) -> None:
    def change(entries: list[object]) -> None:
        first = entries[0]
        assert isinstance(first, dict)
        first["sha256"] = hashlib.sha256(b"forged").hexdigest()

    (root / "pods/uid-0/events.json").write_bytes(b"forged")
    _relinked(root, 2, change)


def _pop(entries: list[object]) -> None:
    entries.pop()


MANIFEST_1, MANIFEST_2 = "manifest/0001.json", "manifest/0002.json"
LIST = "entries/pod.collect-1.jsonl"
POD_1, POD_2, POD_3, POD_4 = (f"pods/uid-{n}/manifest.json" for n in range(1, 5))
EVENTS = "pods/uid-1/events.json"
PLANTED = "pods/uid-1/planted.log"


def _first_line(old: bytes, new: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: [lines[0].replace(old, new), *lines[1:]]


def _second_entry(old: bytes, new: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: [*lines[:2], lines[2].replace(old, new), *lines[3:]]


CASES: list[tuple[str, Tamper, ProblemKind, str]] = [
    ("changed", lambda r: (r / POD_3).write_bytes(b"x"), ProblemKind.CHANGED, POD_3),
    ("missing", lambda r: (r / EVENTS).unlink(), ProblemKind.MISSING, EVENTS),
    ("added", lambda r: (r / PLANTED).write_bytes(b"x"), ProblemKind.ADDED, PLANTED),
    ("list changed", lambda r: (r / LIST).write_bytes(b"{}\n"), ProblemKind.CHANGED, LIST),
    ("list missing", lambda r: (r / LIST).unlink(), ProblemKind.MISSING, LIST),
    ("reordered", lambda r: _edit(r, 1, _swap), ProblemKind.REORDERED, POD_2),
    ("entry edited", lambda r: _edit(r, 1, _second_entry(b"shop", b"shed")), ProblemKind.EDITED, POD_1),
    ("entry taken out", lambda r: _edit(r, 1, lambda ls: ls[:2] + ls[3:]), ProblemKind.ADDED, POD_1),
    ("last entry taken out", lambda r: _edit(r, 1, lambda ls: ls[:5] + ls[6:]), ProblemKind.EDITED, MANIFEST_1),
    ("header edited", lambda r: _edit(r, 1, _first_line(b"worker-1", b"me")), ProblemKind.BROKEN_CHAIN, MANIFEST_2),
    ("footer spoiled", lambda r: _edit(r, 2, lambda ls: [*ls[:-2], b"]}", b""]), ProblemKind.EDITED, MANIFEST_2),
    ("no JSON", lambda r: (r / MANIFEST_1).write_bytes(b"\xff{"), ProblemKind.EDITED, MANIFEST_1),
    ("manifest missing", lambda r: (r / MANIFEST_1).unlink(), ProblemKind.MISSING, MANIFEST_1),
    ("relinked against the list", lambda r: _relinked(r, 1, list.reverse), ProblemKind.EDITED, POD_4),
    ("relinked first manifest", lambda r: _relinked(r, 1, _pop), ProblemKind.BROKEN_CHAIN, MANIFEST_2),
]


@pytest.mark.parametrize(("tamper", "kind", "key"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_tampering_is_found_and_named(folder: EvidenceStore, tamper: Tamper, kind: ProblemKind, key: str) -> None:
    head = two_phases(folder)
    assert verify(folder, PREFIX, head.sha256).ok
    tamper(Path(folder.location) / PREFIX)
    result = verify(folder, PREFIX)
    assert not result.ok
    assert (kind, key) in [(p.kind, p.key) for p in result.problems], result.problems


def test_whole_evidence_verifies_in_every_store(store: EvidenceStore) -> None:
    head = two_phases(store)
    result = verify(store, PREFIX, head.sha256, head.manifests)
    assert result.ok
    assert result.problems == ()
    # The list is hashed too, and is no artefact: people compare these numbers with what `show` says.
    assert (result.manifests, result.artefacts, result.bytes) == (2, head.artefacts, head.bytes)
    assert head.artefacts == 7
    assert result.head == head.sha256
    assert result.head_checked


def _problem(folder: EvidenceStore, head: str, count: int = 0) -> Problem:
    result = verify(folder, PREFIX, head, count)
    assert not result.ok
    return result.problems[-1]


def test_a_cut_tail_is_found_with_the_head_only(folder: EvidenceStore) -> None:
    head = two_phases(folder)
    root = Path(folder.location) / PREFIX
    (root / "manifest/0002.json").unlink()
    for n in range(2):
        (root / f"pods/uid-{n}/events.json").unlink()
    assert verify(folder, PREFIX).ok
    assert not verify(folder, PREFIX).head_checked
    assert _problem(folder, head.sha256)[:2] == (ProblemKind.TRUNCATED, "manifest/0001.json")
    assert _problem(folder, head.sha256, head.manifests)[:2] == (ProblemKind.TRUNCATED, "manifest/0002.json")


def test_a_forged_tail_is_found_with_the_head_only(folder: EvidenceStore) -> None:
    head = two_phases(folder)
    _forge(Path(folder.location) / PREFIX)
    assert verify(folder, PREFIX).ok
    assert _problem(folder, head.sha256, head.manifests)[:2] == (ProblemKind.TRUNCATED, "manifest/0002.json")


def test_a_manifest_behind_the_head_is_found(folder: EvidenceStore) -> None:
    head = two_phases(folder)
    seal(folder, PREFIX, "later", [], [], sealed_by="somebody")
    assert _problem(folder, head.sha256)[:2] == (ProblemKind.ADDED, "manifest/0003.json")


def test_nothing_at_all_is_not_proof(folder: EvidenceStore) -> None:
    assert verify(folder, PREFIX).problems[0][:2] == (ProblemKind.MISSING, "manifest/0001.json")


def test_a_manifest_of_another_incident_does_not_fit(folder: EvidenceStore) -> None:
    two_phases(folder)
    root = Path(folder.location)
    other = root / "incidents/other/run/manifest"
    other.mkdir(parents=True)
    (other / "0001.json").write_bytes((root / PREFIX / "manifest/0001.json").read_bytes())
    found = {(p.kind, p.key) for p in verify(folder, "incidents/other/run").problems}
    assert (ProblemKind.BROKEN_CHAIN, "manifest/0001.json") in found


def test_failed_collectors_are_counted_and_are_no_problem(folder: EvidenceStore) -> None:
    failed = Entry(kind="container-log", collected_at=AT, outcome=Outcome.FAILED, reason="the node does not answer")
    seal(folder, PREFIX, "collect", [], [failed], sealed_by="w")
    result = verify(folder, PREFIX)
    assert (result.ok, result.failed_collectors, result.artefacts) == (True, 1, 0)


def test_sealing_the_same_request_again_adds_nothing(store: EvidenceStore) -> None:
    one = entry("pods/uid-1/manifest.json", b"{}", store)
    listed = entry_list(store, "entries/a.jsonl", [one])
    first = seal(store, PREFIX, "collect", [listed], [], sealed_by="worker-1")
    assert seal(store, PREFIX, "collect", [listed], [], sealed_by="worker-2") == first
    assert seal(store, PREFIX, "report", [listed], [], sealed_by="worker-1").manifests == 2


@pytest.mark.parametrize("same", [True, False], ids=["the same request", "different requests"])
def test_racing_seals_give_one_straight_chain(folder: EvidenceStore, same: bool) -> None:
    one = entry("pods/uid-1/manifest.json", b"{}", folder)
    start = threading.Barrier(8)

    def run(number: int) -> None:
        start.wait()
        seal(folder, PREFIX, "collect" if same else f"phase {number}", [], [one], sealed_by=f"worker-{number}")

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_manifests(folder, PREFIX)) == (1 if same else 8)
    assert verify(folder, PREFIX).ok


def test_a_list_that_is_not_what_its_collector_returned_is_not_sealed(folder: EvidenceStore) -> None:
    one = entry("pods/uid-1/manifest.json", b"{}", folder)
    listed = entry_list(folder, "entries/a.jsonl", [one])
    Path(folder.location, PREFIX, "entries/a.jsonl").write_bytes(one.line() + b"\n" + one.line())
    with pytest.raises(EvidenceError):
        seal(folder, PREFIX, "collect", [listed], [], sealed_by="w")
    assert read_manifests(folder, PREFIX) == []


def test_a_spoiled_manifest_does_not_stop_the_next_seal(folder: EvidenceStore) -> None:
    two_phases(folder)
    Path(folder.location, PREFIX, "manifest/0002.json").write_bytes(b"x" * (3 << 20))
    assert seal(folder, PREFIX, "later", [], [], sealed_by="w").manifests == 3
    assert not verify(folder, PREFIX).ok


def test_a_thousand_problems_are_counted_and_two_hundred_listed(folder: EvidenceStore) -> None:
    seal(folder, PREFIX, "collect", [], [], sealed_by="w")
    for n in range(300):
        folder.create(f"{PREFIX}/planted/{n}", b"")
    result = verify(folder, PREFIX)
    assert (len(result.problems), result.more) == (200, 100)


def test_entries_come_in_the_order_of_their_sealing(folder: EvidenceStore) -> None:
    two_phases(folder)
    keys = [e.key for e in list_entries(folder, PREFIX)]
    assert keys == [f"pods/uid-{n}/manifest.json" for n in range(5)] + [f"pods/uid-{n}/events.json" for n in range(2)]
    assert find_entry(folder, PREFIX, "pods/uid-4/manifest.json").subject.uid == "uid-4"
    with pytest.raises(TargetGone):
        find_entry(folder, PREFIX, "pods/uid-4/none")


def test_a_fetched_copy_verifies_as_the_store_does(store: EvidenceStore, tmp_path: Path) -> None:
    head = two_phases(store)
    copied = list(fetch_all(store, PREFIX, tmp_path / "copy"))
    assert {why for _, why in copied} == {""}
    assert verify(open_store(str(tmp_path / "copy")), PREFIX, head.sha256, head.manifests).ok


def test_what_was_changed_is_not_fetched(folder: EvidenceStore, tmp_path: Path) -> None:
    two_phases(folder)
    Path(folder.location, PREFIX, "pods/uid-3/manifest.json").write_bytes(b"x")
    with pytest.raises(EvidenceError):
        fetch(folder, PREFIX, "pods/uid-3/manifest.json", tmp_path / "copy")
    reasons = dict(fetch_all(folder, PREFIX, tmp_path / "copy"))
    assert reasons["pods/uid-3/manifest.json"]
    assert not (tmp_path / "copy" / PREFIX / "pods/uid-3").exists()
    assert fetch(folder, PREFIX, "pods/uid-2/manifest.json", tmp_path / "copy").read_bytes() == b'{"pod":2}'


def test_a_key_in_a_forged_manifest_cannot_leave_the_folder(folder: EvidenceStore, tmp_path: Path) -> None:
    bad = Entry(key="../../../escaped", sha256="0" * 64, kind="x", collected_at=AT)
    seal(folder, PREFIX, "forged", [], [bad], sealed_by="w")
    assert {p.kind for p in verify(folder, PREFIX).problems} == {ProblemKind.CHANGED}
    assert "plain segments" in dict(fetch_all(folder, PREFIX, tmp_path / "copy"))["../../../escaped"]
    assert not list(tmp_path.rglob("escaped"))


def test_hostile_text_in_an_entry_stays_one_printable_line() -> None:
    hostile = Entry(kind="k\x1b[31m\n", reason="x" * 5000, collected_at=AT, redactions=("a\u202eb",))
    assert hostile.kind == "k [31m "
    assert len(hostile.reason) == 600
    assert hostile.redactions == ("a b",)
    assert b"\n" not in hostile.line()


def test_lists_with_keys_outside_are_refused(folder: EvidenceStore) -> None:
    with pytest.raises(Exception, match="below the incident"):
        seal(folder, PREFIX, "x", [SealedList(key="../x", sha256="0" * 64)], [], sealed_by="w")
