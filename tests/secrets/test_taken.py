"""What an identity had before the incident took it away, from the record alone."""

from __future__ import annotations

from typing import Any, cast

import pytest

from activities.doors import Doors
from activities.secrets.taken import Identity, Lost, taken_away, with_lost_groups
from activities.user.aws_auth import AuthRow, AwsAuth, changes_without
from activities.user.entries import Entry, emptied
from plans.model import Change

WHO = Identity("arn:aws:iam::123456789012:user/jane", ("system:authenticated",))
POLICY = "arn:aws:eks::aws:cluster-access-policy"
CLUSTER = {"type": "cluster", "namespaces": []}
NOBODY = cast(Doors, None)


def entry(*policies: dict[str, Any], groups: tuple[str, ...] = ()) -> Change:
    found = Entry(arn=WHO.username, uid="e-1", type="STANDARD", username="", groups=groups, policies=policies)
    return emptied(found, "user.cut_off")


@pytest.mark.parametrize(
    ("policy", "scope", "lost"),
    [
        ("AmazonEKSClusterAdminPolicy", CLUSTER, [Lost("")]),
        ("AmazonEKSEditPolicy", {"type": "namespace", "namespaces": ["a", "b"]}, [Lost("a"), Lost("b")]),
        ("AmazonEKSViewPolicy", CLUSTER, []),
        ("AmazonEKSAdminViewPolicy", CLUSTER, [Lost("")]),
        ("OfTomorrowPolicy", CLUSTER, [Lost("")]),
    ],
)
def test_access_policies_say_what_could_be_read(policy: str, scope: dict[str, Any], lost: list[Lost]) -> None:
    made = entry({"policyArn": f"{POLICY}/{policy}", "accessScope": scope})
    assert list(taken_away(NOBODY, WHO, [made])) == lost


def test_groups_of_an_entry_and_of_a_row_count() -> None:
    text = f"- userarn: {WHO.username}\n  username: jane\n  groups: [ops]\n"
    row = AuthRow(section="mapUsers", at=0, arn=WHO.username, username="jane", groups=("ops",))
    (taken,) = changes_without(AwsAuth("c-1", {"mapUsers": text}, (row,), ()), [row], "user.cut_off")
    found = with_lost_groups(WHO, [entry(groups=("auditors",)), taken])
    assert found.groups == ("system:authenticated", "auditors", "ops")
    assert found.username == WHO.username


def test_nothing_taken_is_nothing_lost() -> None:
    assert with_lost_groups(WHO, []) == WHO
    assert list(taken_away(NOBODY, WHO, [])) == []
