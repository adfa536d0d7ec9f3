"""The embedded stack's front door: ``up``, ``down``, ``info``, and one process stopped or started by name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from devstack import identities, processes
from devstack.aws import prepare
from devstack.bring_up import PROCESSES, BringUp, aws_endpoint, stop_all, temporal_address
from devstack.cluster import PRODUCT_NAMESPACE
from devstack.real_node import names, network, preconditions
from devstack.state import Ports, RealNode, Settings, StackError, StackPaths, locked_folder
from devstack.tools import ensure_kubelet, ensure_tools
from errors import InputError

__all__ = ["StackError", "StackInfo", "down", "info", "start_process", "stop_process", "up"]

DEFAULT_NAME = "default"
_ACCOUNT = "123456789012"
_LOCAL = ("127.0.0.1", "localhost")
_REGION = "us-east-1"


class StackInfo(BaseModel):
    """Where a running stack is reached, and as whom.

    Attributes:
        name: The stack's name.
        state_dir: Its state folder, with ``logs/`` in it.
        account: The AWS account, twelve digits.
        region: The AWS region.
        cluster: The name of the EKS cluster.
        detector_id: The GuardDuty detector that holds the findings.
        nodes: The number of fake nodes.
        real_node: The name of the real node, or None.
        temporal_address: ``host:port`` of the Temporal frontend.
        temporal_ui: URL of the Temporal web UI.
        aws_endpoint: The one endpoint URL for all AWS services.
        evidence: The evidence store, ``s3://bucket``; the bucket has Object Lock.
        kubeconfig: Firebreak's own identity, which the worker and the command line use.
        kubeconfig_admin: The cluster administrator's, for people and tests.
        kubeconfigs: Every identity's kubeconfig by name: firebreak, admin, namespace-admin.
        policy: The policy file to work with, when one was given to ``up``.
        processes: The pid of each running process by name.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    state_dir: Path
    account: str
    region: str
    cluster: str
    detector_id: str
    nodes: int
    real_node: str | None
    temporal_address: str
    temporal_ui: str
    aws_endpoint: str
    evidence: str
    kubeconfig: Path
    kubeconfig_admin: Path
    kubeconfigs: dict[str, Path]
    policy: Path | None
    processes: dict[str, int]

    def environment(self) -> dict[str, str]:
        """The variables that make Firebreak, kubectl, the aws and temporal command lines talk to this stack."""
        variables = {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECONFIG_ADMIN": str(self.kubeconfig_admin),
            "TEMPORAL_ADDRESS": self.temporal_address,
            "AWS_ENDPOINT_URL": self.aws_endpoint,
            "AWS_ACCESS_KEY_ID": prepare.ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": prepare.SECRET_ACCESS_KEY,
            "AWS_DEFAULT_REGION": self.region,
            "FIREBREAK_ACCOUNT": self.account,
            "FIREBREAK_REGION": self.region,
            "FIREBREAK_CLUSTER": self.cluster,
            "FIREBREAK_DETECTOR_ID": self.detector_id,
            "FIREBREAK_EVIDENCE": self.evidence,
            "FIREBREAK_NAMESPACE": PRODUCT_NAMESPACE,
            "FIREBREAK_BINDINGS_KUBECONFIG": str(self.kubeconfigs[identities.BINDINGS]),
        }
        if self.policy is not None:
            variables["FIREBREAK_POLICY"] = str(self.policy)
        if any(os.environ.get(key) for key in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")):
            # Every client obeys these, and nothing of this stack can be reached through a proxy.
            own = os.environ.get("NO_PROXY", os.environ.get("no_proxy", ""))
            variables["NO_PROXY"] = ",".join(dict.fromkeys(part for part in (*own.split(","), *_LOCAL) if part))
        return variables


def up(
    name: str = DEFAULT_NAME,
    *,
    nodes: int = 3,
    pods_per_node: int = 5000,
    cluster: str = "firebreak-demo",
    policy: Path | None = None,
    controllers_yield: bool = False,
    real_node: bool = False,
    progress: Callable[[str], None] | None = None,
) -> StackInfo:
    """Start a stack, or return the one of that name that runs already; waits until every part is ready.

    A stack of which a process has died is taken down and started anew, without its data.

    Args:
        name: Of the stack; several run side by side.
        nodes: The number of fake nodes, node-0 and so on.
        pods_per_node: How many pods the scheduler puts on each.
        cluster: The name of the EKS cluster.
        policy: A policy file to name in the environment.
        controllers_yield: Let the controllers, the scheduler and the kubelets give way to the API server when the
            processors are busy, as where they run on other machines. What they write comes later then.
        real_node: Add a node that runs containers, named ``real-node``. It needs root and some programs; a stack that
            has one is left as it is when this is False.
        progress: Called with a line of text as things go on; by default only the first build of the programs speaks.

    Raises:
        InputError: A parameter is out of range, or the stack runs with other parameters.
        StackError: A program is missing, a process did not become ready (the message holds the end of its log), or this
            machine cannot have a real node.
    """
    if nodes < 1 or pods_per_node < 1:
        raise InputError("nodes", "at least one node and one pod a node", f"{nodes}, {pods_per_node}")
    paths = StackPaths(name)
    say = progress or _say_nothing
    # Built before the lock is taken, since that may take minutes in which `down` should not wait.
    if real_node:
        preconditions.check_machine()
    tools = _tools(real_node=real_node, progress=progress)
    with locked_folder(paths.root):
        settings = paths.load()
        if settings is not None and _is_whole(paths, settings):
            _check_same(settings, nodes=nodes, pods_per_node=pods_per_node, cluster=cluster)
            if real_node and settings.real_node is None:
                raise InputError("real_node", f"none, as stack {name} runs without one; take it down first", "one")
            say(f"stack {name} runs already")
            return _describe(paths, settings)
        if settings is not None:
            say(f"stack {name} is not whole and is started anew")
        _empty(paths)
        settings = _new_settings(name, nodes=nodes, pods_per_node=pods_per_node, cluster=cluster, policy=policy)
        real = RealNode(network=network.free_network()) if real_node else None
        settings = settings.model_copy(update={"controllers_yield": controllers_yield, "real_node": real})
        paths.create()
        paths.save(settings)
        try:
            settings = BringUp(paths, settings, tools).start_all(say)
        except BaseException:
            # Also when interrupted: half a stack must not stay behind. The logs stay, for the error names them.
            stop_all(paths)
            raise
        paths.save(settings)
        return _describe(paths, settings)


def down(name: str = DEFAULT_NAME, *, keep_logs: bool = False) -> bool:
    """End every process of a stack and remove its state.

    Args:
        name: Of the stack.
        keep_logs: Leave the folder ``logs/``.

    Returns:
        Whether there was anything to end or remove.

    Raises:
        StackError: A process could not be ended.
    """
    paths = StackPaths(name)
    if not paths.root.exists():
        return False
    with locked_folder(paths.root):
        _empty(paths, keep_logs=keep_logs)
        if not any(paths.root.iterdir()):
            # The lock is on this folder; whoever waits for it sees that it is gone and makes a new one.
            paths.root.rmdir()
    return True


def info(name: str = DEFAULT_NAME) -> StackInfo | None:
    """The stack of that name when every process of it runs, else None."""
    paths = StackPaths(name)
    settings = paths.load()
    if settings is None or not _is_whole(paths, settings):
        return None
    return _describe(paths, settings)


def stop_process(name: str, process: str) -> None:
    """End one process of a stack at once, as a crash would; its ports and data stay for ``start_process``.

    Args:
        name: Of the stack.
        process: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok, temporal or aws; or real-node,
            where there is one.

    Raises:
        InputError: There is no such process.
    """
    paths, _ = _known(name, process)
    with locked_folder(paths.root):
        record = processes.record_of(paths, process)
        if record is not None:
            processes.kill(paths, record)


def start_process(name: str, process: str) -> None:
    """Start a stopped process again on the same port and data, and wait until it is ready; a running one is left alone.

    The stand-in for AWS keeps its data in memory: it comes back with the account as ``up`` made it, without findings.

    Raises:
        InputError: There is no such process or stack.
        StackError: It did not become ready.
    """
    paths, settings = _known(name, process)
    tools = _tools(real_node=settings.real_node is not None)
    with locked_folder(paths.root):
        record = processes.record_of(paths, process)
        if record is None or record.process() is None:
            BringUp(paths, settings, tools).start_one(process)


def _known(name: str, process: str) -> tuple[StackPaths, Settings]:
    paths = StackPaths(name)
    settings = paths.load()
    known = PROCESSES if settings is None else _processes(settings)
    if process not in known:
        raise InputError("process", f"one of {', '.join(known)}", process)
    if settings is None:
        raise InputError("name", "a stack that was started", name)
    return paths, settings


def _processes(settings: Settings) -> tuple[str, ...]:
    return (*PROCESSES, names.PROCESS) if settings.real_node else PROCESSES


def _tools(*, real_node: bool, progress: Callable[[str], None] | None = None) -> dict[str, Path]:
    tools = ensure_tools(progress)
    return {**tools, "kubelet": ensure_kubelet(progress)} if real_node else tools


def _is_whole(paths: StackPaths, settings: Settings) -> bool:
    running = {record.name for record in processes.records(paths) if record.process() is not None}
    return settings.ready and running == set(_processes(settings))


def _check_same(settings: Settings, **wanted: object) -> None:
    for field, value in wanted.items():
        has = getattr(settings, field)
        if has != value:
            raise InputError(field, f"{has}, with which stack {settings.name} runs; take it down first", str(value))


def _new_settings(name: str, *, nodes: int, pods_per_node: int, cluster: str, policy: Path | None) -> Settings:
    etcd, peer, apiserver, kubelet, temporal, ui, aws = processes.free_ports(7)
    ports = Ports(
        etcd=etcd,
        etcd_peer=peer,
        apiserver=apiserver,
        kubelet=kubelet,
        temporal=temporal,
        temporal_ui=ui,
        aws=aws,
    )
    return Settings(
        name=name,
        account=_ACCOUNT,
        region=_REGION,
        cluster=cluster,
        nodes=nodes,
        pods_per_node=pods_per_node,
        policy=policy.absolute() if policy else None,
        ports=ports,
    )


def _describe(paths: StackPaths, settings: Settings) -> StackInfo:
    users = (identities.FIREBREAK, identities.BINDINGS, identities.ADMIN, identities.NAMESPACE_ADMIN)
    return StackInfo(
        name=settings.name,
        state_dir=paths.root,
        account=settings.account,
        region=settings.region,
        cluster=settings.cluster,
        detector_id=settings.detector_id,
        nodes=settings.nodes,
        real_node=names.NODE_NAME if settings.real_node else None,
        temporal_address=temporal_address(settings),
        temporal_ui=f"http://127.0.0.1:{settings.ports.temporal_ui}",
        aws_endpoint=aws_endpoint(settings),
        evidence=f"s3://{prepare.EVIDENCE_BUCKET}",
        kubeconfig=paths.kubeconfig(identities.FIREBREAK),
        kubeconfig_admin=paths.kubeconfig(identities.ADMIN),
        kubeconfigs={user: paths.kubeconfig(user) for user in users},
        policy=settings.policy,
        processes={record.name: record.pid for record in processes.records(paths)},
    )


def _empty(paths: StackPaths, *, keep_logs: bool = False) -> None:
    stop_all(paths)
    for entry in paths.root.iterdir():
        if entry == paths.logs and keep_logs:
            continue
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _say_nothing(_line: str) -> None:
    return
