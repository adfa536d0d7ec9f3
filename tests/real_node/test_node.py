"""What the real node adds to a stack: containers that run, logs that they wrote, processes, sockets, a network."""

import ipaddress
import json
import os
import socket
from collections.abc import Callable
from typing import Any

import psutil
import pytest
import urllib3

from devstack.kube import KubeApi, KubeError
from devstack.processes import poll
from devstack.real_node.images import image_digest
from devstack.real_node.lifecycle import run_in_node
from devstack.real_node.names import BUSYBOX_IMAGE, DEMO_IMAGE, DEMO_PORT, LABEL, LABEL_VALUE, NODE_NAME, PROCESS
from devstack.real_node.pods import await_pod, demo_pod, on_real_node, run_pod
from devstack.stack import StackInfo, info, start_process
from devstack.state import StackPaths

pytestmark = [pytest.mark.stack, pytest.mark.real_node]

_LISTENING, _ESTABLISHED = "0A", "01"


def address_of(node: dict[str, Any]) -> str:
    return next(str(a["address"]) for a in node["status"]["addresses"] if a["type"] == "InternalIP")


@pytest.fixture
def node(real_admin: KubeApi) -> dict[str, Any]:
    return real_admin.request("GET", f"/api/v1/nodes/{NODE_NAME}")


def test_it_stands_beside_the_nodes_that_are_played(real_admin: KubeApi, node: dict[str, Any]) -> None:
    names = {found["metadata"]["name"] for found in real_admin.request("GET", "/api/v1/nodes")["items"]}
    assert names == {"node-0", "node-1", "node-2", NODE_NAME}
    conditions = {found["type"]: found["status"] for found in node["status"]["conditions"]}
    assert (conditions["Ready"], conditions["DiskPressure"]) == ("True", "False")
    # Measured by the kubelet, not told by kwok, which plays only nodes with its annotation.
    assert node["status"]["nodeInfo"]["kernelVersion"] == os.uname().release
    assert not [key for key in node["metadata"]["annotations"] if key.startswith("kwok")]
    assert not ipaddress.ip_address(address_of(node)).is_loopback


def test_only_who_asks_for_it_lands_on_it(real_admin: KubeApi, node: dict[str, Any], real_namespace: str) -> None:
    taint = {"key": LABEL, "value": LABEL_VALUE, "effect": "NoSchedule"}
    assert node["metadata"]["labels"][LABEL] == LABEL_VALUE
    assert node["spec"]["taints"] == [taint]
    on_node = {"fieldSelector": f"spec.nodeName={NODE_NAME}"}
    assert real_admin.request("GET", "/api/v1/namespaces/kube-system/pods", query=on_node)["items"] == []

    pod = demo_pod("intolerant")
    del pod["spec"]["tolerations"]
    path = f"/api/v1/namespaces/{real_namespace}"
    poll("account", lambda: real_admin.exists(f"{path}/serviceaccounts/default"), 20)
    real_admin.request("POST", f"{path}/pods", pod)

    def refusals() -> list[str]:
        conditions = real_admin.request("GET", f"{path}/pods/intolerant")["status"].get("conditions", [])
        return [found["message"] for found in conditions if found["type"] == "PodScheduled"]

    poll("verdict of the scheduler", lambda: bool(refusals()), 20)
    assert "1 node(s) had untolerated taint(s)" in refusals()[0]


def test_a_pod_writes_a_log_and_runs_processes(
    real_stack: StackInfo, real_admin: KubeApi, real_namespace: str, run_in_pod: Callable[..., str]
) -> None:
    pod = run_pod(real_admin, real_namespace, demo_pod("shop"))
    [status] = pod["status"]["containerStatuses"]
    assert pod["spec"]["nodeName"] == NODE_NAME
    assert status["imageID"] == f"{DEMO_IMAGE.rpartition(':')[0]}@{image_digest(DEMO_IMAGE)}"
    # As Firebreak itself would read it, through the API server and the kubelet.
    own = KubeApi.from_kubeconfig(real_stack.kubeconfig)
    log = f"/api/v1/namespaces/{real_namespace}/pods/shop/log"
    poll("second order", lambda: "order placed 2" in own.request("GET", log)["text"], 20)
    assert f"demo listening on {DEMO_PORT}" in own.request("GET", log)["text"]
    assert f"nc -ll -p {DEMO_PORT}" in run_in_pod("shop", "ps")


def test_pods_talk_to_each_other(real_admin: KubeApi, real_namespace: str, run_in_pod: Callable[..., str]) -> None:
    server = run_pod(real_admin, real_namespace, demo_pod("server"))["status"]["podIP"]
    client = run_pod(real_admin, real_namespace, demo_pod("client", peer=server))["status"]["podIP"]
    log = f"/api/v1/namespaces/{real_namespace}/pods/client/log"
    # The line went to the other pod and came back.
    poll("echo", lambda: f"demo reached {server}" in real_admin.request("GET", log)["text"], 20)

    held = (client, f"{server}:{DEMO_PORT}", _ESTABLISHED)
    assert held in [(local.split(":")[0], remote, state) for local, remote, state in sockets(run_in_pod, "client")]
    states = {state for local, _, state in sockets(run_in_pod, "server") if local.endswith(f":{DEMO_PORT}")}
    assert states >= {_LISTENING, _ESTABLISHED}
    # The control plane, on the host, reaches pods as well.
    with socket.create_connection((server, DEMO_PORT), timeout=10) as connection:
        connection.sendall(b"from the host\n")
        assert connection.recv(64) == b"from the host\n"


