"""The node's disk: a folder of the stack that becomes /var of the node, with the settings of its programs on it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from devstack.real_node import containerd, kubelet, network
from devstack.real_node.names import NODE_NAME
from devstack.real_node.plan import Plan
from devstack.real_node.programs import run_program, search_path
from devstack.state import Settings, StackPaths, write_private

_FOLDERS = ("lib/containerd", "lib/cni/net.d", f"{kubelet.FOLDER}/pki", "log/pods", "log/containers", "tmp")


def prepare_disk(paths: StackPaths, settings: Settings, program: Path) -> None:
    """Write what the node's machine, containerd and the kubelet read; what they wrote themselves stays.

    Args:
        paths: The stack's.
        settings: Of a stack with a real node.
        program: The kubelet.
    """
    assert settings.real_node is not None, "only a stack with a real node prepares one"
    found = network.addresses(settings.real_node.network)
    var = paths.real_node / "var"
    for folder in (var / name for name in _FOLDERS):
        folder.mkdir(parents=True, exist_ok=True)
    (paths.real_node / "run").mkdir(exist_ok=True)
    if not (var / "run").is_symlink():
        (var / "run").symlink_to("/run")
    (var / containerd.FILE).write_text(containerd.settings(_snapshotter(paths.real_node)))
    (var / containerd.PLUGIN_SETTINGS).write_text(network.plugin_settings(found.pods))
    own = var / kubelet.FOLDER
    write_private(own / "config.json", kubelet.settings(found.node, cgroup_name(paths)))
    write_private(own / "kubeconfig", paths.kubeconfig(NODE_NAME).read_text())
    for file in ("ca.crt", "node.crt", "node.key"):
        write_private(own / file, (paths.pki / file).read_text())
    write_private(plan_file(paths), _plan(paths, settings, program, found).text())


def plan_file(paths: StackPaths) -> Path:
    """The file that tells the machine's processes what to do."""
    return paths.real_node / "plan.json"


def cgroup_name(paths: StackPaths) -> str:
    """The name of the node's cgroup below the root."""
    return f"firebreak-{network.node_id(paths.root)}"


def _plan(paths: StackPaths, settings: Settings, program: Path, found: network.Addresses) -> Plan:
    return Plan(
        hostname=NODE_NAME,
        folder=str(paths.real_node),
        logs=str(paths.logs),
        cgroup=cgroup_name(paths),
        link=network.link_name(paths.root),
        host=found.host,
        node=found.node,
        link_length=found.link_length,
        pods=found.pods,
        apiserver=settings.ports.apiserver,
        kubelet=str(program),
        commands={"containerd": containerd.command(), "kubelet": kubelet.command(found.node)},
        path=search_path(),
    )


def _snapshotter(folder: Path) -> str:
    # Tried instead of looked up: an overlay on an overlay, as in many a build machine's container, is refused.
    with tempfile.TemporaryDirectory(dir=folder) as base:
        layers = {name: Path(base) / name for name in ("lower", "upper", "work", "merged")}
        for layer in layers.values():
            layer.mkdir()
        options = f"lowerdir={layers['lower']},upperdir={layers['upper']},workdir={layers['work']}"
        mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(layers["merged"])]
        # In a mount namespace that ends with the command, so that nothing has to be unmounted.
        tried = run_program(["unshare", "--mount", *mount])
    return "overlayfs" if tried.returncode == 0 else "native"
