from datetime import UTC, datetime
from typing import Any

import pytest

from activities.isolation.managers import probable_manager
from activities.isolation.proof import MOST, LivePod, Prover
from contracts.activities import Proof
from contracts.changes import deny_all_spec
from contracts.common import PodTarget
from contracts.states import Containment
from plans.observed import ClusterFacts

GOOD = ClusterFacts(enforces_policies=True, cni="Calico")
ME = "gd/1/r/a"
MARKED = {"firebreak.dev/quarantined": "true", "firebreak.dev/hold": "true", "app": "web"}


def policy(name: str, spec: dict[str, Any], holders: str = "", **metadata: Any) -> dict[str, Any]:
    annotations = {"firebreak.dev/incidents": holders} if holders else {}
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", "annotations": annotations, **metadata},
        "spec": spec,
    }


DENY = policy("firebreak-quarantine", deny_all_spec(), f'["{ME}"]')


def live(count: int = 1, labels: dict[str, str] = MARKED, **spec: Any) -> list[LivePod]:
    owner = [{"kind": "ReplicaSet"}]
    annotations = {"firebreak.dev/incidents": f'["{ME}"]'}
    metadata = {"labels": labels, "annotations": annotations, "ownerReferences": owner}
    return [
        (PodTarget(namespace="shop", name=f"web-{i}", uid=str(i)), {"metadata": metadata, "spec": spec})
        for i in range(count)
    ]


def prove(pods: list[LivePod], *policies: dict[str, Any], facts: ClusterFacts = GOOD, admission: Any = ()) -> Proof:
    prover = Prover(ME, "pod.quarantine", facts)
    prover.cluster(admission)
    prover.namespace("shop", policies or [DENY], pods)
    return prover.proof(datetime.now(UTC), live=len(pods), gone=0)


def test_everything_holds() -> None:
    proof = prove(live(3))
    assert (proof.containment, proof.verified, proof.reasons) == (Containment.VERIFIED, 3, ())


@pytest.mark.parametrize(
    ("facts", "reason", "proposal"),
    [
        ({"enforces_policies": False, "cni": "Amazon VPC CNI"}, "The network plugin (Amazon VPC CNI) does not enforce",
         "Enable NetworkPolicies"),
        ({"enforces_policies": None, "cni": ""}, "The network plugin was not recognised", "Find out whether"),
        ({"enforces_policies": True, "foreign_policies": ("ciliumnetworkpolicies.cilium.io shop/a",)},
         "Policies that Firebreak does not evaluate may allow traffic: ciliumnetworkpolicies", "Check or remove"),
    ],
)  # fmt: skip
def test_what_the_cluster_cannot_do_is_said(facts: Any, reason: str, proposal: str) -> None:
    proof = prove(live(2), facts=ClusterFacts(**facts))
    assert (proof.containment, proof.verified) == (Containment.INCOMPLETE, 0)
    assert proof.reasons[0].startswith(reason) and proof.proposals[0].startswith(proposal)


def test_admission_policies_that_are_out_of_force_are_said_in_one_sentence() -> None:
    proof = prove(live(), admission=["a is not installed", "b is not bound", "c x", "d y"])
    assert proof.reasons == (
        "The admission policies that keep pods contained are not in force: "
        "a is not installed; b is not bound; c x; and 1 more",
    )


def test_five_thousand_pods_with_the_same_trouble_are_one_reason() -> None:
    bad = policy("allow", {"podSelector": {}, "ingress": [{}]})
    proof = prove(live(5000), DENY, bad)
    assert proof.reasons == (
        "NetworkPolicy shop/allow allows traffic to 5,000 pods (shop/web-0, shop/web-1, shop/web-2 and 4,997 more)",
    )
    assert len(proof.missing) == 1


def test_reasons_and_proposals_are_bounded() -> None:
    many = [policy(f"p{i}", {"podSelector": {}, "ingress": [{}]}, f'["{ME}"]') for i in range(50)]
    proof = prove(live(), DENY, *many)
    assert (len(proof.reasons), len(proof.proposals), len(proof.missing)) == (MOST, MOST, 50)


def test_a_pod_without_owner_is_reached_by_other_plugins_than_the_vpc_cni() -> None:
    pods = live()
    del pods[0][1]["metadata"]["ownerReferences"]
    assert prove(pods).containment is Containment.VERIFIED
    proof = prove(pods, facts=ClusterFacts(enforces_policies=True, cni="Amazon VPC CNI"))
    assert "they have no owner" in proof.reasons[0]
    beside = ClusterFacts(enforces_policies=True, cni="Amazon VPC CNI with Calico")
    assert prove(pods, facts=beside).containment is Containment.VERIFIED


def test_a_text_from_outside_cannot_break_a_sentence() -> None:
    pods = live()
    target = pods[0][0].model_copy(update={"unreachable": "{0} {x}"})
    assert prove([(target, pods[0][1])]).reasons == ("No NetworkPolicy reaches pod shop/web-0: {0} {x}",)
    bad = policy("allow", {"podSelector": {}, "ingress": [{}]}, f'["{ME}"]',
                 labels={"app.kubernetes.io/managed-by": "{evil}\x1b[31m"})  # fmt: skip
    assert "probably by {evil} [31m" in prove(live(), DENY, bad).reasons[0]


@pytest.mark.parametrize(
    ("metadata", "manager"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop-app:networking/NetworkPolicy:a/b"}},
         "Argo CD application shop-app"),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "Argo CD application shop"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "web"}}, "Flux HelmRelease web"),
        ({"annotations": {"meta.helm.sh/release-name": "web"}, "labels": {"app.kubernetes.io/managed-by": "Helm"}},
         "Helm release web"),
        ({"labels": {"app.kubernetes.io/managed-by": "operator"}}, "operator"),
        ({"ownerReferences": [{"kind": "Shop", "name": "web"}]}, "Shop web"),
        ({"managedFields": [
            {"manager": "kubectl", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:podSelector": {}}}},
            {"manager": "operator", "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:spec": {"f:podSelector": {}}}},
            {"manager": "firebreak", "time": "2026-01-03T00:00:00Z", "fieldsV1": {"f:spec": {"f:podSelector": {}}}},
            {"manager": "other", "time": "2026-01-04T00:00:00Z", "fieldsV1": {"f:spec": {"f:ingress": {}}}},
        ]}, "operator"),
        ({}, ""),
    ],
)  # fmt: skip
def test_who_probably_manages_a_policy(metadata: dict[str, Any], manager: str) -> None:
    assert probable_manager({"metadata": metadata}) == manager
