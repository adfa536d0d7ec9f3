"""Sockets as the kernel lists them in /proc/net.

Source: https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

_STATES: Final = {
    1: "ESTABLISHED",
    2: "SYN_SENT",
    3: "SYN_RECV",
    4: "FIN_WAIT1",
    5: "FIN_WAIT2",
    6: "TIME_WAIT",
    7: "CLOSE",
    8: "CLOSE_WAIT",
    9: "LAST_ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "NEW_SYN_RECV",
}
OPEN: Final = frozenset({"ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "CLOSE_WAIT"})
"""States in which something can still be sent or received, or may soon be."""
STILL_OPEN: Final = "are still open although the policy stands"
"""In the note of the artefact, from where the incident takes it as a proposal."""
_LINE: Final = re.compile(
    r"\s*\d+: ([0-9A-F]{8,32}):([0-9A-F]{4}) ([0-9A-F]{8,32}):([0-9A-F]{4}) ([0-9A-F]{2})"
    r" \S+ \S+ \S+\s+(\d+)\s+\d+ (\d+)"
)
_SOCKET: Final = re.compile(r"(\d+) socket:\[(\d+)\]")


class Socket(NamedTuple):
    """One socket. `process` is 0 when no process of the container has it open."""

    protocol: str
    local: str
    remote: str
    state: str
    uid: int
    inode: int
    process: int

    @property
    def is_open(self) -> bool:
        """Whether it leads to somebody else, outside of the pod."""
        host = self.remote.rpartition(":")[0].strip("[]")
        address = ipaddress.ip_address(host)
        return self.state in OPEN and not address.is_loopback and not address.is_unspecified


def sockets(tables: Mapping[str, bytes], owners: Mapping[int, int]) -> Iterator[Socket]:
    """The TCP and UDP sockets of one network namespace.

    Args:
        tables: By the name of the file in /proc/net.
        owners: By inode, the process that has it open.
    """
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        for line in tables.get(protocol, b"").decode("ascii", "replace").splitlines()[1:]:
            if match := _LINE.match(line):
                local, port, remote, remote_port, state, uid, inode = match.groups()
                yield Socket(
                    protocol,
                    _endpoint(local, port),
                    _endpoint(remote, remote_port),
                    _STATES.get(int(state, 16), state) if protocol.startswith("tcp") else _udp(int(state, 16)),
                    int(uid),
                    int(inode),
                    owners.get(int(inode), 0),
                )


def owners_of(descriptors: Mapping[int, bytes]) -> dict[int, int]:
    """By inode of a socket the process that has it open.

    Args:
        descriptors: By process, what its descriptors are.
    """
    found: dict[int, int] = {}
    for process, text in sorted(descriptors.items()):
        for line in text.decode("utf-8", "replace").splitlines():
            if match := _SOCKET.fullmatch(line):
                found.setdefault(int(match[2]), process)
    return found


def _udp(state: int) -> str:
    return "ESTABLISHED" if state == 1 else "UNCONNECTED"


def _endpoint(address: str, port: str) -> str:
    # The kernel prints each 32-bit word in the node's byte order, which is little-endian wherever EKS runs.
    words = [int(address[i : i + 8], 16) for i in range(0, len(address), 8)]
    host = ipaddress.ip_address(b"".join(struct.pack("<I", w) for w in words))
    # An IPv4 connection of a socket that speaks both is listed among those of IPv6.
    host = getattr(host, "ipv4_mapped", None) or host
    number = int(port, 16)
    return f"[{host}]:{number}" if host.version == 6 else f"{host}:{number}"
