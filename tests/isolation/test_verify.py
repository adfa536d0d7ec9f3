import time
from typing import Any

import pytest

from activities.assess.cluster import ClusterReader
from activities.doors import Doors
from activities.isolation.admission import ADMISSION_POLICIES
from activities.isolation.isolate import IsolateActivities
from activities.isolation.verify import VerifyActivities
from activities.restore import RestoreActivities
from contracts.activities import Proof, RestoreRequest, VerifyRequest
from contracts.common import PodTarget
from contracts.names import QUARANTINE_POLICY
from contracts.states import Containment
from devstack.install import load_manifests
from devstack.kube import KubeApi, KubeError
from plans.model import Change
from tests.isolation.support import (
    counting,
    eventually,
    holders,
    inline,
    json_patch,
    make_pod,
    make_pods,
    make_policy,
    marks,
    pod,
    policy,
    run,
)
from tests.isolation.test_isolate import ALLOW, A, B, request, selector_change

pytestmark = pytest.mark.stack
STEP = "pod.quarantine"


class Case:
    """One incident with its isolation and verification."""

    def __init__(self, doors: Doors, verification: VerifyActivities, *pods: PodTarget, key: Any = A) -> None:
        self.isolation = IsolateActivities(doors)
        self.verification = verification
        self.pods = pods
        self.key = key

    def isolate(self, *changes: Change) -> None:
        asked = request(self.key, inline(*self.pods), *changes)
        assert run(self.isolation.isolate_pods, asked).failures == ()

    def verify(self, *changes: Change) -> Proof:
        asked = VerifyRequest(incident=self.key, step=STEP, pods=inline(*self.pods), changes=changes)
        return run(self.verification.verify_containment, asked)


def test_the_admission_policies_are_those_that_are_installed() -> None:
    kinds: dict[str, set[str]] = {}
    for manifest in load_manifests("admission.yaml"):
        kinds.setdefault(manifest["kind"], set()).add(manifest["metadata"]["name"])
        assert manifest["metadata"]["labels"]["app.kubernetes.io/name"] == "firebreak"
    assert kinds == {
        "ValidatingAdmissionPolicy": set(ADMISSION_POLICIES),
        "ValidatingAdmissionPolicyBinding": set(ADMISSION_POLICIES),
    }


def test_verified_when_everything_holds(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str
) -> None:
    case = Case(doors, verification, *make_pods(admin, namespace, 2))
    change = selector_change(make_policy(admin, namespace, "allow-web", ALLOW))
    case.isolate(change)
    proof = case.verify(change)
    assert (proof.containment, proof.verified, proof.gone) == (Containment.VERIFIED, 2, 0)
    assert (proof.reasons, proof.proposals, proof.missing) == ((), (), ())
    assert abs(proof.at.timestamp() - time.time()) < 5


def test_nothing_is_verified_before_anything_was_done(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str
) -> None:
    proof = Case(doors, verification, *make_pods(admin, namespace, 2)).verify()
    assert proof.containment is Containment.INCOMPLETE and proof.verified == 0
    assert any(r.startswith("No policy closes the traffic to 2 pods (") for r in proof.reasons)
    assert f"The deny-all policy of namespace {namespace} does not stand" in proof.reasons
    assert [c.resource.name for c in proof.missing] == [QUARANTINE_POLICY]


def test_no_live_target_is_not_called_verified(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str
) -> None:
    gone = PodTarget(namespace=namespace, name="nobody", uid="1")
    proof = Case(doors, verification, gone).verify()
    assert (proof.containment, proof.gone) == (Containment.NOT_APPLICABLE, 1)
    assert proof.reasons == ("No target is left: 1 are gone",)


def test_a_policy_added_later_is_found_and_the_next_round_closes_it(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str, namespace_admin: KubeApi
) -> None:
    case = Case(doors, verification, make_pod(admin, namespace, "web-0"))
    case.isolate()
    make_policy(namespace_admin, namespace, "sneaky", {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]})
    proof = case.verify()
    assert proof.reasons == (f"NetworkPolicy {namespace}/sneaky allows traffic from pod {namespace}/web-0",)
    case.isolate(*proof.missing)
    assert case.verify(*proof.missing).containment is Containment.VERIFIED
    assert holders((policy(admin, namespace, "sneaky") or {})["metadata"]) == [A.workflow_id]


