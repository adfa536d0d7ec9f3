"""What is read of a pod, where no cluster is needed to show it."""

from __future__ import annotations

from typing import Any

import pytest

from activities.assess.pods import pod_facts


def token(**fields: Any) -> list[Any]:
    return [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "token", **fields}}]}}]


@pytest.mark.parametrize(
    ("volumes", "takes_role"),
    [
        ([], False),
        (None, False),
        (token(), False),
        (token(audience="vault"), False),
        (token(audience="sts.amazonaws.com"), True),
        ([{"name": "a", "emptyDir": {}}, *token(audience="pods.eks.amazonaws.com")], True),
        ([{"name": "v", "projected": {"sources": None}}], False),
    ],
)
def test_a_pod_takes_a_role_when_it_has_a_token_for_aws(volumes: Any, takes_role: bool) -> None:
    pod = {"metadata": {"namespace": "n", "name": "p", "uid": "u"}, "spec": {"volumes": volumes}}
    assert pod_facts(pod).takes_role is takes_role
