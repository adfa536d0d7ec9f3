"""The processes of the Kubernetes control plane: how each is started.

The flags follow what a managed control plane sets; what deviates from it says why. All of it listens on 127.0.0.1, etcd
without any authentication: whoever has an account on this machine may own the cluster, which is for development only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from devstack.processes import Command
from devstack.state import Settings, StackPaths, write_private

ETCD = "etcd"
APISERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KWOK = "kwok"
_CONTROLLERS = (CONTROLLER_MANAGER, SCHEDULER, KWOK)

_KWOK = Path(__file__).parent / "kwok"
_SERVICE_CIDR = "10.96.0.0/16"
# An issuer of the form that EKS gives its clusters, because IAM trust policies name it.
_ISSUER = "https://oidc.eks.{region}.amazonaws.com/id/F17EB7EAC0DE00000000000000000001"


def write_kwok_settings(paths: StackPaths) -> None:
    """Write the part of kwok's configuration that depends on where this package is: every container's log."""
    settings = {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "ClusterLogs",
        "metadata": {"name": "every-container"},
        "spec": {"logs": [{"logsFile": str(_KWOK / "container.log"), "follow": False}]},
    }
    write_private(paths.kwok, json.dumps(settings))


def command(name: str, tools: Mapping[str, Path], paths: StackPaths, settings: Settings) -> Command:
    """The command line of one control plane process."""
    flags = {
        ETCD: _etcd,
        APISERVER: _apiserver,
        CONTROLLER_MANAGER: _controller_manager,
        SCHEDULER: _scheduler,
        KWOK: _kwok,
    }[name](paths, settings)
    yields = settings.controllers_yield and name in _CONTROLLERS
    return Command(name, [str(tools[name]), *flags], {}, yields=yields)


def _etcd(paths: StackPaths, settings: Settings) -> list[str]:
    client = f"http://127.0.0.1:{settings.ports.etcd}"
    peer = f"http://127.0.0.1:{settings.ports.etcd_peer}"
    return [
        "--name=default",
        f"--data-dir={paths.etcd}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        # A crash of the whole machine may lose data; this data is not worth waiting for a disk.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver(paths: StackPaths, settings: Settings) -> list[str]:
    issuer = _ISSUER.format(region=settings.region)
    return [
        f"--etcd-servers=http://127.0.0.1:{settings.ports.etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={settings.ports.apiserver}",
        # The Service `kubernetes` cannot have a loopback endpoint, and no pod here calls it.
        "--endpoint-reconciler-type=none",
        f"--service-cluster-ip-range={_SERVICE_CIDR}",
        f"--tls-cert-file={paths.pki / 'apiserver.crt'}",
        f"--tls-private-key-file={paths.pki / 'apiserver.key'}",
        f"--service-account-key-file={paths.pki / 'service-account.key'}",
        f"--service-account-signing-key-file={paths.pki / 'service-account.key'}",
        f"--service-account-issuer={issuer}",
        f"--token-auth-file={paths.tokens}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        # The fake nodes carry the address of kwok as their ExternalDNS; a real node that joins has only an InternalIP.
        "--kubelet-preferred-address-types=ExternalDNS,InternalIP",
        # Events are evidence: the default of one hour is shorter than a demo that somebody pauses.
        "--event-ttl=24h",
        "--profiling=false",
        *(_kubelet_flags(paths) if settings.real_node else ()),
    ]


def _kubelet_flags(paths: StackPaths) -> list[str]:
    # A real kubelet answers nobody whom it does not know. kwok's own server asks for nothing.
    return [
        f"--kubelet-certificate-authority={paths.pki / 'ca.crt'}",
        f"--kubelet-client-certificate={paths.pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={paths.pki / 'kubelet-client.key'}",
    ]


def _controller_manager(paths: StackPaths, settings: Settings) -> list[str]:
    return [
        *_client_flags(paths, CONTROLLER_MANAGER),
        f"--service-account-private-key-file={paths.pki / 'service-account.key'}",
        f"--root-ca-file={paths.pki / 'ca.crt'}",
        # As on EKS: each controller acts under a service account of its own, which the admission policies tell apart.
        "--use-service-account-credentials=true",
        "--concurrent-replicaset-syncs=20",
        # Started as root it would make the default one, in /usr.
        f"--flex-volume-plugin-dir={paths.root / 'volume-plugins'}",
    ]


def _scheduler(paths: StackPaths, settings: Settings) -> list[str]:
    return _client_flags(paths, SCHEDULER)


def _client_flags(paths: StackPaths, name: str) -> list[str]:
    kubeconfig = paths.kubeconfig(name)
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--leader-elect=false",
        # Their own port serves health and metrics only, which nobody reads here.
        "--secure-port=0",
        # The defaults (20 and 50 calls a second) fill a Deployment of 10,000 replicas in twenty minutes.
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]


def _kwok(paths: StackPaths, settings: Settings) -> list[str]:
    # Where kubelets are verified, so is the one that kwok plays; elsewhere it makes a certificate up.
    certified = (f"--tls-cert-file={paths.pki / 'kwok.crt'}", f"--tls-private-key-file={paths.pki / 'kwok.key'}")
    return [
        f"--kubeconfig={paths.kubeconfig(KWOK)}",
        f"--config={_KWOK / 'stages.yaml'}",
        f"--config={paths.kwok}",
        # Only nodes marked as fake: a real node may join the same cluster.
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        f"--server-address=127.0.0.1:{settings.ports.kubelet}",
        # For fake nodes that a test creates without an address.
        "--node-ip=127.0.0.1",
        f"--node-port={settings.ports.kubelet}",
        "--node-lease-duration-seconds=40",
        *(certified if settings.real_node else ()),
    ]
