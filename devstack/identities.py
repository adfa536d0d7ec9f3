"""Who may talk to the cluster: users with random tokens, and their kubeconfig files."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass

from devstack.real_node.names import NODE_NAME
from devstack.state import StackPaths, write_private

ADMIN = "admin"
NAMESPACE_ADMIN = "namespace-admin"
CONTROLLER_MANAGER = "system:kube-controller-manager"
SCHEDULER = "system:kube-scheduler"
KUBELETS = "kwok"
FIREBREAK = "firebreak"
BINDINGS = "firebreak-bindings"


@dataclass(frozen=True)
class _User:
    """A line of the API server's token file, and the name of its kubeconfig file."""

    name: str
    groups: tuple[str, ...]
    file: str


# The components carry the names by which the API server's own RBAC roles know them. kwok plays every kubelet, so it is
# in the kubelets' group, which the admission policies leave out; a user name of the form system:node:NAME would tie it
# to that one node.
_USERS = (
    _User(ADMIN, ("system:masters",), "admin"),
    _User(NAMESPACE_ADMIN, (), "namespace-admin"),
    _User(CONTROLLER_MANAGER, (), "kube-controller-manager"),
    _User(SCHEDULER, (), "kube-scheduler"),
    _User(KUBELETS, ("system:nodes",), "kwok"),
)
# By this form of name the API server lets it see and change only what that node must: itself and the pods on it.
_REAL_NODE = _User(f"system:node:{NODE_NAME}", ("system:nodes",), NODE_NAME)


def create_identities(paths: StackPaths, cluster: str, port: int, *, real_node: bool) -> None:
    """Write the token file and one kubeconfig a user; tokens are random and made once a stack."""
    if paths.tokens.exists():
        return
    lines = []
    for user in (*_USERS, _REAL_NODE) if real_node else _USERS:
        token = secrets.token_urlsafe(32)
        write_kubeconfig(paths, user.file, cluster, port, token)
        lines.append(f'{token},{user.name},{user.name},"{",".join(user.groups)}"')
    # Written last, because its presence says that the set is complete.
    write_private(paths.tokens, "\n".join(lines) + "\n")


def write_kubeconfig(paths: StackPaths, file: str, cluster: str, port: int, token: str) -> None:
    """Write a kubeconfig that holds all it needs, the certificate authority included, and can be copied anywhere."""
    authority = base64.b64encode((paths.pki / "ca.crt").read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": cluster,
                "cluster": {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": authority},
            }
        ],
        "users": [{"name": file, "user": {"token": token}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": file, "namespace": "default"}}],
        "current-context": cluster,
    }
    # JSON is YAML, and needs no quoting rules.
    write_private(paths.kubeconfig(file), json.dumps(config, indent=2) + "\n")
