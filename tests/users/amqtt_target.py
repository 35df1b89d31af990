"""An amqtt broker: ``python amqtt_target.py PORT`` listens there, and for WebSockets on the port above."""

from __future__ import annotations

import asyncio
import logging
import sys

from amqtt.broker import Broker


async def main(port: int) -> None:
    """Serve until killed."""
    broker = Broker(
        {
            "listeners": {
                "default": {"type": "tcp", "bind": f"127.0.0.1:{port}"},
                "web": {"type": "ws", "bind": f"127.0.0.1:{port + 1}"},
            },
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    print("up", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    asyncio.run(main(int(sys.argv[1])))
