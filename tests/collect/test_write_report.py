from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.testing import ActivityEnvironment

from activities.doors import Doors
from activities.report import Reporting
from activities.report.activity import store_report
from contracts.activities import ReportRequest
from contracts.common import PodTargets, StoredList
from errors import InputError
from evidence.entry import Entry, EntrySubject
from evidence.local import LocalStore
from evidence.manifest import seal
from evidence.read import list_entries
from evidence.store import read_bytes
from evidence.verify import ProblemKind, verify
from tests.collect.conftest import INCIDENT, SETTINGS
from tests.collect.report_support import AT, assessment_with, finding_with, incident_with
from tests.collect.support import Worker

PREFIX = INCIDENT.evidence_prefix
CONTAINERS = {
    "containers": [
        {
            "name": "web",
            "kind": "container",
            "image": "repo/app:1",
            "imageID": "repo/app@sha256:aa",
            "securityContext": {"privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}},
            "mounts": [{"mountPath": "/host", "readOnly": False, "source": {"hostPath": {"path": "/"}}}],
        }
    ],
    "pod": {"hostPID": True},
}


@pytest.fixture
def doors(tmp_path: Path) -> Doors:
    nothing = cast(Any, None)
    store, worker = LocalStore(tmp_path / "evidence"), cast(Any, Worker("worker-1"))
    return Doors(settings=SETTINGS, kubernetes=nothing, bindings=nothing, aws=nothing, store=store, temporal=worker)


@pytest.fixture
def environment() -> ActivityEnvironment:
    made = ActivityEnvironment()
    made.info = replace(made.info, activity_type="write_report")
    return made


def _request(word: str = "web-1", **changes: Any) -> ReportRequest:
    request = ReportRequest(
        incident=INCIDENT,
        view_json=incident_with(word).model_dump_json(),
        assessment=assessment_with(word),
        finding=finding_with(word),
    )
    return request.model_copy(update=changes)


def _collected(doors: Doors, content: object = CONTAINERS) -> None:
    stored = doors.store.create(f"{PREFIX}/pods/uid-1/containers.json", json.dumps(content).encode())
    entry = Entry(
        key="pods/uid-1/containers.json",
        sha256=stored.sha256,
        size=stored.size,
        kind="containers",
        subject=EntrySubject(kind="Pod", namespace="shop", name="web-1", uid="uid-1"),
        collected_at=AT,
    )
    seal(doors.store, PREFIX, "collect", (), [entry], sealed_by="worker-1")


def _text(doors: Doors, key: str) -> str:
    return read_bytes(doors.store, key).decode()


def test_the_report_is_stored_sealed_and_verified(doors: Doors, environment: ActivityEnvironment) -> None:
    _collected(doors)
    result = environment.run(Reporting(doors).write_report, _request())
    assert result.key == f"{PREFIX}/report/0001.md"
    assert result.evidence.manifests == 2
    verified = verify(doors.store, PREFIX, result.evidence.manifest_sha256, 2)
    assert verified.ok
    # Everything that was sealed, this report included.
    assert (verified.artefacts, verified.bytes) == (result.evidence.artefacts, result.evidence.bytes)
    assert result.evidence.artefacts == 3
    entries = {e.kind: e for e in list_entries(doors.store, PREFIX)}
    assert (entries["report"].key, entries["report"].sha256) == ("report/0001.md", result.sha256)
    assert (entries["report-html"].key, entries["report-html"].sha256) == ("report/0001.html", result.html_sha256)


def test_the_report_as_html_stands_beside_the_one_in_markdown(doors: Doors, environment: ActivityEnvironment) -> None:
    _collected(doors)
    result = environment.run(Reporting(doors).write_report, _request())
    assert result.html_key == f"{PREFIX}/report/0001.html"
    page = _text(doors, result.html_key)
    assert page.startswith("<!doctype html>\n")
    for said in ("repo/app@sha256:aa", "capabilities SYS_ADMIN", "pods/uid-1/containers.json"):
        assert f"<code>{said}</code>" in page
    [collected] = [e for e in list_entries(doors.store, PREFIX) if e.kind == "containers"]
    assert collected.sha256 in page


def test_a_page_that_was_changed_is_found(doors: Doors, environment: ActivityEnvironment) -> None:
    result = environment.run(Reporting(doors).write_report, _request())
    Path(doors.store.location, result.html_key).write_text("<!doctype html>nothing happened")
    verified = verify(doors.store, PREFIX, result.evidence.manifest_sha256, 1)
    assert [(p.kind, p.key) for p in verified.problems] == [(ProblemKind.CHANGED, "report/0001.html")]


def test_the_report_tells_what_the_evidence_knows_of_the_image(doors: Doors, environment: ActivityEnvironment) -> None:
    _collected(doors)
    text = _text(doors, environment.run(Reporting(doors).write_report, _request()).key)
    row = next(line for line in text.splitlines() if "repo/app@sha256:aa" in line)
    assert "`privileged`, `capabilities SYS_ADMIN`, `hostPID`" in row
    assert "`/ at /host`" in row


def test_a_repetition_writes_nothing_new(doors: Doors, environment: ActivityEnvironment) -> None:
    _collected(doors)
    first = environment.run(Reporting(doors).write_report, _request())
    kept = list(doors.store.keys(PREFIX))
    assert environment.run(Reporting(doors).write_report, _request()) == first
    assert list(doors.store.keys(PREFIX)) == kept


def test_a_repetition_after_a_crash_between_the_two_forms_completes_them(
    doors: Doors, environment: ActivityEnvironment
) -> None:
    _collected(doors)
    first = environment.run(Reporting(doors).write_report, _request())
    # As if the worker had been killed after the first of the two: nothing of the second, nothing sealed.
    for key in (first.html_key, f"{PREFIX}/manifest/0002.json"):
        Path(doors.store.location, key).unlink()
    again = environment.run(Reporting(doors).write_report, _request())
    assert (again.key, again.html_key, again.html_sha256) == (first.key, first.html_key, first.html_sha256)
    assert verify(doors.store, PREFIX, again.evidence.manifest_sha256, 2).ok


def test_an_incident_that_went_on_gets_a_further_report(doors: Doors, environment: ActivityEnvironment) -> None:
    environment.run(Reporting(doors).write_report, _request())
    second = environment.run(Reporting(doors).write_report, _request("web-2"))
    assert second.key.endswith("report/0002.md")
    assert second.html_key.endswith("report/0002.html")
    assert verify(doors.store, PREFIX, second.evidence.manifest_sha256, 2).ok


def test_a_list_of_targets_that_no_phase_sealed_is_sealed_with_the_report(
    doors: Doors, environment: ActivityEnvironment
) -> None:
    stored = doors.store.create(f"{PREFIX}/targets/0001.jsonl", b"{}\n")
    listed = StoredList(key=stored.key, sha256=stored.sha256, count=1, size=stored.size)
    assessment = assessment_with("x").model_copy(update={"pods": PodTargets(count=1, reference=listed)})
    request = _request(assessment=assessment)
    result = environment.run(Reporting(doors).write_report, request)
    assert verify(doors.store, PREFIX, result.evidence.manifest_sha256).ok
    assert environment.run(Reporting(doors).write_report, request) == result


def test_evidence_that_was_changed_is_not_believed(doors: Doors, environment: ActivityEnvironment) -> None:
    _collected(doors)
    Path(doors.store.location, PREFIX, "pods/uid-1/containers.json").write_text('{"containers":[{"name":"forged"}]}')
    assert "forged" not in _text(doors, environment.run(Reporting(doors).write_report, _request()).key)


@pytest.mark.parametrize("content", [[], {"containers": 7}, {"containers": ["x"]}, {"pod": 3}, None])
def test_collected_content_of_any_shape_does_not_stop_the_report(
    doors: Doors, environment: ActivityEnvironment, content: object
) -> None:
    _collected(doors, content)
    assert environment.run(Reporting(doors).write_report, _request()).evidence.manifests == 2


def test_a_view_that_is_none_is_named(doors: Doors, environment: ActivityEnvironment) -> None:
    with pytest.raises(InputError, match="view_json"):
        environment.run(Reporting(doors).write_report, _request(view_json="{}"))


def test_the_same_report_keeps_its_number(doors: Doors) -> None:
    def numbers(markdown: bytes, page: bytes) -> list[str]:
        return [s.key.removeprefix(f"{PREFIX}/report/") for s in store_report(doors.store, PREFIX, markdown, page)]

    assert numbers(b"a", b"<a>") == ["0001.md", "0001.html"]
    assert numbers(b"b", b"<b>") == ["0002.md", "0002.html"]
    assert numbers(b"a", b"<a>") == ["0001.md", "0001.html"]
    # A newer worker that draws the page otherwise: the two forms of one report have one number all the same.
    assert numbers(b"a", b"<A>") == ["0003.md", "0003.html"]
