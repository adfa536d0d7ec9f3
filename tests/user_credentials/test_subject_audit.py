"""The audit events of an identity in the evidence: its own and all of them, around the finding, without secrets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.collect.audit import Limits
from activities.doors import Doors
from clients.aws.logs import LogPage
from devstack.aws import audit
from devstack.aws.audit import event
from devstack.stack import StackInfo
from errors import Forbidden, TargetGone, Throttled
from evidence.verify import verify
from findings.model import AccessKey, Finding
from tests.assess.support import account_user, raw_finding, read
from tests.devstack.test_aws import client
from tests.user_credentials.audited import QUICK, Collected, Log, about_name, collect, in_cluster, new_cluster

pytestmark = pytest.mark.stack

NAMES = [
    "alice",
    "alice2",
    "al",
    "al*",
    "*",
    'al"ice',
    'alice" || $.verb = "*',
    "alice}",
    "al\\ice",
    "al\nice",
    "a\x00",
]


@pytest.fixture
def log(stack: StackInfo, eks: Any) -> Log:
    """The audit log of a new cluster."""
    logs, cluster = client(stack, "logs"), new_cluster(eks)
    audit.make_log(logs, cluster)
    return Log(logs, cluster)


@pytest.fixture
def own(doors: Doors, log: Log) -> Doors:
    """An installation of that cluster."""
    return in_cluster(doors, log.cluster)


def named(collected: Collected) -> list[str]:
    return [str(e["objectRef"]["name"]) for e in collected.events()]


@pytest.mark.parametrize("name", NAMES)
def test_the_events_of_one_name_are_kept_and_of_no_other(own: Doors, log: Log, name: str) -> None:
    log.write(*(event(n, "get", "pods", namespace="shop", name=f"of-{NAMES.index(n)}") for n in NAMES))
    collected = collect(own, about_name(name))
    assert named(collected) == [f"of-{NAMES.index(name)}"]
    assert [e["user"]["username"] for e in collected.events()] == [name]
    entry = collected.entry()
    assert (entry.reason, entry.redactions, collected.outcome.failures) == ("", (), ())
    # Names do not enter keys.
    assert entry.key.startswith("subjects/") and entry.key.endswith("/audit.jsonl") and "al" not in entry.key[9:25]


def test_a_service_account_and_an_iam_user_are_found_by_the_names_that_the_cluster_gives_them(
    own: Doors, log: Log
) -> None:
    account, arn = "system:serviceaccount:shop:web", "arn:aws:iam::123456789012:user/alice"
    log.write(event(account, "list", "pods", name="a"), event(arn, "list", "pods", name="b"))
    found = read(raw_finding("f-1", user=account_user("shop", "web")))
    collected = collect(own, found, ("shop", "web"))
    assert named(collected) == ["a"]
    assert (collected.entry().subject.namespace, collected.entry().subject.name) == ("shop", "web")
    assert named(collect(own, about_name(arn))) == ["b"]


def test_of_who_is_known_by_a_key_alone_the_key_is_looked_for(own: Doors, log: Log) -> None:
    user = {"username": "whoever", "extra": {"accessKeyId": ["AKIAEXAMPLE1"]}}
    log.write(event("x", "get", "pods", name="mine", user=user), event("x", "get", "pods", name="other"))
    finding = about_name("").model_copy(
        update={"access_key": AccessKey(access_key_id="AKIAEXAMPLE1", user_name="alice", user_type="IAMUser")}
    )
    assert named(collect(own, finding)) == ["mine"]


def test_the_window_is_from_an_hour_before_the_first_event_to_an_hour_after_the_last(own: Doors, log: Log) -> None:
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=20)
    last, hour, moment = first + timedelta(hours=5), timedelta(hours=1), timedelta(milliseconds=1)
    at = {
        "too early": first - hour - moment,
        "first of what led to it": first - hour,
        "last of what led to it": first - moment,
        "first": first,
        "last": last + hour,
        "too late": last + hour + moment,
    }
    log.put((when, audit.line_of(event("alice", "get", "pods", name=name))) for name, when in at.items())
    finding = about_name("alice").model_copy(update={"first_seen": first, "last_seen": last})
    assert named(collect(own, finding)) == [
        "first",
        "last",
        "first of what led to it",
        "last of what led to it",
    ]
    narrow = own.settings.model_copy(update={"audit_margin_minutes": 0})
    object.__setattr__(own, "settings", narrow)
    assert named(collect(own, finding)) == ["first"]


def test_every_page_is_read(own: Doors, log: Log) -> None:
    log.write(*(event("alice" if n % 3 else "bob", "get", "pods", name=f"p-{n}") for n in range(30)))
    collected = collect(own, about_name("alice"), limits=Limits(page=4))
    assert sorted(named(collected)) == sorted(f"p-{n}" for n in range(30) if n % 3)
    assert collected.entry().reason == ""


@pytest.mark.parametrize(
    ("limits", "kept", "said"),
    [(Limits(events=4), 4, "limit of 4 events"), (Limits(bytes=1500, page=2), 2, "limit of 1500 bytes")],
)
def test_what_is_cut_says_so_and_where(own: Doors, log: Log, limits: Limits, kept: int, said: str) -> None:
    log.write(*(event("alice", "get", "pods", name=f"p-{n}", padding="x" * 100) for n in range(9)))
    collected = collect(own, about_name("alice"), limits=limits)
    assert len(collected.events()) == kept
    entry = collected.entry()
    assert said in entry.reason and "after the event of 20" in entry.reason
    assert entry.size == len(collected.data()) <= limits.bytes


def test_exactly_as_many_as_the_limit_are_all(own: Doors, log: Log) -> None:
    log.write(*(event("alice", "get", "pods", name=f"p-{n}") for n in range(4)))
    collected = collect(own, about_name("alice"), limits=Limits(events=4))
    assert (len(collected.events()), collected.entry().reason) == (4, "")


def test_no_secret_enters_and_the_entry_lists_what_was_taken_out(own: Doors, log: Log) -> None:
    body = {"kind": "Secret", "data": {"password": "c2VjcmV0LXZhbHVl"}}
    log.write(
        event("alice", "get", "secrets", namespace="shop", name="db", level="RequestResponse", responseObject=body),
        event("alice", "list", "pods", name="p"),
        event("alice", "create", "lists", name="l", requestObject={"kind": "List", "items": [body]}),
    )
    collected = collect(own, about_name("alice"))
    assert b"c2VjcmV0LXZhbHVl" not in collected.data()
    events = collected.events()
    assert [e["verb"] for e in events] == ["get", "list", "create"]
    assert events[0]["responseObject"] == "[redacted]"
    assert collected.entry().redactions == ("/0/responseObject", "/2/requestObject/items/0/data")


def test_other_logs_of_the_group_and_lines_that_are_no_events_are_left_out(own: Doors, log: Log) -> None:
    log.client.create_log_stream(logGroupName=audit.group_of(log.cluster), logStreamName="authenticator-1")
    log.write(event("alice", "get", "pods", name="other log"), stream="authenticator-1")
    deep = '{"user": {"username": "alice"}, "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    log.write("no JSON, alice", "[]", deep, event("alice", "get", "pods", name="mine"))
    collected = collect(own, about_name("alice"))
    assert named(collected) == ["mine"]
    assert collected.entry().reason == "2 lines are not JSON, and were left out"


def test_nobody_s_events_are_an_artefact_too(own: Doors, log: Log) -> None:
    log.write(event("bob", "get", "pods"))
    collected = collect(own, about_name("alice"))
    assert (collected.data(), collected.entry().reason) == (b"", "no event of it was found")


# What cannot be read


def failed(collected: Collected) -> str:
    entry = collected.entry()
    assert (entry.collected, entry.key, entry.size) == (False, "", 0)
    assert collected.outcome.complete, "one collector's failure is recorded, and everything else goes on"
    assert [f.code for f in collected.outcome.failures] == [entry.reason.partition(":")[0]]
    return entry.reason


def test_a_log_that_is_off_is_said_to_be_off(stack: StackInfo, doors: Doors, eks: Any) -> None:
    cluster = new_cluster(eks, on=False)
    reason = failed(collect(in_cluster(doors, cluster), about_name("alice")))
    assert reason == (
        f"TargetGone: the audit log of the cluster {cluster} is off: switch the control-plane log type `audit` on"
    )
    # The group may be there, with other types of logs in it.
    audit.make_log(client(stack, "logs"), cluster)
    assert failed(collect(in_cluster(doors, cluster), about_name("alice"))) == reason


def test_what_was_written_before_the_log_was_switched_off_is_kept(stack: StackInfo, doors: Doors, eks: Any) -> None:
    cluster = new_cluster(eks, on=False)
    log = Log(client(stack, "logs"), cluster)
    audit.make_log(log.client, cluster)
    log.write(event("alice", "get", "pods", name="before"))
    collected = collect(in_cluster(doors, cluster), about_name("alice"))
    assert named(collected) == ["before"]
    assert "is off" in collected.entry().reason


def test_a_group_that_is_missing_is_named(doors: Doors, eks: Any) -> None:
    cluster = new_cluster(eks)
    reason = failed(collect(in_cluster(doors, cluster), about_name("alice")))
    assert reason.startswith(f"TargetGone: the log group /aws/eks/{cluster}/cluster does not exist")


@pytest.mark.parametrize("error", [Forbidden("logs:FilterLogEvents: grant it"), Throttled("logs: slow down")])
def test_a_refusal_is_recorded_with_its_reason(
    own: Doors, log: Log, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: Any, **__: Any) -> LogPage:
        raise error

    monkeypatch.setattr(own.aws.logs, "page", refuse)
    assert failed(collect(own, about_name("alice"), limits=QUICK)) == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("error", [Throttled("slow down"), TargetGone("somebody deleted the group"), Forbidden("no")])
def test_what_was_read_before_aws_refused_is_kept(
    own: Doors, log: Log, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    log.write(*(event("alice", "get", "pods", name=f"p-{n}") for n in range(4)))
    ask, asked = own.aws.logs.page, []

    def page(*args: Any, **more: Any) -> LogPage:
        asked.append(more)
        if len(asked) > 1:
            raise error
        return ask(*args, **more)

    monkeypatch.setattr(own.aws.logs, "page", page)
    collected = collect(own, about_name("alice"), limits=Limits(page=3, patience=0))
    assert len(collected.events()) == 3
    assert f"cut by {type(error).__name__}: {error}" in collected.entry().reason


def test_whoever_may_not_ask_whether_the_log_is_on_reads_it_all_the_same(
    own: Doors, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> Any:
        raise Forbidden("eks:DescribeCluster: grant it")

    monkeypatch.setattr(own.aws.eks, "cluster", refuse)
    log.write(event("alice", "get", "pods", name="mine"))
    collected = collect(own, about_name("alice"))
    assert named(collected) == ["mine"]
    assert "could not be asked: Forbidden" in collected.entry().reason


def test_what_was_collected_is_sealed_and_verified(own: Doors, log: Log) -> None:
    log.write(event("alice", "get", "pods", name="mine"))
    collected = collect(own, about_name("alice"))
    state = collected.sealed()
    prefix = collected.key.evidence_prefix
    assert verify(own.store, prefix, state.manifest_sha256, state.manifests).ok
    again = collect(own, about_name("alice"), key=collected.key)
    assert again.outcome.entries == collected.outcome.entries, "a repetition finds what the first one left"


def test_a_finding_without_times_is_about_now(own: Doors, log: Log) -> None:
    log.write(event("alice", "get", "pods", name="mine"))
    unknown: dict[str, Any] = {"first_seen": None, "last_seen": None, "updated_at": None}
    finding: Finding = about_name("alice").model_copy(update=unknown)
    assert named(collect(own, finding)) == ["mine"]