def test_a_policy_that_selects_the_quarantine_label_itself_is_closed_too(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str
) -> None:
    case = Case(doors, verification, make_pod(admin, namespace, "web-0"))
    case.isolate()
    spec = {"podSelector": {"matchLabels": {"firebreak.dev/quarantined": "true"}}, "ingress": [{}]}
    make_policy(admin, namespace, "attacker", spec)
    proof = case.verify()
    assert len(proof.missing) == 1
    case.isolate(*proof.missing)
    assert case.verify().containment is Containment.VERIFIED


def test_a_selector_that_its_owner_puts_back_is_named_with_the_owner(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str, namespace_admin: KubeApi
) -> None:
    case = Case(doors, verification, make_pod(admin, namespace, "web-0"))
    labels = {"kustomize.toolkit.fluxcd.io/name": "shop"}
    change = selector_change(make_policy(admin, namespace, "allow-web", ALLOW, labels=labels))
    case.isolate(change)
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/allow-web"
    json_patch(namespace_admin, path, {"op": "remove", "path": "/spec/podSelector/matchExpressions"})
    proof = case.verify(change)
    assert proof.containment is Containment.INCOMPLETE
    assert proof.reasons == (
        f"NetworkPolicy {namespace}/allow-web, whose selector was put back, probably by Flux Kustomization shop, "
        f"allows traffic to pod {namespace}/web-0",
    )
    assert "suspend Flux Kustomization shop" in proof.proposals[0]
    case.isolate(*proof.missing)
    assert case.verify(change).containment is Containment.VERIFIED


def test_who_wrote_the_selector_last_is_named_when_nothing_marks_an_owner(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str, namespace_admin: KubeApi
) -> None:
    case = Case(doors, verification, make_pod(admin, namespace, "web-0"))
    change = selector_change(make_policy(admin, namespace, "allow-web", ALLOW))
    case.isolate(change)
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/allow-web"
    namespace_admin.apply(
        path,
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "allow-web"},
         "spec": {"podSelector": {"matchLabels": {"app": "web"}, "matchExpressions": [
             {"key": "tier", "operator": "DoesNotExist"}]}, "policyTypes": ["Ingress"], "ingress": [{}]}},
    )  # fmt: skip
    assert "probably by firebreak-install" in case.verify(change).reasons[0]


def test_labels_that_were_taken_off_make_it_incomplete(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str
) -> None:
    case = Case(doors, verification, *make_pods(admin, namespace, 2))
    case.isolate()
    # Admission keeps everybody else from it, so Firebreak's own identity plays the cluster without these policies.
    doors.kubernetes.patch(
        f"/api/v1/namespaces/{namespace}/pods/web-0",
        [
            {"op": "remove", "path": "/metadata/labels/firebreak.dev~1quarantined"},
            {"op": "remove", "path": "/metadata/labels/firebreak.dev~1hold"},
            {"op": "remove", "path": "/metadata/annotations"},
        ],
    )
    proof = case.verify()
    name = f"pod {namespace}/web-0"
    assert set(proof.reasons) == {
        f"No policy closes the traffic to {name}",
        f"No policy closes the traffic from {name}",
        f"The label firebreak.dev/quarantined is missing on {name}",
        f"The label firebreak.dev/hold is missing on {name}",
        f"This incident is not among the holders of {name}",
    }
    assert proof.verified == 1
    case.isolate()
    assert case.verify().containment is Containment.VERIFIED


def test_nobody_else_can_take_the_labels_off(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str
) -> None:
    target = make_pod(admin, namespace, "web-0")
    Case(doors, verification, target).isolate()
    path = f"/api/v1/namespaces/{namespace}/pods/web-0"
    for field in ("labels/firebreak.dev~1quarantined", "labels/firebreak.dev~1hold", "annotations"):
        with pytest.raises(KubeError, match=r"firebreak-.* denied request"):
            json_patch(admin, path, {"op": "remove", "path": f"/metadata/{field}"})
    with pytest.raises(KubeError, match="held as evidence"):
        admin.request("DELETE", path)
    assert marks(admin, target) == (True, True, [A.workflow_id])


def test_a_deny_all_policy_that_is_gone_is_made_again(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str
) -> None:
    case = Case(doors, verification, make_pod(admin, namespace, "web-0"))
    case.isolate()
    live = policy(admin, namespace, QUARANTINE_POLICY) or {}
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/{QUARANTINE_POLICY}"
    doors.kubernetes.delete(path, uid=live["metadata"]["uid"])
    proof = case.verify()
    assert f"The deny-all policy of namespace {namespace} does not stand" in proof.reasons
    case.isolate(*proof.missing)
    assert case.verify().containment is Containment.VERIFIED


