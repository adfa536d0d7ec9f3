"""The addresses of a real node: one free /24 a stack, its lower half for the pods, its end for the link to the host.

The link is a pair of virtual interfaces with an address at each end. Over it the API server reaches the kubelet and,
through a route, the pods. The node has no route to anywhere else: nothing that runs on it reaches the outside.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import random
from dataclasses import dataclass
from pathlib import Path

from devstack.real_node.programs import run_program
from devstack.state import StackError

# A corner of 10.0.0.0/8 that neither Docker nor a usual home network takes.
_RANGE = ipaddress.IPv4Network("10.213.0.0/16")
POD_BRIDGE = "cni0"


@dataclass(frozen=True)
class Addresses:
    """The addresses in one network, as text."""

    host: str
    node: str
    pods: str
    link_length: int = 30


def addresses(network: str) -> Addresses:
    """Divide a /24."""
    whole = ipaddress.IPv4Network(network)
    pods = next(whole.subnets(new_prefix=25))
    return Addresses(host=str(whole[253]), node=str(whole[254]), pods=str(pods))


def free_network() -> str:
    """A /24 that overlaps no address and no route of this machine.

    Raises:
        StackError: All are taken, or the routes cannot be read.
    """
    taken = _taken_networks()
    # Chosen at random, so that two stacks starting at once do not both take the first one.
    candidates = list(_RANGE.subnets(new_prefix=24))
    random.SystemRandom().shuffle(candidates)
    for candidate in candidates:
        if not any(candidate.overlaps(other) for other in taken):
            return str(candidate)
    raise StackError(f"no /24 of {_RANGE} is free on this machine for a real node")


def link_name(stack_root: Path) -> str:
    """The name of the host's end of the link; the same for a stack however often it starts."""
    return f"fb{node_id(stack_root)}"


def node_id(stack_root: Path) -> str:
    """Names one stack's node among all on this machine; short, because the name of a link has at most 15 characters."""
    return hashlib.sha256(str(stack_root).encode()).hexdigest()[:10]


def remove_link(name: str) -> bool:
    """Remove a link if it is there; whether it was. It goes with the node's network too, but a moment later."""
    if not (Path("/sys/class/net") / name).exists():
        return False
    run_program(["ip", "link", "delete", name])
    return True


def plugin_settings(pods: str) -> str:
    """The settings of the CNI plugins: a bridge in the node, addresses from ``pods``, host ports where a pod asks."""
    bridge = {
        "type": "bridge",
        "bridge": POD_BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": pods}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.4.0", "name": "firebreak", "plugins": [bridge, ports]}, indent=2)


def _taken_networks() -> list[ipaddress.IPv4Network]:
    routes = run_program(["ip", "-4", "-json", "route", "show", "table", "all"])
    if routes.returncode != 0:
        raise StackError(f"the routes of this machine cannot be read: {routes.stderr.strip()[-200:]}")
    found = (str(route["dst"]) for route in json.loads(routes.stdout or "[]"))
    return [ipaddress.IPv4Network(dst, strict=False) for dst in found if dst != "default"]
