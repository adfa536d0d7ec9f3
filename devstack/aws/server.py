"""Runs the stand-in for AWS: ``python -m devstack.aws.server PORT``, on 127.0.0.1 only."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from werkzeug.serving import run_simple


def main(port: int) -> None:
    """Serve until SIGTERM."""
    # moto builds URLs to itself (queues, for one) from this.
    os.environ["MOTO_PORT"] = str(port)
    from moto.moto_server.werkzeug_app import MotoRequestHandler

    from devstack.aws.app import StandIn

    signal.signal(signal.SIGTERM, _leave)
    # Keep-alive: clients make dozens of calls in a row, and a new connection for each is most of their time.
    MotoRequestHandler.protocol_version = "HTTP/1.1"
    run_simple("127.0.0.1", port, StandIn(), threaded=True, request_handler=MotoRequestHandler)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
