"""Lets the node reach the API server, which listens on the host's 127.0.0.1 only and is to stay there.

A socket belongs to the network in which it was made, whoever holds it. Boot listens on 127.0.0.1 of the node and hands
that socket to the machine's process on the host, which accepts here and connects there. So one address, and one
certificate and kubeconfig, are right on both sides.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

_CHUNK = 64 * 1024


async def serve_apiserver(listener: socket.socket, port: int) -> asyncio.Server:
    """Forward what connects to ``listener`` to ``port`` on this side's 127.0.0.1."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            # The API server is not up; the kubelet tries again, as it does everywhere.
            writer.close()
            return
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    return await asyncio.start_server(forward, sock=listener)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    # Either end closing ends both directions: HTTP over TLS has no half-closed connections.
    writer.close()
