"""Starts the parts of a stack side by side and waits for each to be really usable.

Three chains run at once: etcd, API server and what needs it; Temporal; the stand-in for AWS. The nodes come last,
because each names the EC2 instance behind it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import urllib3

from devstack import cluster, control_plane, identities, pki, processes, temporal_server
from devstack.aws import prepare
from devstack.control_plane import APISERVER, CONTROLLER_MANAGER, ETCD, KWOK, SCHEDULER
from devstack.install import install_product
from devstack.kube import KubeApi
from devstack.network_plugin import install_network_plugin, ready_plugins
from devstack.processes import Command, ProcessRecord
from devstack.real_node import disk, lifecycle, network
from devstack.real_node.names import NODE_NAME
from devstack.real_node.names import PROCESS as REAL_NODE
from devstack.state import Settings, StackPaths
from devstack.temporal_server import TEMPORAL

AWS = "aws"
PROCESSES = (ETCD, APISERVER, CONTROLLER_MANAGER, SCHEDULER, KWOK, TEMPORAL, AWS)

_TIMEOUT_SECONDS = 90.0
Say = Callable[[str], None]


class BringUp:
    """One start of one stack."""

    def __init__(self, paths: StackPaths, settings: Settings, tools: Mapping[str, Path]) -> None:
        self._paths = paths
        self._settings = settings
        self._tools = tools

    def start_all(self, say: Say) -> Settings:
        """Start everything; returns the settings with what only became known on the way.

        Raises:
            StackError: A part did not become ready.
        """
        real = self._settings.real_node
        pki.create_pki(self._paths.pki, network.addresses(real.network).node if real else None)
        identities.create_identities(
            self._paths, self._settings.cluster, self._settings.ports.apiserver, real_node=real is not None
        )
        control_plane.write_kwok_settings(self._paths)
        with ThreadPoolExecutor(max_workers=3) as pool:
            account = pool.submit(self._start_aws, say)
            others = [pool.submit(self._start_kubernetes, say), pool.submit(self._start_temporal, say)]
            self._await_all([account, *others])
        self._create_nodes(account.result())
        say(f"{self._settings.nodes} nodes are ready")
        if real is not None:
            self._start_real_node(self._spawn(REAL_NODE))
            say(f"the real node {NODE_NAME} is ready")
        return self._settings.model_copy(update={"detector_id": account.result().detector_id, "ready": True})

    def start_one(self, name: str) -> None:
        """Start one process of a stack that has been up before, and wait until it is usable.

        Raises:
            StackError: It did not become ready.
        """
        if name == REAL_NODE:
            # What is left of the one before has the same names.
            lifecycle.remove_leftovers(self._paths)
        record = self._spawn(name)
        if name == REAL_NODE:
            self._start_real_node(record)
        elif name == AWS:
            self._prepare_aws(record)
        elif name == TEMPORAL:
            self._prepare_temporal(record)
        elif name in (ETCD, APISERVER):
            self._await(name, record)

    def _start_kubernetes(self, say: Say) -> None:
        self._await(ETCD, self._spawn(ETCD))
        self._await(APISERVER, self._spawn(APISERVER))
        say("the Kubernetes API server is ready")
        controllers = self._spawn(CONTROLLER_MANAGER)
        self._spawn(SCHEDULER)
        admin = self._admin()
        cluster.prepare_cluster(admin)
        # kwok stops at its first refused request, so its permissions come first.
        self._spawn(KWOK)
        install_product(admin)
        for account in (identities.FIREBREAK, identities.BINDINGS):
            identities.write_kubeconfig(
                self._paths,
                account,
                self._settings.cluster,
                self._settings.ports.apiserver,
                cluster.firebreak_token(admin, account),
            )
        # The controller manager makes it for each namespace; before that no pod can be created.
        account = f"/api/v1/namespaces/{cluster.DEMO_NAMESPACE}/serviceaccounts/default"
        self._until("default service account", lambda: admin.exists(account), controllers)
        say("the Kubernetes controllers are ready")

    def _start_temporal(self, say: Say) -> None:
        self._prepare_temporal(self._spawn(TEMPORAL))
        say("Temporal is ready")

    def _start_aws(self, say: Say) -> prepare.Account:
        account = self._prepare_aws(self._spawn(AWS))
        say("the AWS stand-in is ready")
        return account

    def _prepare_aws(self, record: ProcessRecord) -> prepare.Account:
        endpoint = aws_endpoint(self._settings)
        self._until("answer of the AWS stand-in", lambda: _answers(f"{endpoint}/_firebreak/health"), record)
        return prepare.prepare_account(
            endpoint,
            account=self._settings.account,
            region=self._settings.region,
            cluster=self._settings.cluster,
            nodes=self._settings.nodes,
        )

    def _prepare_temporal(self, record: ProcessRecord) -> None:
        address = temporal_address(self._settings)
        self._until("listening Temporal", lambda: _listens(self._settings.ports.temporal), record)
        self._until("healthy Temporal", lambda: temporal_server.prepare(address), record)

    def _create_nodes(self, account: prepare.Account) -> None:
        admin = self._admin()
        cluster.create_nodes(admin, account.instances, self._settings.pods_per_node)
        kwok = processes.record_of(self._paths, KWOK)
        assert kwok is not None, "the Kubernetes chain started it"
        self._until("ready nodes", lambda: len(cluster.ready_nodes(admin)) >= self._settings.nodes, kwok)
        install_network_plugin(admin)
        self._until("ready network plugin", lambda: ready_plugins(admin) >= self._settings.nodes, kwok)

    def _start_real_node(self, record: ProcessRecord) -> None:
        admin = self._admin()
        cluster.admit_api_server(admin)
        kubelet = f"/api/v1/nodes/{NODE_NAME}/proxy/healthz"

        def ready() -> bool:
            # After a restart its node is called ready for a while, whatever it is; so the kubelet itself is asked too.
            return NODE_NAME in cluster.ready_nodes(admin) and admin.exists(kubelet)

        self._until("ready real node", ready, record)
        lifecycle.import_images(self._paths)

    def _await(self, name: str, record: ProcessRecord) -> None:
        if name == ETCD:
            health = f"http://127.0.0.1:{self._settings.ports.etcd}/readyz"
            self._until("ready etcd", lambda: _answers(health), record)
        else:
            admin = self._admin()
            self._until("ready API server", lambda: admin.exists("/readyz"), record)

    def _await_all(self, futures: Sequence[Future[Any]]) -> None:
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            # The other chains see their processes end and give up at once, instead of when their time is over.
            stop_all(self._paths)
            raise

    def _until(self, what: str, probe: Callable[[], bool], record: ProcessRecord) -> None:
        processes.await_condition(what, probe, paths=self._paths, record=record, timeout=_TIMEOUT_SECONDS)

    def _spawn(self, name: str) -> ProcessRecord:
        return processes.spawn(self._paths, self._command(name))

    def _command(self, name: str) -> Command:
        if name == TEMPORAL:
            return temporal_server.command(self._paths, self._settings)
        if name == AWS:
            return prepare.command(AWS, self._settings)
        if name == REAL_NODE:
            disk.prepare_disk(self._paths, self._settings, self._tools["kubelet"])
            return lifecycle.command(self._paths)
        return control_plane.command(name, self._tools, self._paths, self._settings)

    def _admin(self) -> KubeApi:
        return KubeApi.from_kubeconfig(self._paths.kubeconfig(identities.ADMIN))


def stop_all(paths: StackPaths) -> None:
    """End every process of a stack.

    etcd goes last: without it the API server cannot finish what it is doing, and waits until it is killed.

    Raises:
        StackError: A process survives, or something of a real node does.
    """
    found = processes.records(paths) + processes.strays(paths)
    processes.stop(paths, [record for record in found if record.name != ETCD])
    processes.stop(paths, [record for record in found if record.name == ETCD])
    lifecycle.remove_leftovers(paths)


def aws_endpoint(settings: Settings) -> str:
    """The endpoint URL of the stand-in."""
    return f"http://127.0.0.1:{settings.ports.aws}"


def temporal_address(settings: Settings) -> str:
    """``host:port`` of the Temporal frontend."""
    return f"127.0.0.1:{settings.ports.temporal}"


def _answers(url: str) -> bool:
    try:
        return urllib3.request("GET", url, retries=False, timeout=2).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
