"""What is not a finding of this installation: exit 2, the field and what was expected, and nothing started."""

from typing import Any

import pytest
from temporalio.client import Client

from contracts.names import incident_id
from tests.cli.conftest import ACCOUNT, REGION, Firebreak, Write, detail
from tests.findings import builders

pytestmark = [pytest.mark.usefixtures("installation")]


def changed(path: str, value: Any) -> dict[str, Any]:
    made = detail()
    *parents, last = path.split(".")
    here = made
    for key in parents:
        here = here[key]
    here[last] = value
    return made


NOT_FINDINGS: dict[str, tuple[Any, str]] = {
    "nothing": (b"", "$"),
    "not JSON": (b"{", "$"),
    "not UTF-8": (b"\xff\xfe\xfa", "$"),
    "a number": (b"7", "$"),
    "an empty list": (b"[]", "$"),
    "another document": ({"apiVersion": "v1", "kind": "Pod"}, ""),
    "10 MB of text": (b'"' + b"a" * 10_000_000 + b'"', "FILE"),
    "10 MB of nesting": (b"[" * 4_000_000, "$"),
    "another service": ({"source": "aws.macie", "detail-type": "Macie Finding", "detail": {}}, "source"),
    "another detail type": (
        {"source": "aws.guardduty", "detail-type": "GuardDuty Malware Protection", "detail": {}},
        "detail-type",
    ),
    "a severity of text": (changed("severity", "high"), "severity"),
    "a severity beyond": (changed("severity", 11), "severity"),
    "an id that climbs": (changed("id", "../../../etc/passwd"), "id"),
    "an id with a slash": (changed("id", "a/b"), "id"),
    "an id with a quote": (changed("id", "a'; DROP"), "id"),
    "an id of control characters": (changed("id", "a\x1b[2Jb"), "id"),
    "an account of shell words": (changed("accountId", "$(reboot)"), "accountId"),
    "a type of a list": (changed("type", ["x"]), "type"),
}


@pytest.mark.parametrize("name", NOT_FINDINGS)
@pytest.mark.parametrize("command", [("start",), ("plan", "--offline"), ("plan",)], ids="-".join)
async def test_refused(firebreak: Firebreak, write: Write, command: tuple[str, ...], name: str) -> None:
    content, field = NOT_FINDINGS[name]
    ran = await firebreak(*command, write(content), "--json")
    assert ran.code == 2
    assert ran.error["field"].endswith(field)
    assert ran.error["expected"]
    assert "\x1b" not in ran.out + ran.err
    assert len(ran.out) < 2_000
    human = await firebreak(*command, write(content))
    assert human.code == 2
    assert human.err.count("\n") == 1
    assert human.out == ""


@pytest.mark.parametrize(
    ("other", "field"),
    [({"account": "999999999999"}, "account"), ({"region": "eu-west-1"}, "region"), ({"cluster": "theirs"}, "cluster")],
)
async def test_a_finding_of_another_installation(
    firebreak: Firebreak, write: Write, client: Client, other: dict[str, str], field: str
) -> None:
    ours, theirs = detail(), detail(**other)
    ran = await firebreak("start", write([ours, theirs]), "--json")
    assert (ran.code, ran.error["field"]) == (2, field)
    # Not even the one before it was started.
    with pytest.raises(Exception, match="not found"):
        await client.get_workflow_handle(incident_id(ACCOUNT, REGION, ours["id"])).describe()


@pytest.mark.parametrize("file", ["/nowhere/at/all.json", "/", "", "a\0b", "/dev/null"])
async def test_a_file_that_cannot_be_read(firebreak: Firebreak, file: str) -> None:
    ran = await firebreak("start", file, "--json")
    assert ran.code == 2


TRICKS = ["x; rm -rf /", "$(id)", "`id`", "a\x1b]0;owned\x07b", "[red]x[/red]", "../../x", "%s%n"]


@pytest.mark.parametrize("name", TRICKS)
async def test_tricks_in_names_of_objects_are_refused(firebreak: Firebreak, write: Write, name: str) -> None:
    ran = await firebreak("start", write(detail(workload_details=builders.workload(name))), "--json")
    assert (ran.code, ran.error["field"]) == (2, "resource.kubernetesDetails.kubernetesWorkloadDetails.name")
    assert "\x1b" not in ran.out


@pytest.mark.parametrize("name", [trick for trick in TRICKS if trick.isprintable()])
async def test_tricks_in_names_of_people_stay_text(firebreak: Firebreak, write: Write, name: str) -> None:
    made = detail(name, user_details=builders.user(name))
    for arguments in (("plan", "--offline"), ("start",)):
        ran = await firebreak(*arguments, write(made))
        assert ran.code == 0
        assert "\x1b" not in ran.out + ran.err
        assert "\x07" not in ran.out + ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("start",),
        ("show",),
        ("list", "--limit", "0"),
        ("list", "--limit", "x"),
        ("start", "a", "b"),
        ("env", "--name", "../x"),
    ],
)
async def test_bad_usage(firebreak: Firebreak, arguments: tuple[str, ...]) -> None:
    ran = await firebreak(*arguments, "--json")
    assert ran.code == 2
    assert ran.error["message"]


async def test_a_bad_setting_is_named(firebreak: Firebreak, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIREBREAK_ACCOUNT", "12")
    ran = await firebreak("start", write(detail()), "--json")
    assert (ran.code, ran.error["field"]) == (2, "FIREBREAK_ACCOUNT")


async def test_a_bad_policy_is_named(firebreak: Firebreak, write: Write) -> None:
    ran = await firebreak("policy", "check", write(b"gates:\n  contain:\n    mode: never-ever\n"), "--json")
    assert (ran.code, ran.error["field"]) == (2, "gates.contain.mode")
