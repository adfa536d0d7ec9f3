"""The cluster as ``up`` leaves it: nodes, pods, and what the product may do in it."""

import asyncio
import datetime
from typing import Any

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.service import ConnectConfig, ServiceClient

from devstack.demo_workload import IMAGE, deploy_demo_workload
from devstack.install import install_product, load_manifests
from devstack.kube import KubeApi, KubeError
from devstack.processes import poll
from devstack.stack import StackInfo


def test_the_product_s_permissions_are_the_least() -> None:
    # The identity that edits bindings is as good as an administrator, which is why it is one of its own.
    roles = [m for m in load_manifests("rbac.yaml") if m["metadata"]["name"] != "firebreak-bindings"]
    rules = [rule for manifest in roles for rule in manifest.get("rules", [])]
    assert rules
    for rule in rules:
        words = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert not words & {"*", "secrets", "impersonate", "bind", "escalate", "pods/exec", "serviceaccounts/token"}, (
            rule
        )


def test_every_policy_fails_closed_is_bound_and_knows_the_one_identity() -> None:
    manifests = load_manifests("admission.yaml")
    policies = [manifest for manifest in manifests if manifest["kind"] == "ValidatingAdmissionPolicy"]
    bindings = [manifest for manifest in manifests if manifest["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert {policy["metadata"]["name"] for policy in policies} == {
        binding["spec"]["policyName"] for binding in bindings
    }
    for policy in policies:
        assert policy["spec"]["failurePolicy"] == "Fail"
        conditions = {condition["name"]: condition["expression"] for condition in policy["spec"]["matchConditions"]}
        assert conditions["not-firebreak"].endswith("'system:serviceaccount:firebreak:firebreak'")
    assert all(binding["spec"]["validationActions"] == ["Deny"] for binding in bindings)


@pytest.mark.stack
@pytest.mark.parametrize(
    ("verb", "group", "resource", "namespace"),
    [
        ("create", "", "services", "shop"), ("get", "", "endpoints", ""), ("get", "", "persistentvolumes", ""),
        ("list", "", "persistentvolumeclaims", "shop"), ("get", "apps", "controllerrevisions", "shop"),
        ("patch", "policy", "poddisruptionbudgets", "shop"), ("patch", "batch", "jobs", "shop"),
        ("create", "", "nodes", ""), ("update", "", "serviceaccounts", "shop"), ("watch", "", "pods", ""),
        ("update", "", "pods", "shop"), ("list", "events.k8s.io", "events", "shop"),
        ("list", "", "secrets", "shop"), ("get", "", "secrets", "shop"), ("list", "", "configmaps", "shop"),
        ("patch", "", "configmaps", "firebreak"), ("list", "coordination.k8s.io", "leases", "firebreak"),
        ("list", "crd.projectcalico.org", "tiers", ""), ("list", "networking.k8s.aws", "policyendpoints", ""),
    ],
)  # fmt: skip
def test_what_nothing_uses_is_not_granted(
    firebreak: KubeApi, verb: str, group: str, resource: str, namespace: str
) -> None:
    asked = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
    review = firebreak.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {"spec": {"resourceAttributes": {k: v for k, v in asked.items() if v}}},
    )
    assert review["status"]["allowed"] is False


@pytest.mark.stack
def test_installing_again_changes_nothing(admin: KubeApi) -> None:
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"

    def versions() -> dict[str, str]:
        items = admin.request("GET", path)["items"]
        return {item["metadata"]["name"]: item["metadata"]["generation"] for item in items}

    # Once more first, for a stack that was kept from a day with other manifests.
    install_product(admin)
    before = versions()
    install_product(admin)
    assert versions() == before
    checked = admin.request("GET", path)["items"]
    warnings = [item["status"].get("typeChecking", {}).get("expressionWarnings") for item in checked]
    assert warnings == [None] * len(checked)


@pytest.mark.stack
def test_firebreak_reads_pods_but_no_secrets(firebreak: KubeApi) -> None:
    assert firebreak.exists("/api/v1/pods")
    for path in ("/api/v1/secrets", "/api/v1/namespaces/firebreak/secrets", "/api/v1/namespaces/shop/configmaps"):
        with pytest.raises(KubeError, match="403 Forbidden"):
            firebreak.request("GET", path)


