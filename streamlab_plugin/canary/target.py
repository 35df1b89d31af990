"""``python -m streamlab_plugin.canary.target``: the servers that are told everything and give it back.

A target as privacy fears it: it echoes what it got, fails with texts that contain it, pushes it, and closes
with it. It notes checksums of what it saw; personal data is never written or printed here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec

from streamlab_plugin.canary.tally import Tally
from streamlab_plugin.canary.target_http import HttpTarget
from streamlab_plugin.canary.target_mqtt import Broker, RefusingBroker
from streamlab_plugin.canary.target_websocket import WebSocketTarget

HOST = "127.0.0.1"
_GOODBYE_S = 1.0


def main(seen: Path) -> None:
    """Serve until SIGTERM or the end of the parent process; then write what was seen to *seen*."""
    for name in ("amqtt", "transitions", "websockets"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    tally = Tally(seen)
    asyncio.run(_serve(tally, os.getppid()))
    tally.write()


async def _serve(tally: Tally, parent: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    servers: dict[str, Any] = {
        "http": HttpTarget(tally),
        "websocket": WebSocketTarget(tally),
        "mqtt": Broker(tally),
        "refusing": RefusingBroker(tally),
    }
    listeners = {name: socket.create_server((HOST, 0), backlog=256) for name in servers}
    opened = [await server.start(listeners[name]) for name, server in servers.items()]
    ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
    sys.stdout.write(msgspec.json.encode(ports).decode() + "\n")
    sys.stdout.flush()
    # Nobody else would end us if whoever started us is gone.
    while not stop.is_set() and os.getppid() == parent:
        try:
            await asyncio.wait_for(stop.wait(), 1.0)
        except TimeoutError:
            pass
    for server in opened:
        server.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
