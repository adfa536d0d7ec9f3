"""The stand-in's EKS: access entries, identity providers and Pod Identity, through boto3."""

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devstack.aws.prepare import ADMINISTRATOR
from devstack.stack import StackInfo
from tests.devstack.test_aws import client

pytestmark = pytest.mark.stack

ADMIN_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
CLUSTER = "firebreak-demo"


@pytest.fixture(scope="module")
def eks(stack: StackInfo) -> Any:
    return client(stack, "eks")


def role(path: str = "") -> str:
    return f"arn:aws:iam::123456789012:role/{path}r-{secrets.token_hex(4)}"


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


def test_the_demo_s_account_has_nodes_and_an_administrator(eks: Any) -> None:
    entries = eks.list_access_entries(clusterName=CLUSTER)["accessEntries"]
    kinds = {a: eks.describe_access_entry(clusterName=CLUSTER, principalArn=a)["accessEntry"]["type"] for a in entries}
    assert kinds[f"arn:aws:iam::123456789012:role/{CLUSTER}-node"] == "EC2_LINUX"
    assert kinds[f"arn:aws:iam::123456789012:role/{ADMINISTRATOR}"] == "STANDARD"
    admins = eks.list_access_entries(clusterName=CLUSTER, associatedPolicyArn=ADMIN_POLICY)["accessEntries"]
    assert admins == [f"arn:aws:iam::123456789012:role/{ADMINISTRATOR}"]


def test_an_entry_lives_and_its_slashes_do_not_lead_astray(eks: Any) -> None:
    arn = role("team/path/")
    where = {"clusterName": CLUSTER, "principalArn": arn}
    made = eks.create_access_entry(**where, kubernetesGroups=["viewers"])["accessEntry"]
    assert made["username"] == f"arn:aws:sts::123456789012:assumed-role/{arn.rsplit('/')[-1]}/{{{{SessionName}}}}"
    eks.associate_access_policy(**where, policyArn=ADMIN_POLICY, accessScope={"type": "cluster"})
    eks.associate_access_policy(
        **where, policyArn=ADMIN_POLICY, accessScope={"type": "namespace", "namespaces": ["shop"]}
    )
    [policy] = eks.list_associated_access_policies(**where)["associatedAccessPolicies"]
    assert policy["accessScope"] == {"type": "namespace", "namespaces": ["shop"]}
    eks.update_access_entry(**where, kubernetesGroups=[])
    entry = eks.describe_access_entry(**where)["accessEntry"]
    assert entry["kubernetesGroups"] == []
    assert entry["createdAt"].year >= 2026
    eks.disassociate_access_policy(**where, policyArn=ADMIN_POLICY)
    eks.delete_access_entry(**where)
    assert refusal(lambda: eks.describe_access_entry(**where)) == "ResourceNotFoundException"


def test_entries_refuse_what_the_service_refuses(eks: Any) -> None:
    node = f"arn:aws:iam::123456789012:role/{CLUSTER}-node"
    on_node = {"clusterName": CLUSTER, "principalArn": node}
    scope = {"type": "cluster"}
    refusals = [
        refusal(lambda: eks.list_access_entries(clusterName="nowhere")),
        refusal(lambda: eks.create_access_entry(**on_node)),
        refusal(lambda: eks.update_access_entry(**on_node, kubernetesGroups=[])),
        refusal(lambda: eks.associate_access_policy(**on_node, policyArn=ADMIN_POLICY, accessScope=scope)),
        refusal(lambda: eks.create_access_entry(clusterName=CLUSTER, principalArn="arn:aws:iam::1:role/x")),
        *(
            refusal(partial(eks.create_access_entry, clusterName=CLUSTER, principalArn=role(), **more))
            for more in (
                {"kubernetesGroups": ["system:masters"]},
                {"username": "eks:me"},
                {"username": "{{SessionName}}"},
            )
        ),
    ]
    assert refusals == [
        "ResourceNotFoundException",
        "ResourceInUseException",
        "InvalidRequestException",
        "InvalidRequestException",
        "InvalidParameterException",
        "InvalidParameterException",
        "InvalidParameterException",
        "InvalidParameterException",
    ]


def test_lists_come_in_pages(eks: Any) -> None:
    arns = {role() for _ in range(3)}
    for arn in arns:
        eks.create_access_entry(clusterName=CLUSTER, principalArn=arn)
    pages = eks.get_paginator("list_access_entries").paginate(clusterName=CLUSTER, PaginationConfig={"PageSize": 2})
    found = [page["accessEntries"] for page in pages]
    assert len(found) > 1
    assert arns <= {arn for page in found for arn in page}


def test_an_identity_provider_comes_and_goes_in_the_background(eks: Any) -> None:
    name = f"p-{secrets.token_hex(4)}"
    oidc = {"identityProviderConfigName": name, "issuerUrl": "https://login.example", "clientId": "kubernetes"}
    which = {"clusterName": CLUSTER, "identityProviderConfig": {"type": "oidc", "name": name}}

    def status() -> str:
        return str(eks.describe_identity_provider_config(**which)["identityProviderConfig"]["oidc"]["status"])

    assert eks.associate_identity_provider_config(clusterName=CLUSTER, oidc=oidc)["update"]["status"] == "InProgress"
    assert [status(), status()] == ["CREATING", "ACTIVE"]
    got = eks.describe_identity_provider_config(**which)["identityProviderConfig"]["oidc"]
    assert (got["usernameClaim"], got["usernamePrefix"]) == ("sub", "https://login.example#")
    assert refusal(lambda: eks.associate_identity_provider_config(clusterName=CLUSTER, oidc=oidc)) == (
        "ResourceInUseException"
    )
    eks.disassociate_identity_provider_config(**which)
    assert status() == "DELETING"
    assert refusal(status) == "ResourceNotFoundException"
    assert {"type": "oidc", "name": name} not in eks.list_identity_provider_configs(clusterName=CLUSTER)[
        "identityProviderConfigs"
    ]


def test_a_pod_identity_is_found_by_its_account(eks: Any) -> None:
    namespace = f"n-{secrets.token_hex(4)}"
    asked = {"clusterName": CLUSTER, "namespace": namespace, "serviceAccount": "web"}
    made = eks.create_pod_identity_association(**asked, roleArn=role())["association"]
    assert refusal(lambda: eks.create_pod_identity_association(**asked, roleArn=role())) == "ResourceInUseException"
    [found] = eks.list_pod_identity_associations(**asked)["associations"]
    which = {"clusterName": CLUSTER, "associationId": found["associationId"]}
    assert eks.describe_pod_identity_association(**which)["association"]["roleArn"] == made["roleArn"]
    other = role()
    eks.update_pod_identity_association(**which, roleArn=other)
    assert eks.delete_pod_identity_association(**which)["association"]["roleArn"] == other
    assert eks.list_pod_identity_associations(**asked)["associations"] == []
