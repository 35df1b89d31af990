"""What messages are made of: seeded generators of JSON objects about synthetic people.

Each message has a field ``correlation_id`` that is None: whoever sends it fills it in. No message holds a
time of day, because the same seed has to give the same messages.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator, Mapping

from streamlab_plugin.scenario.person import Person, person_of
from streamlab_plugin.scenario.scenario import Payload

Message = dict[str, object]
_APP_VERSION = "4.2.0"
_SAMPLE_RATE = 16_000  # 16-bit mono


def messages(payload: Payload, connection: int = 0) -> Iterator[Message]:
    """Yield the messages of one connection without end, each a new dict of 8 to 16 fields.

    The same payload and connection give the same messages, in any process.
    """
    make = GENERATORS[payload.generator]
    person = person_of(payload.seed, connection)
    rng = random.Random(f"{payload.generator} {payload.seed} {connection}")
    session_id = f"{rng.getrandbits(64):016x}"
    seq = 0
    while True:
        seq += 1
        yield make(_Turn(payload, person, rng, session_id, seq))


class _Turn:
    """What a message is made from."""

    __slots__ = ("payload", "person", "rng", "seq", "session_id")

    def __init__(
        self, payload: Payload, person: Person, rng: random.Random, session_id: str, seq: int
    ) -> None:
        self.payload, self.person, self.rng = payload, person, rng
        self.session_id, self.seq = session_id, seq

    def head(self, kind: str) -> Message:
        """Return the fields that every message begins with."""
        return {"type": kind, "correlation_id": None, "user_id": self.person.user_id, "seq": self.seq}


def _heartbeat(turn: _Turn) -> Message:
    rng = turn.rng
    return {
        **turn.head("heartbeat"),
        "device_id": turn.person.device_id,
        "platform": turn.person.platform,
        "app_version": _APP_VERSION,
        "battery_level": rng.randrange(5, 101),
        "charging": rng.random() < 0.2,
        "signal_strength": -rng.randrange(45, 110),
        "network_type": rng.choice(("wifi", "5g", "4g")),
        "uptime_s": 30 * turn.seq,
    }


def _voice(turn: _Turn) -> Message:
    size_bytes = turn.payload.size_bytes
    return {
        **turn.head("voice"),
        "session_id": turn.session_id,
        "speaker_name": turn.person.name,
        "codec": "pcm_s16le",
        "sample_rate": _SAMPLE_RATE,
        "duration_ms": size_bytes * 1000 // (2 * _SAMPLE_RATE),
        "quality_score": round(turn.rng.uniform(0.6, 1.0), 2),
        "final": turn.seq % 50 == 0,
        "size_bytes": size_bytes,
        "voice_sample": base64.b64encode(turn.rng.randbytes(size_bytes)).decode(),
    }


def _behavioural(turn: _Turn) -> Message:
    rng, person = turn.rng, turn.person
    return {
        **turn.head("behavioural"),
        "session_id": turn.session_id,
        "device_id": person.device_id,
        "event_name": rng.choice(("screen_view", "tap", "scroll", "search", "purchase")),
        "screen": rng.choice(("home", "detail", "basket", "profile")),
        "duration_ms": rng.randrange(50, 20_000),
        "scroll_depth": round(rng.random(), 2),
        "email": person.email,
        "latitude": round(person.latitude + rng.uniform(-0.01, 0.01), 6),
        "longitude": round(person.longitude + rng.uniform(-0.01, 0.01), 6),
        "platform": person.platform,
        "app_version": _APP_VERSION,
    }


def _session(turn: _Turn) -> Message:
    person = turn.person
    return {
        **turn.head("session"),
        "session_id": turn.session_id,
        "action": "start" if turn.seq == 1 else turn.rng.choice(("refresh", "resume", "pause")),
        "access_token": turn.rng.randbytes(24).hex(),
        "name": person.name,
        "email": person.email,
        "phone": person.phone,
        "address": person.address,
        "device_id": person.device_id,
        "device_model": person.device_model,
        "platform": person.platform,
        "os_version": person.os_version,
        "app_version": _APP_VERSION,
    }


def _metrics(turn: _Turn) -> Message:
    rng = turn.rng
    return {
        **turn.head("metrics"),
        "device_id": turn.person.device_id,
        "interval_s": 10,
        "cpu_percent": round(rng.uniform(2, 95), 1),
        "memory_mb": rng.randrange(120, 900),
        "fps": rng.randrange(24, 61),
        "latency_ms": round(rng.lognormvariate(4, 0.5), 1),
        "packet_loss": round(rng.random() * 0.02, 4),
        "temperature": round(rng.gauss(34, 3), 1),
        "battery_level": rng.randrange(5, 101),
    }


GENERATORS: Mapping[str, Callable[[_Turn], Message]] = {
    "heartbeat": _heartbeat,
    "voice": _voice,
    "behavioural": _behavioural,
    "session": _session,
    "metrics": _metrics,
}
