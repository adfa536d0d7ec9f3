"""Edges that a plausible wrong reader would pass over."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from errors import InputError
from findings.model import Finding
from findings.reader import read_findings
from findings.subject import subject_of, subjects_of
from tests.findings import builders as b


def read(value: Any) -> Finding:
    (finding,) = read_findings(b.dumps(value))
    return finding


def refused(value: Any) -> str:
    with pytest.raises(InputError) as error:
        read_findings(b.dumps(value))
    return error.value.field


def test_a_time_without_a_zone_is_utc_wherever_we_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        found = read(b.detail(updatedAt="2026-01-02T03:04:05"))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found.updated_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_flat_items_are_ordered_by_number_not_by_place() -> None:
    finding = b.asff()
    prefix = "aws/guardduty/service/action/kubernetesApiCallAction/sourceIPs"
    finding["ProductFields"] = {f"{prefix}.{i}_": f"192.0.2.{i}" for i in (10, 2, 0)}
    found = read(finding)
    assert found.api_call is not None
    assert found.api_call.source_ips == ("192.0.2.0", "192.0.2.2", "192.0.2.10")


def test_flat_keys_too_deep_to_be_true_are_left_out() -> None:
    finding = b.asff()
    finding["ProductFields"]["aws/guardduty/" + "a/" * 100_000] = "x"
    assert read(finding).detector_id == b.DETECTOR


def test_asff_times_stand_in_where_guardduty_wrote_none() -> None:
    finding = b.asff(FirstObservedAt="2026-01-01T00:00:00Z", LastObservedAt="2026-01-01T01:00:00Z")
    own = read(finding)
    assert own.first_seen == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    finding["ProductFields"] = {}
    found = read(finding)
    assert (found.first_seen, found.last_seen) == (
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 1, tzinfo=UTC),
    )


def test_asff_type_gets_back_its_one_slash() -> None:
    assert read(b.asff(Types=["TTPs/X/X:Runtime-A-B!DNS"])).type == "X:Runtime/A-B!DNS"


def test_a_count_below_one_is_one() -> None:
    assert [read(b.detail(service={"count": n})).count for n in (-3, 0, None, 7)] == [1, 1, 1, 7]


def test_numbers_out_of_all_bounds_are_refused() -> None:
    assert refused(b.detail(service={"count": 10**18})) == "service.count"
    assert refused(b.detail(service={"count": 10**400})) == "service.count"
    raw = b.dumps(b.attack_sequence()).replace(b'"severity": 8.0', b'"severity": 1e999')
    with pytest.raises(InputError) as error:
        read_findings(raw)
    assert error.value.field == "service.detection.sequence.signals[0].severity"


def test_an_arn_that_climbs_gives_no_account_or_region() -> None:
    finding = b.detail(arn=f"arn:aws:guardduty:-x:{'1' * 80}:detector/d/finding/f")
    del finding["region"]
    assert refused(finding) == "region"
    finding["region"] = b.REGION
    del finding["accountId"]
    assert refused(finding) == "accountId"


def test_the_cluster_of_a_sequence_has_a_name_that_can_be_true() -> None:
    finding = b.attack_sequence()
    resources = finding["service"]["detection"]["sequence"]["resources"]
    resources[0]["name"] = None
    assert read(finding).cluster is not None
    assert read(finding).cluster.name == b.CLUSTER  # type: ignore[union-attr]
    resources[0]["data"]["eksCluster"]["arn"] = "arn:aws:eks:x:1:cluster/$(id)"
    assert read(finding).cluster.name == ""  # type: ignore[union-attr]
    resources[1]["name"] = "../x"
    assert refused(finding) == "service.detection.sequence.resources[1].name"
    # The name of a container is the runtime's, and may begin with a slash.
    resources[1]["name"], resources[2]["name"] = "web", "/k8s_app"
    assert read(finding).sequence is not None


def test_warnings_are_bounded() -> None:
    finding = b.attack_sequence()
    signal = finding["service"]["detection"]["sequence"]["signals"][0]
    finding["service"]["detection"]["sequence"]["signals"] = [{**signal, "lastSeenAt": "foo"}] * 400
    assert len(read(finding).warnings) == 50


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a%2fb", "a\x00"])
@pytest.mark.parametrize("section", ["kubernetesRoleBindingDetails", "kubernetesRoleDetails"])
def test_rbac_names_that_no_api_server_takes(name: str, section: str) -> None:
    finding = b.detail(service={"action": {section: {"kind": "ClusterRole", "name": name}}})
    assert refused(finding) == f"service.action.{section}.name"


def test_line_breaks_in_free_text_become_blanks() -> None:
    assert read(b.detail(title="a\r\nb\tc\x07")).title == "a  b c\ufffd"


def test_what_the_arn_says_outranks_the_access_key() -> None:
    user = b.user("arn:aws:sts::111122223333:assumed-role/deployer/ci")
    subject = subject_of(read(b.detail(user_details=user, key_details=b.access_key(userType="IAMUser"))))
    assert (subject.user_type, subject.session_name) == ("AssumedRole", "ci")


def test_identities_of_a_sequence_are_told_once_each() -> None:
    finding = b.attack_sequence()
    sequence = finding["service"]["detection"]["sequence"]
    sequence["actors"].append({**sequence["actors"][0], "id": "actor-3"})
    key = {"principalId": "AIDAX", "userName": "alice", "userType": "IAMUser"}
    for uid in ("AKIAX", "resource-9"):
        sequence["resources"].append({"uid": uid, "resourceType": "ACCESS_KEY", "data": {"accessKey": key}})
    found = [(s.name, s.access_key_id) for s in subjects_of(read(finding))]
    assert found == [("deployer", "ASIAIOSFODNN7EXAMPLE"), ("alice", "AKIAX"), ("alice", "")]