def test_pods_that_no_policy_reaches_are_said_with_the_next_step(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str
) -> None:
    bare = make_pod(admin, namespace, "bare", owned=False)
    host = make_pod(admin, namespace, "host", hostNetwork=True)
    windows = make_pod(admin, namespace, "windows", os={"name": "windows"})
    fargate = make_pod(admin, namespace, "fargate", schedulerName="fargate-scheduler")
    told = make_pod(admin, namespace, "told").model_copy(update={"unreachable": "the node {is} strange"})
    case = Case(doors, verification, bare, host, windows, fargate, told)
    case.isolate()
    eventually(lambda: pod(admin, host)["spec"].get("nodeName"))
    proof = case.verify()
    assert proof.containment is Containment.INCOMPLETE and proof.verified == 0
    assert [r.partition(": ")[2] for r in proof.reasons] == [
        "they have no owner, and the VPC CNI enforces policies only on pods that have one",
        "they use the network of their node",
        "they run on Windows",
        "they run on Fargate",
        "the node {is} strange",
    ]
    assert any(p.startswith("Isolate node node-") for p in proof.proposals)


def test_the_release_of_another_incident_would_reopen_a_borrowed_expression(
    doors: Doors, verification: VerifyActivities, release: RestoreActivities, admin: KubeApi, namespace: str
) -> None:
    first, second = make_pods(admin, namespace, 2)
    change = selector_change(make_policy(admin, namespace, "allow-web", ALLOW))
    Case(doors, verification, first, key=A).isolate(change)
    # The second incident was assessed when the policy left out quarantined pods already, and did not plan to hold it.
    case = Case(doors, verification, second, key=B)
    case.isolate()
    proof = case.verify()
    assert proof.reasons == (f"NetworkPolicy {namespace}/allow-web leaves the pods out for another incident only",)
    case.isolate(*proof.missing)
    assert case.verify().containment is Containment.VERIFIED
    result = run(release.restore_changes, RestoreRequest(incident=A, pods=inline(first), changes=(change,)))
    assert f"NetworkPolicy {namespace}/allow-web: held by {B.workflow_id}" in result.kept
    assert case.verify().containment is Containment.VERIFIED
    run(release.restore_changes, RestoreRequest(incident=B, pods=inline(second), changes=proof.missing))
    assert (policy(admin, namespace, "allow-web") or {})["spec"] == ALLOW


def test_an_admission_policy_that_is_out_of_force_is_said(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str
) -> None:
    case = Case(doors, verification, make_pod(admin, namespace, "web-0"))
    case.isolate()
    root = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/firebreak-pod-marks"
    json_patch(admin, root, {"op": "replace", "path": "/spec/validationActions", "value": ["Audit"]})
    try:
        proof = case.verify()
    finally:
        json_patch(admin, root, {"op": "replace", "path": "/spec/validationActions", "value": ["Deny"]})
    assert proof.containment is Containment.INCOMPLETE
    assert "firebreak-pod-marks is bound without denying" in proof.reasons[0]
    assert "doctor" in proof.proposals[0]


def test_one_pod_costs_at_most_four_calls_an_activity(
    doors: Doors, verification: VerifyActivities, admin: KubeApi, namespace: str
) -> None:
    target = make_pod(admin, namespace, "web-0")
    calls: list[str] = []
    counted = counting(doors, calls)
    reader = ClusterReader(doors.kubernetes)
    reader.facts([namespace])
    run(IsolateActivities(counted).isolate_pods, request(A, inline(target)))
    assert [c.split()[0] for c in calls] == ["POST", "GET", "PATCH"]
    calls.clear()
    asked = VerifyRequest(incident=A, step=STEP, pods=inline(target), changes=())
    assert run(VerifyActivities(counted, reader).verify_containment, asked).containment is Containment.VERIFIED
    assert len(calls) == 4


def test_many_pods_are_read_by_pages(doors: Doors, admin: KubeApi, namespace: str) -> None:
    targets = make_pods(admin, namespace, 12)
    calls: list[str] = []
    counted = counting(doors, calls)
    case = Case(counted, VerifyActivities(counted, ClusterReader(doors.kubernetes)), *targets)
    case.isolate()
    calls.clear()
    assert case.verify().verified == 12
    assert sum("/pods" in c for c in calls) == 1
