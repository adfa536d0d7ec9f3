"""`report --html`: the page that was sealed, or one made now, written whole and over nothing but an earlier report."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.report.activity import store_report
from activities.report.page import is_report, render_html
from cli.files import write_file
from contracts.common import IncidentKey
from contracts.names import incident_id
from errors import InputError
from evidence.entry import Entry
from evidence.local import LocalStore
from evidence.manifest import seal
from tests.cli.conftest import ACCOUNT, REGION, Firebreak, Write, detail
from tests.report import case

pytestmark = [pytest.mark.usefixtures("installation", "worker")]

Start = Callable[..., Awaitable[str]]
PAGE = render_html(case.facts()).encode()


@pytest.fixture
def start(firebreak: Firebreak, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Start:
    # The fake incident names a store that is a folder of the working directory.
    monkeypatch.chdir(tmp_path)

    async def begin(title: str = "", **more: str) -> str:
        made = detail(title, **more)
        assert (await firebreak("start", write(made))).code == 0
        return incident_id(ACCOUNT, REGION, made["id"])

    return begin


async def sealed(client: Client, incident: str, *, html: bool = True) -> LocalStore:
    """What an incident that is over leaves in its evidence."""
    handle = client.get_workflow_handle(incident)
    await handle.result()
    prefix = IncidentKey(workflow_id=incident, run_id=(await handle.describe()).run_id).evidence_prefix
    store = LocalStore(Path("memory"))
    kinds = zip(("report", "report-html"), store_report(store, prefix, b"# As it was", PAGE), strict=True)
    entries = [
        Entry(
            key=s.key.removeprefix(f"{prefix}/"), sha256=s.sha256, size=s.size, kind=k, collected_at=datetime.now(UTC)
        )
        for k, s in kinds
    ]
    seal(store, prefix, "report", (), entries if html else entries[:1], sealed_by="w")
    return store


async def test_a_running_incident_has_a_draft(firebreak: Firebreak, start: Start) -> None:
    incident = await start("<script>alert(1)</script>", finding_type="Execution:Runtime/<img src=x>")
    ran = await firebreak("report", incident, "--html", "report.html")
    assert ran.code == 0
    page = Path("report.html").read_bytes()
    digest = hashlib.sha256(page).hexdigest()
    assert ran.out == f"wrote {Path('report.html').absolute()}: {len(page)} bytes, sha256 {digest}\n"
    assert "made just now and stored nowhere: the incident writes its report when it ends" in ran.err
    assert is_report(page[:1_000])
    assert incident.encode() in page
    assert b"<strong>Draft.</strong>" in page
    assert b"<script" not in page
    assert b"<img" not in page


async def test_json_says_what_was_written_where(firebreak: Firebreak, start: Start) -> None:
    incident = await start()
    ran = await firebreak("report", incident, "--html", "report.html", "--json")
    page = Path("report.html").read_bytes()
    written = {
        "path": str(Path("report.html").absolute()),
        "sha256": hashlib.sha256(page).hexdigest(),
        "size": len(page),
    }
    assert ran.json == {"incident": incident, "draft": True, "key": None, "markdown": None, "html": written}
    assert (await firebreak("report", incident, "--json")).json["html"] is None


async def test_a_dash_is_stdout_and_nothing_but_the_page(firebreak: Firebreak, start: Start) -> None:
    incident = await start()
    ran = await firebreak("report", incident, "--html", "-")
    assert ran.code == 0
    assert ran.out.startswith("<!doctype html>\n")
    assert ran.out.endswith("</html>\n")
    both = await firebreak("report", incident, "--html", "-", "--json")
    assert (both.code, both.error["field"]) == (2, "--html")


async def test_one_that_is_over_has_the_page_that_was_sealed(
    firebreak: Firebreak, start: Start, client: Client
) -> None:
    incident = await start("reported")
    store = await sealed(client, incident)
    ran = await firebreak("report", incident, "--html", "report.html", "--json")
    assert Path("report.html").read_bytes() == PAGE
    assert ran.json["draft"] is False
    assert ran.json["key"].startswith(f"{store.location}/incidents/")
    assert ran.json["key"].endswith("/report/0001.html")
    assert ran.json["html"]["sha256"] == hashlib.sha256(PAGE).hexdigest()
    # It is an artefact like any other.
    listed = (await firebreak("evidence", "list", incident, "--json")).json["entries"]
    assert [(e["key"], e["kind"]) for e in listed] == [
        ("report/0001.md", "report"),
        ("report/0001.html", "report-html"),
    ]
    assert listed[1]["sha256"] == ran.json["html"]["sha256"]
    got = await firebreak("evidence", "get", incident, "report/0001.html", "--to", "copy", "--json")
    assert Path(got.json["copied"][0]["path"]).read_bytes() == PAGE


async def test_a_page_that_is_not_what_was_sealed_is_not_handed_on(
    firebreak: Firebreak, start: Start, client: Client
) -> None:
    incident = await start("reported")
    store = await sealed(client, incident)
    [page] = Path(store.location).rglob("0001.html")
    page.write_bytes(PAGE.replace(b"<main>", b"<main><script>alert(1)</script>"))
    ran = await firebreak("report", incident, "--html", "report.html", "--json")
    assert (ran.code, ran.error["code"]) == (1, "EvidenceError")
    assert not Path("report.html").exists()


async def test_one_that_was_over_before_there_were_pages_gets_one_now(
    firebreak: Firebreak, start: Start, client: Client
) -> None:
    incident = await start("reported")
    await sealed(client, incident, html=False)
    ran = await firebreak("report", incident, "--html", "report.html")
    assert ran.code == 0
    assert "the evidence has no such report" in ran.err
    assert incident.encode() in Path("report.html").read_bytes()


async def test_a_draft_tells_what_was_collected(firebreak: Firebreak, start: Start, client: Client) -> None:
    incident = await start()
    run = (await client.get_workflow_handle(incident).describe()).run_id
    prefix = IncidentKey(workflow_id=incident, run_id=run).evidence_prefix
    store = LocalStore(Path("memory"))
    stored = store.create(f"{prefix}/pods/u/containers.json", b'{"containers": [{"name": "web", "image": "repo/x:1"}]}')
    entry = Entry(
        key="pods/u/containers.json", sha256=stored.sha256, size=stored.size, kind="containers",
        collected_at=datetime.now(UTC),
    )  # fmt: skip
    seal(store, prefix, "collect", (), [entry], sealed_by="w")
    await firebreak("report", incident, "--html", "report.html")
    assert "<code>repo/x:1</code>" in Path("report.html").read_text()
    assert "`repo/x:1`" in (await firebreak("report", incident)).out


class TestBadPath:
    @pytest.mark.parametrize(
        ("file", "expected"),
        [
            ("", "a file in a folder that exists"),
            ("missing/report.html", "a file in a folder that exists"),
            ("taken.txt", "a new file, or an earlier report to replace"),
            ("folder", "a new file, or an earlier report to replace"),
            ("folder/..", "a new file, or an earlier report to replace"),
            ("link.html", "a new file, or an earlier report to replace"),
            ("/dev/null", "a new file, or an earlier report to replace"),
            ("taken.txt/report.html", "a file in a folder that exists"),
            (f"{'x' * 300}.html", "a file that can be written"),
            ("/proc/report.html", "a file"),
            ("a\0b", "a file"),
        ],
    )
    async def test_names_the_option_and_changes_nothing(
        self, firebreak: Firebreak, start: Start, file: str, expected: str
    ) -> None:
        incident = await start()
        Path("taken.txt").write_text("mine")
        Path("folder").mkdir()
        Path("old.html").write_bytes(PAGE)
        Path("link.html").symlink_to("old.html")
        ran = await firebreak("report", incident, "--html", file, "--json")
        assert (ran.code, ran.error["code"], ran.error["field"]) == (2, "InputError", "--html")
        assert ran.error["expected"].startswith(expected)
        assert Path("taken.txt").read_text() == "mine"
        assert Path("old.html").read_bytes() == PAGE
        left = {"taken.txt", "folder", "old.html", "link.html"}
        assert left == {p.name for p in Path().iterdir()} - {"memory"} - {p.name for p in Path().glob("*.json")}

    async def test_is_said_before_anybody_is_asked(
        self, firebreak: Firebreak, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
        ran = await firebreak("report", "nothing", "--html", str(tmp_path / "missing" / "x"), "--json")
        assert (ran.code, ran.error["field"]) == (2, "--html")


def test_an_earlier_report_is_replaced_and_its_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_bytes(PAGE)
    file.chmod(0o644)
    assert write_file("--html", str(file), b"new", is_report) == file
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(InputError, match="an earlier report to replace"):
        write_file("--html", str(file), PAGE, is_report)
    assert file.read_bytes() == b"new"


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "report.html"
    file.write_bytes(PAGE)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_file("--html", str(file), b"new", is_report)
    assert file.read_bytes() == PAGE
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