def sockets(run_in_pod: Callable[..., str], pod: str) -> list[tuple[str, str, str]]:
    """Local address, remote address and state of each TCP socket, as the kernel lists them; nc uses IPv6 as well."""
    found = []
    for line in run_in_pod(pod, "cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines():
        words = line.split()
        if words[0] != "sl":
            found.append((_readable(words[1]), _readable(words[2]), words[3]))
    return found


def _readable(text: str) -> str:
    address, port = text.split(":")
    # The last four bytes are the IPv4 address, also within an IPv6 one, in the order of this machine.
    return f"{socket.inet_ntoa(bytes.fromhex(address[-8:])[::-1])}:{int(port, 16)}"


def test_an_image_goes_by_its_digest_and_no_other_is_there(real_admin: KubeApi, real_namespace: str) -> None:
    image = f"{BUSYBOX_IMAGE.rpartition(':')[0]}@{image_digest(BUSYBOX_IMAGE)}"
    container = {"name": "c", "image": image, "command": ["sleep", "infinity"]}
    spec = on_real_node({"containers": [container], "terminationGracePeriodSeconds": 0})
    run_pod(real_admin, real_namespace, {"metadata": {"name": "by-digest"}, "spec": spec})

    absent = on_real_node({"containers": [{**container, "image": "firebreak.dev/absent:1"}]})
    path = f"/api/v1/namespaces/{real_namespace}/pods"
    real_admin.request("POST", path, {"metadata": {"name": "absent"}, "spec": absent})

    def waiting_for() -> str:
        [status] = real_admin.request("GET", f"{path}/absent")["status"].get("containerStatuses", [{}])
        return str(status.get("state", {}).get("waiting", {}).get("reason"))

    poll("refusal of the absent image", lambda: waiting_for() == "ErrImageNeverPull", 20)


def test_a_checkpoint_is_refused_with_the_runtime_s_reason(
    real_admin: KubeApi, node: dict[str, Any], real_namespace: str
) -> None:
    runtime = node["status"]["nodeInfo"]["containerRuntimeVersion"]
    if not runtime.startswith("containerd://1."):
        pytest.skip(f"{runtime} knows checkpoints")
    run_pod(real_admin, real_namespace, demo_pod("shop"))
    checkpoint = f"/api/v1/nodes/{NODE_NAME}/proxy/checkpoint/{real_namespace}/shop/demo"
    with pytest.raises(KubeError, match="CheckpointContainer not implemented"):
        real_admin.request("POST", checkpoint)


def test_the_kubelet_answers_nobody_whom_it_does_not_know(real_stack: StackInfo, node: dict[str, Any]) -> None:
    port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    pods = f"https://{address_of(node)}:{port}/pods"
    authority = real_stack.state_dir / "pki" / "ca.crt"

    def asked(headers: dict[str, str]) -> int:
        # The certificate is verified, too: the stack's authority vouches for this address.
        with urllib3.PoolManager(ca_certs=str(authority), retries=False) as http:
            return http.request("GET", pods, headers=headers, timeout=10).status

    def token(user: str) -> str:
        config = json.loads(real_stack.kubeconfigs[user].read_text())
        return str(config["users"][0]["user"]["token"])

    assert asked({}) == 401
    assert asked({"Authorization": "Bearer made-up"}) == 401
    assert asked({"Authorization": f"Bearer {token('namespace-admin')}"}) == 403
    assert asked({"Authorization": f"Bearer {token('admin')}"}) == 200


def test_the_node_sees_itself_and_not_the_host(real_stack: StackInfo) -> None:
    paths = StackPaths(real_stack.name)
    processes = run_in_node(paths, ["ps", "-eo", "pid,args"])
    assert "devstack.real_node.boot" in processes.splitlines()[1]
    assert "kube-apiserver" not in processes
    assert run_in_node(paths, ["hostname"]).strip() == NODE_NAME
    # Nothing leads out of it.
    routes = json.loads(run_in_node(paths, ["ip", "-json", "route"]))
    assert "default" not in {route["dst"] for route in routes}


def test_without_its_kubelet_it_ends_says_so_and_can_be_started_again(
    real_stack: StackInfo, real_admin: KubeApi, real_namespace: str
) -> None:
    run_pod(real_admin, real_namespace, demo_pod("survivor"))
    machine = psutil.Process(real_stack.processes[PROCESS])
    next(child for child in machine.children(recursive=True) if child.name() == "kubelet").kill()
    poll("end of the node", lambda: info(real_stack.name) is None, 20)
    assert "kubelet ended with -9" in (real_stack.state_dir / "logs" / f"{PROCESS}.log").read_text()

    start_process(real_stack.name, PROCESS)

    def restarts() -> int:
        pod = await_pod(real_admin, real_namespace, "survivor")
        return int(pod["status"]["containerStatuses"][0]["restartCount"])

    poll("restarted container", lambda: restarts() == 1, 60)
    again = info(real_stack.name)
    assert again is not None
    assert again.environment() == real_stack.environment()
