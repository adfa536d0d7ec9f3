"""What a suppression rule would hide: exactly what was expected, and nothing that an attacker could share (G4)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from errors import PolicyRefusal
from plans.model import ResourceRef
from plans.suppression import Criteria, suppression_of
from tests.assess.support import raw_finding, read

WORKLOAD = "resource.kubernetesDetails.kubernetesWorkloadDetails"
USER = "resource.kubernetesDetails.kubernetesUserDetails"
POD = {"Name": "checkout-7d9f8-x2x4z", "Type": "pods", "Namespace": "shop", "Uid": "u"}
SCANNER = {"Username": "system:serviceaccount:scan:scanner", "Groups": ["system:authenticated"]}
ANONYMOUS = {"Username": "system:anonymous", "Groups": ["system:unauthenticated"]}
DEPLOYMENT = ResourceRef(kind="Deployment", namespace="shop", name="checkout", uid="d")


def criteria(owner: ResourceRef | None = None, **fields: Any) -> Criteria:
    return suppression_of(read(raw_finding("f-1", **fields)), owner).criteria


def test_everything_that_the_finding_says_narrows_it() -> None:
    workload = POD | {"ServiceAccountName": "till"}
    found = criteria(workload=workload, user=SCANNER, finding_type="Discovery:Kubernetes/MaliciousIPCaller")
    raw = raw_finding("f-1")
    assert found == {
        "type": {"equals": ["Discovery:Kubernetes/MaliciousIPCaller"]},
        "accountId": {"equals": [raw["AccountId"]]},
        "resource.eksClusterDetails.name": {"equals": [raw["Resource"]["EksClusterDetails"]["Name"]]},
        f"{WORKLOAD}.namespace": {"equals": ["shop"]},
        f"{WORKLOAD}.type": {"equals": ["pods"]},
        f"{WORKLOAD}.name": {"equals": ["checkout-7d9f8-x2x4z"]},
        f"{WORKLOAD}.serviceAccountName": {"equals": ["till"]},
        f"{USER}.username": {"equals": ["system:serviceaccount:scan:scanner"]},
    }


def test_a_pod_that_will_have_another_name_is_meant_by_the_name_of_what_makes_it() -> None:
    assert criteria(DEPLOYMENT, workload=POD)[f"{WORKLOAD}.name"] == {"matches": ["checkout-*"]}
    # Whose name is no beginning of the pod's, or would be a pattern of its own, makes nothing wider.
    for name in ("check", "checkout-7d9f8-x2x4z", "*", ""):
        owner = DEPLOYMENT.model_copy(update={"name": name})
        assert criteria(owner, workload=POD)[f"{WORKLOAD}.name"] == {"equals": ["checkout-7d9f8-x2x4z"]}
    assert criteria(DEPLOYMENT, workload=POD | {"Name": "checkout-web", "Type": "deployments"})[f"{WORKLOAD}.name"] == {
        "equals": ["checkout-web"]
    }


def test_whoever_was_impersonated_narrows_it_too() -> None:
    found = criteria(user=SCANNER | {"ImpersonatedUser": {"Username": "jane", "Groups": []}})
    assert found[f"{USER}.impersonatedUser.username"] == {"equals": ["jane"]}


def test_what_nothing_narrows_is_refused() -> None:
    for user in (None, ANONYMOUS):
        with pytest.raises(PolicyRefusal, match="neither namespace nor workload nor user"):
            criteria(user=user)
    assert criteria(user=ANONYMOUS, workload={"Namespace": "shop"})[f"{WORKLOAD}.namespace"] == {"equals": ["shop"]}


def test_no_cluster_no_sample_and_nothing_that_cannot_be_shown() -> None:
    with pytest.raises(PolicyRefusal, match="names no cluster"):
        criteria(workload=POD, cluster="")
    with pytest.raises(PolicyRefusal, match="sample"):
        suppression_of(read(raw_finding("f-1", workload=POD)).model_copy(update={"sample": True}))
    with pytest.raises(PolicyRefusal, match="user of the finding cannot be shown"):
        criteria(user={"Username": "jane" * 200, "Groups": []})


def test_the_name_is_one_that_guardduty_takes_and_tells_proposals_apart() -> None:
    long = raw_finding("f-1", workload=POD, cluster="a_very-long.name-of-a-cluster" * 4, finding_type="A:B/" + "c" * 90)
    names = {
        suppression_of(finding).name
        for finding in (read(long), read(raw_finding("f-1", workload=POD)), read(raw_finding("f-1", user=SCANNER)))
    }
    assert len(names) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{3,64}", name) for name in names)
    again = suppression_of(read(raw_finding("f-2", workload=POD))).name
    assert again in names, "another finding about the same has the same filter"


def test_what_else_it_hides_is_said() -> None:
    def said(owner: ResourceRef | None = None, **fields: Any) -> str:
        return " ".join(suppression_of(read(raw_finding("f-1", **fields)), owner).hides)

    assert "no workload" in said(user=SCANNER)
    assert "no identity" in said(workload=POD)
    assert "no identity" in said(workload=POD, user=ANONYMOUS)
    assert "names one pod" in said(workload=POD, user=SCANNER)
    assert "begin alike" in said(DEPLOYMENT, workload=POD, user=SCANNER)
    assert "Firebreak does not hear of it" in said(workload=POD, user=SCANNER)
