"""Every published shape becomes the same finding."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from errors import InputError
from findings.model import ApiCall, Finding, FindingSource, Process, SeverityBand, WorkloadKind
from findings.reader import read_findings
from tests.findings import builders as b

FIXTURES = Path(__file__).parent.parent / "fixtures" / "findings"


def read(value: Any) -> Finding:
    (finding,) = read_findings(b.dumps(value))
    return finding


def same(finding: Finding) -> dict[str, Any]:
    return finding.model_dump(exclude={"source"})


RICH = b.detail(
    user_details=b.user(
        "alice", groups=["ops", "system:authenticated"], impersonatedUser={"username": "bob", "groups": ["x"]}
    ),
    workload_details=b.workload(
        "web",
        "deployments",
        hostNetwork=True,
        hostPID=True,
        hostIPC=True,
        containers=[
            {
                "name": "app",
                "image": "nginx",
                "securityContext": {"privileged": False, "allowPrivilegeEscalation": True},
                "volumeMounts": [{"name": "root", "mountPath": "/host"}],
            }
        ],
        volumes=[{"name": "root", "hostPath": {"path": "/"}}],
    ),
    key_details=b.access_key(),
)


@pytest.mark.parametrize("finding", [b.detail(), RICH], ids=["plain", "rich"])
@pytest.mark.parametrize(
    ("wrap", "source"),
    [
        (b.eventbridge_event, FindingSource.EVENTBRIDGE),
        (b.get_findings, FindingSource.GET_FINDINGS),
        (b.pascal, FindingSource.GET_FINDINGS),
        (b.asff, FindingSource.ASFF),
        (lambda f: b.security_hub_event(b.asff(f)), FindingSource.SECURITY_HUB_EVENT),
        (lambda f: {"Findings": [b.asff(f)]}, FindingSource.ASFF),
        (lambda f: [f], FindingSource.DETAIL),
    ],
    ids=["event", "get-findings", "bare-pascal", "asff", "security-hub", "security-hub-response", "list"],
)
def test_every_shape_reads_the_same(wrap: Any, source: FindingSource, finding: b.Json) -> None:
    found, expected = read(wrap(finding)), read(finding)
    assert found.source is source
    if source in (FindingSource.ASFF, FindingSource.SECURITY_HUB_EVENT):
        # Security Hub's record of an EKS cluster does not carry these.
        assert expected.cluster is not None
        expected = expected.model_copy(update={"cluster": expected.cluster.model_copy(update={"vpc_id": ""})})
    assert same(found) == same(expected)


def test_reads_every_field_it_promises() -> None:
    found = read(RICH)
    assert (found.id, found.account, found.region, found.severity) == (b.FINDING_ID, b.ACCOUNT, b.REGION, 8.0)
    assert found.source is FindingSource.DETAIL
    assert found.first_seen == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert found.last_seen == datetime(2026, 1, 2, 3, 5, 5, 500_000, tzinfo=UTC)
    assert found.created_at == datetime(2026, 1, 2, 3, 6, tzinfo=UTC)
    assert found.updated_at == datetime(2026, 1, 2, 3, 7, tzinfo=UTC)
    assert (found.count, found.archived, found.sample, found.warnings) == (3, False, False, ())
    assert found.cluster is not None
    assert found.user is not None
    assert found.workload is not None
    assert found.access_key is not None
    assert (found.cluster.name, found.cluster.vpc_id) == (b.CLUSTER, "vpc-02b68c9ddc1d403ab")
    assert found.user.groups == ("ops", "system:authenticated")
    assert found.user.impersonated is not None
    assert (found.user.impersonated.username, found.user.impersonated.groups) == ("bob", ("x",))
    assert (found.workload.kind, found.workload.type) == (WorkloadKind.DEPLOYMENT, "deployments")
    assert (found.workload.host_network, found.workload.host_pid, found.workload.host_ipc) == (True, True, True)
    assert (found.workload.uid, found.workload.service_account) == (b.POD_UID, "web")
    (container,) = found.workload.containers
    assert (container.privileged, container.allow_privilege_escalation) == (False, True)
    assert (found.access_key.user_name, found.access_key.user_type) == ("alice", "IAMUser")
    assert found.api_call == ApiCall(
        verb="create",
        request_uri="/api/v1/namespaces/shop/pods",
        resource="pods",
        namespace="shop",
        source_ips=("198.51.100.7",),
        user_agent="kubectl/v1.33.0",
        status_code=201,
    )
    assert found.band is SeverityBand.HIGH


def test_survives_a_round_trip_through_json() -> None:
    for finding in (read(RICH), read(b.attack_sequence())):
        assert Finding.model_validate_json(finding.model_dump_json()) == finding


def test_a_list_may_mix_shapes_and_keeps_the_order() -> None:
    mixed = [b.eventbridge_event(), b.get_findings(b.detail(id_="a"), b.detail(id_="b")), b.asff(b.detail(id_="c"))]
    found = read_findings(b.dumps(mixed))
    assert [f.id for f in found] == [b.FINDING_ID, "a", "b", "c"]
    assert [f.source for f in found] == [
        FindingSource.EVENTBRIDGE,
        FindingSource.GET_FINDINGS,
        FindingSource.GET_FINDINGS,
        FindingSource.ASFF,
    ]


@pytest.mark.parametrize("nothing", [None, "", {}], ids=["null", "empty text", "empty object"])
@pytest.mark.parametrize("name", ["kubernetesWorkloadDetails", "kubernetesUserDetails"])
def test_absent_in_any_way_is_absent(nothing: Any, name: str) -> None:
    finding = b.detail()
    finding["resource"]["kubernetesDetails"][name] = nothing
    found = read(finding)
    assert (found.workload is None) is (name == "kubernetesWorkloadDetails")
    assert (found.user is None) is (name == "kubernetesUserDetails")
    del finding["resource"]["kubernetesDetails"][name]
    assert read(finding) == found


def test_a_finding_of_the_required_members_alone_is_read() -> None:
    found = read({"id": "x", "type": "New:Kind/Unknown", "severity": 2.5, "accountId": b.ACCOUNT, "region": b.REGION})
    assert (found.cluster, found.user, found.workload, found.sequence, found.count) == (None, None, None, None, 1)
    assert (found.partition, found.last_activity) == ("aws", None)


def test_unknown_members_are_tolerated_everywhere() -> None:
    finding = b.detail(brandNew={"deep": [[[1]]]})
    finding["resource"]["kubernetesDetails"]["kubernetesWorkloadDetails"]["ephemeral"] = [1, None]
    assert same(read(finding)) == same(read(b.detail()))


def test_account_and_region_fall_back_to_the_arn_then_to_the_event() -> None:
    bare = b.detail(account="444455556666", region="us-west-2")
    del bare["accountId"], bare["region"]
    assert (read(bare).account, read(bare).region) == ("444455556666", "us-west-2")
    del bare["arn"]
    assert (read(b.eventbridge_event(bare)).account, read(b.eventbridge_event(bare)).region) == (b.ACCOUNT, b.REGION)
    with pytest.raises(InputError, match="accountId"):
        read(bare)


@pytest.mark.parametrize(
    "service",
    [
        {"additionalInfo": {"sample": True}},
        {"additionalInfo": {"value": json.dumps({"sample": True}), "type": "default"}},
        {"additionalInfo": {"value": json.dumps({"x": "y" * 9000, "sample": True})}},
    ],
)
@pytest.mark.parametrize("wrap", [lambda f: f, b.pascal], ids=["wire", "boto3"])
def test_marks_of_a_sample(service: b.Json, wrap: Any) -> None:
    assert read(wrap(b.detail(service=service))).sample is True


@pytest.mark.parametrize(
    "service",
    [
        {"additionalInfo": {"sample": False, "value": '{"sample": false}'}},
        {"additionalInfo": {"value": "foo"}},
        {"additionalInfo": {"value": "[" * 50_000}},
        {"additionalInfo": {"value": '["sample"]'}},
        {"additionalInfo": {"value": '{"other": {"sample": true}}', "sample": 1}},
        {"additionalInfo": None},
    ],
)
def test_not_a_sample(service: b.Json) -> None:
    assert read(b.detail(service=service)).sample is False


def test_a_sample_by_its_older_place_its_title_or_security_hub() -> None:
    assert read(b.detail(additionalInfo={"sample": True})).sample
    assert read(b.detail(service={"additionalInfo": {"value": {"sample": "true"}}})).sample
    assert read(b.detail(title="[SAMPLE] A workload was launched.")).sample
    assert not read(b.detail(title="About a [SAMPLE]")).sample
    assert read(b.asff(Sample=True)).sample
    assert read(b.asff(b.detail(service={"additionalInfo": {"sample": True}}))).sample


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02 05:04:05.5+02:00", datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=UTC)),
        (1767323045, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (1.767323045e9, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("1.767323045E9", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("foo", None),
        ("0001-01-01T00:00:00+14:00", None),
        (1e300, None),
    ],
)
def test_times(written: Any, expected: datetime | None) -> None:
    found = read(b.detail(updatedAt=written))
    assert found.updated_at == expected
    assert any(w.startswith("updatedAt: no time") for w in found.warnings) is (expected is None)
    if found.updated_at is not None:
        assert found.updated_at.utcoffset() == UTC.utcoffset(None)


def test_runtime_finding_names_node_container_and_process() -> None:
    process = {"name": "sh\x1b[2J", "executablePath": "/bin/sh", "pid": 7, "user": "root"}
    found = read(
        b.detail(
            "Execution:Runtime/ReverseShell",
            user_details=None,
            resource={
                "instanceDetails": {"instanceId": "i-0abc"},
                "containerDetails": {"name": "/k8s_app", "image": "nginx", "id": "containerd://1"},
            },
            service={
                "action": {},
                "featureName": "RuntimeMonitoring",
                "runtimeDetails": {"process": process, "context": {}},
            },
        )
    )
    assert (found.instance_id, found.feature, found.api_call) == ("i-0abc", "RuntimeMonitoring", None)
    assert [c.name for c in found.containers] == ["/k8s_app"]
    # A terminal escape in a process name is made harmless; it must not stop the response.
    assert found.process == Process(name="sh\ufffd[2J", executable_path="/bin/sh", pid=7, user="root")


def test_threats_addresses_and_rbac_objects() -> None:
    scan = {"scanDetections": {"threatDetectedByName": {"threatNames": [{"name": "EICAR"}, {"name": "EICAR"}]}}}
    action = {
        **b.api_call_action(sourceIPs=None),
        "kubernetesRoleBindingDetails": {"kind": "ClusterRoleBinding", "name": "system:x", "roleRefName": "admin"},
        "kubernetesRoleDetails": {"kind": "Role", "name": "r"},
        "kubernetesPermissionCheckedDetails": {"verb": "get", "resource": "secrets", "allowed": False},
    }
    evidence = {"threatIntelligenceDetails": [{"threatListName": "L", "threatNames": ["Tor", None]}]}
    found = read(b.detail(service={"ebsVolumeScanDetails": scan, "action": action, "evidence": evidence}))
    assert found.threats == ("EICAR", "Tor")
    assert found.remote_ips == ("198.51.100.7",)
    assert found.api_call is not None
    assert found.api_call.source_ips == ("198.51.100.7",)
    assert found.role_binding is not None
    assert (found.role_binding.name, found.role_binding.role_ref_name) == ("system:x", "admin")
    assert found.role is not None
    assert found.role.name == "r"
    assert found.permission_checked is not None
    assert found.permission_checked.allowed is False


def test_attack_sequence_in_both_spellings() -> None:
    wire = b.attack_sequence()
    spelled = b.get_findings(wire)
    # botocore's names differ from the wire's by more than case here.
    (resource,) = [
        r
        for r in spelled["Findings"][0]["Service"]["Detection"]["Sequence"]["Resources"]
        if r["ResourceType"] == "KUBERNETES_WORKLOAD"
    ]
    data = resource["Data"]["KubernetesWorkload"]
    data["KubernetesResourcesTypes"] = data.pop("Type")
    found = read(wire)
    assert same(read(spelled)) == same(found)
    assert found.sequence is not None
    assert found.cluster is not None
    assert found.cluster.name == b.CLUSTER
    (workload,) = found.sequence.resources_of("KUBERNETES_WORKLOAD")
    assert (workload.name, workload.namespace, workload.kind) == ("web", "shop", WorkloadKind.DEPLOYMENT)
    assert found.sequence.actors[1].process_name == "xmrig"
    assert found.sequence.signals[0].first_seen == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_asff_archived_and_severity_scales() -> None:
    assert read(b.asff(RecordState="ARCHIVED")).archived
    assert read(b.asff(b.detail(service={"archived": True}))).archived
    assert read(b.asff(Severity={"Product": 8.5, "Normalized": 40})).severity == 8.5
    assert read(b.asff(Severity={"Normalized": 70})).severity == 7.0


def test_asff_with_a_key_that_is_both_list_and_object() -> None:
    finding = b.asff()
    other = finding["Resources"][0]["Details"]["Other"]
    prefix = "kubernetesDetails/kubernetesWorkloadDetails/containers"
    other[f"{prefix}/name"] = "x"
    other[f"{prefix}.0_/name"] = "late"
    found = read(finding)
    assert found.workload is not None
    assert [c.name for c in found.workload.containers] == ["late"]


class TestPublished:
    """The captures that others published."""

    def test_privileged_container(self) -> None:
        (found,) = read_findings((FIXTURES / "privileged-container.get-findings.json").read_bytes())
        assert found.workload is not None
        assert found.user is not None
        assert found.api_call is not None
        assert (found.workload.kind, found.workload.namespace) == (WorkloadKind.POD, "argocd")
        assert [c.name for c in found.workload.privileged_containers] == ["app"]
        assert found.user.username == "system:serviceaccount:argocd:argocd-application-controller"
        assert (found.severity, found.api_call.source_ips) == (5.0, ("10.0.205.129",))

    def test_security_hub_event(self) -> None:
        (found,) = read_findings((FIXTURES / "malicious-ip-caller.securityhub-event.json").read_bytes())
        assert found.source is FindingSource.SECURITY_HUB_EVENT
        assert (found.id, found.type) == ("1234", "Discovery:Kubernetes/MaliciousIPCaller")
        assert found.cluster is not None
        assert found.user is not None
        assert found.api_call is not None
        assert (found.cluster.name, found.severity, found.detector_id) == ("cleanroom-test-eks", 5.0, "abcd")
        assert (found.user.username, found.user.groups) == ("system:anonymous", ("system:unauthenticated",))
        assert (found.workload, found.threats, found.user.session_names) == (None, (), ())
        assert (found.api_call.verb, found.api_call.status_code) == ("get", 200)
        assert found.warnings == ("detail.findings[0].AwsAccountId: not 12 digits: '0123456789101'",)

    def test_without_kubernetes_details(self) -> None:
        (found,) = read_findings((FIXTURES / "malicious-ip-caller.get-findings.json").read_bytes())
        assert (found.user, found.workload, found.access_key, found.count) == (None, None, None, 3)
        assert found.remote_ips == ("198.51.100.7",)

    def test_every_field_is_foo(self) -> None:
        (found,) = read_findings((FIXTURES / "every-field.get-findings.json").read_bytes())
        assert (found.id, found.created_at, found.count) == ("foo", None, 123)
        assert found.workload is not None
        assert found.workload.kind is WorkloadKind.UNKNOWN
        assert found.containers
        assert found.role_binding
        assert found.permission_checked
        assert found.process

    def test_a_fragment_is_no_finding(self) -> None:
        with pytest.raises(InputError) as error:
            read_findings((FIXTURES / "eks-cluster-resource.fragment.json").read_bytes())
        assert (error.value.field, error.value.found) == ("Id", "nothing")
