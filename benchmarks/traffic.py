"""The traffic that is measured: messages of twelve fields, as a mobile client would send them.

Three ids to hash, a position to round, five fields to keep, two to drop.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

NAMES = tuple(f"/api/v1/resource-{chr(97 + index)}" for index in range(20))
_KINDS = ("heartbeat", "sync", "reading", "status")
_DEVICES = 2_000


def messages(count: int, seed: int = 7) -> Iterator[tuple[str, bytes]]:
    """Yield *count* pairs of a correlation id and a JSON message that carries it."""
    source = random.Random(seed)
    people = [f"person{number}@example.org" for number in range(_DEVICES)]
    devices = [str(UUID(int=source.getrandbits(128), version=4)) for _device in range(_DEVICES)]
    for number in range(count):
        who = source.randrange(_DEVICES)
        correlation_id = str(UUID(int=source.getrandbits(128), version=4))
        message = {
            "type": _KINDS[number % len(_KINDS)],
            "correlation_id": correlation_id,
            "device_id": devices[who],
            "user_id": f"user-{who}",
            "seq": number,
            "timestamp": 1_760_000_000.0 + number / 1000,
            "latitude": round(52 + source.random(), 6),
            "longitude": round(13 + source.random(), 6),
            "battery": source.randrange(5, 101),
            "status": "ok",
            "email": people[who],
            "phone": f"+4930{1_000_000 + who}",
        }
        yield correlation_id, json.dumps(message, separators=(",", ":")).encode()


def latencies_ms(count: int, seed: int = 11) -> list[float]:
    """Return *count* response times around 20 ms, about one in a thousand above 100 ms."""
    source = random.Random(seed)
    return [source.lognormvariate(math.log(20), 0.52) for _request in range(count)]


def records(count: int, started_at: float, per_second: int) -> list[tuple[Any, ...]]:
    """Return *count* WebSocket requests as the gate hands them over, from *started_at* on."""
    times = latencies_ms(count)
    return [
        (
            number + 1, "websocket", "request", NAMES[number % len(NAMES)], "out", "DeviceUser",
            started_at + number / per_second, None, times[number], None, len(payload), payload, "success",
            None, None, None, correlation_id, None, None, None,
        )
        for number, (correlation_id, payload) in enumerate(messages(count))
    ]  # fmt: skip
