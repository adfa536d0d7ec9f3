"""No name from outside leaves its segment of a path."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.paths import RESOURCES, group_path, list_path, object_path
from errors import InputError


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (object_path("Pod", "shop", "web-1"), "/api/v1/namespaces/shop/pods/web-1"),
        (object_path("Pod", "shop", "web-1", "log"), "/api/v1/namespaces/shop/pods/web-1/log"),
        (object_path("Node", "", "node-1"), "/api/v1/nodes/node-1"),
        (object_path("Node", "ignored", "node-1"), "/api/v1/nodes/node-1"),
        (object_path("Namespace", "", "shop"), "/api/v1/namespaces/shop"),
        (object_path("Deployment", "shop", "web"), "/apis/apps/v1/namespaces/shop/deployments/web"),
        (list_path("Pod"), "/api/v1/pods"),
        (list_path("NetworkPolicy", "shop"), "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies"),
        (
            object_path("ClusterRole", "", "system:node"),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
        ),
        (group_path("cilium.io", "v2", "ciliumnetworkpolicies"), "/apis/cilium.io/v2/ciliumnetworkpolicies"),
        (group_path("a.b", "v1", "cs", "ns", "n"), "/apis/a.b/v1/namespaces/ns/cs/n"),
    ],
)
def test_paths(path: str, expected: str) -> None:
    assert path == expected


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 254])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="name"):
        object_path("Pod", "shop", name)


def test_a_namespaced_object_needs_its_namespace() -> None:
    # Without it the path would be that of a whole collection.
    with pytest.raises(InputError, match="namespace"):
        object_path("Pod", "", "web")


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="kind"):
        list_path("Widget")


@given(kind=st.sampled_from(sorted(RESOURCES)), namespace=st.text(max_size=300), name=st.text(max_size=300))
def test_no_name_adds_a_segment_or_a_query(kind: str, namespace: str, name: str) -> None:
    try:
        path = object_path(kind, namespace, name)
    except InputError:
        return
    parts = urlsplit(f"https://api{path}")
    assert (parts.netloc, parts.query, parts.fragment) == ("api", "", "")
    where = RESOURCES[kind]
    in_namespace = 2 if where.namespaced and kind != "Namespace" else 0
    assert path.count("/") == where.root.count("/") + in_namespace + 2
    assert not {".", ".."} & set(path.split("/"))