@pytest.mark.stack
def test_firebreak_keeps_its_books_in_its_own_namespace(firebreak: KubeApi, admin: KubeApi) -> None:
    control = "/api/v1/namespaces/firebreak/configmaps"
    if admin.exists(f"{control}/firebreak-control"):
        # The installation's own, of a test before this one.
        admin.request("DELETE", f"{control}/firebreak-control")
    firebreak.request("POST", control, {"metadata": {"name": "firebreak-control"}, "data": {"paused": "false"}})
    try:
        assert firebreak.request("GET", f"{control}/firebreak-control")["data"] == {"paused": "false"}
        changed = {"metadata": {"name": "firebreak-control"}, "data": {"paused": "true"}}
        firebreak.request("PUT", f"{control}/firebreak-control", changed)
    finally:
        admin.request("DELETE", f"{control}/firebreak-control")


@pytest.mark.stack
def test_pods_look_as_on_a_real_node(admin: KubeApi, firebreak: KubeApi, namespace: str) -> None:
    demo = deploy_demo_workload(admin, namespace=namespace)
    assert len({pod.node for pod in demo.pods}) == 3
    assert len({pod.ip for pod in demo.pods}) == 3
    pod = admin.request("GET", f"/api/v1/namespaces/{namespace}/pods/{demo.pods[0].name}")
    [status] = pod["status"]["containerStatuses"]
    assert status["imageID"] == IMAGE
    assert status["containerID"].startswith("containerd://")
    node = admin.request("GET", f"/api/v1/nodes/{demo.pods[0].node}")
    addresses = {address["type"]: address["address"] for address in node["status"]["addresses"]}
    assert pod["status"]["hostIP"] == addresses["InternalIP"]
    assert (
        "order placed"
        in firebreak.request("GET", f"/api/v1/namespaces/{namespace}/pods/{demo.pods[0].name}/log")["text"]
    )


@pytest.mark.stack
def test_images_by_tag_get_a_digest_and_jobs_run_on(admin: KubeApi, namespace: str) -> None:
    spec = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "registry.example:5000/team/batch:1.2"}]}
    job: dict[str, Any] = {"metadata": {"name": "nightly"}, "spec": {"template": {"spec": spec}}}
    admin.request("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", job)
    path = f"/api/v1/namespaces/{namespace}/pods"

    def phases() -> list[str]:
        return [item["status"]["phase"] for item in admin.request("GET", path)["items"]]

    poll("running pod of the Job", lambda: phases() == ["Running"], 20)
    [pod] = admin.request("GET", path)["items"]
    image_id = pod["status"]["containerStatuses"][0]["imageID"]
    name, _, digest = image_id.partition("@sha256:")
    assert (name, len(digest)) == ("registry.example:5000/team/batch", 64)

    done = {"metadata": {"annotations": {"kwok.x-k8s.io/complete": "true"}}}
    name = pod["metadata"]["name"]
    admin.request("PATCH", f"{path}/{name}", done, content_type="application/merge-patch+json")
    poll("completed pod", lambda: phases() == ["Succeeded"], 20)


@pytest.mark.stack
def test_the_environment_names_everything(stack: StackInfo) -> None:
    variables = stack.environment()
    assert variables["KUBECONFIG"] != variables["KUBECONFIG_ADMIN"]
    assert variables["FIREBREAK_EVIDENCE"] == "s3://firebreak-evidence"
    assert variables["FIREBREAK_DETECTOR_ID"] == stack.detector_id
    assert all(variables.values())
    assert oct(stack.kubeconfig_admin.stat().st_mode & 0o777) == "0o600"


@pytest.mark.stack
def test_temporal_is_set_up(stack: StackInfo) -> None:
    async def ask() -> tuple[datetime.timedelta, dict[str, int]]:
        client = await ServiceClient.connect(ConnectConfig(target_host=stack.temporal_address))
        namespace = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
        attributes = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace="default")
        )
        retention = namespace.config.workflow_execution_retention_ttl.ToTimedelta()
        return retention, {name: int(kind) for name, kind in attributes.custom_attributes.items()}

    retention, attributes = asyncio.run(ask())
    assert retention == datetime.timedelta(days=90)
    assert {"FirebreakFindingId", "FindingType", "Cluster", "State", "Gate", "Severity"} <= attributes.keys()
