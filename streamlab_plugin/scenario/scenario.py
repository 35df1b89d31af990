"""What load a test makes, for how long, and what is expected of the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamlab_plugin.scenario.distribution import Distribution
from streamlab_plugin.scenario.injection import Faults


@dataclass(frozen=True, slots=True)
class Payload:
    """What messages are made of; see `streamlab_plugin.scenario.payload`.

    ``size_bytes`` is the size of a chunk of voice before base64; other generators do not look at it.
    """

    generator: str = "heartbeat"
    seed: int = 0
    size_bytes: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Connections of one protocol that do the same.

    ``weight`` is their share of the scenario's connections. ``messages_per_second`` is the rate of each of
    them outside bursts: 0 means that they only listen, None that nothing but the think time paces them.
    ``{connection}`` in endpoint, topic, subscription and path stands for the number of the connection.
    """

    protocol: str
    endpoint: str
    weight: float = 1.0
    messages_per_second: float | None = 1.0
    payload: Payload = Payload()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketPart(Part):
    """``operation`` is ``request`` where each message has a reply with its correlation id, else ``send``."""

    protocol: str = "websocket"
    operation: str = "request"


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttPart(Part):
    """``topic`` is published to, ``subscribe`` a topic filter that is listened to, empty for none."""

    protocol: str = "mqtt"
    topic: str = "streamlab/{connection}"
    qos: int = 0
    subscribe: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPart(Part):
    """Methods with a body (POST, PUT, PATCH) send the payload as JSON."""

    protocol: str = "http"
    method: str = "POST"
    path: str = "/"


@dataclass(frozen=True, slots=True)
class Burst:
    """For *length_seconds* the rate is *multiplier* times as high.

    The first one begins *start_seconds* after the load, the next ones *every_seconds* after the one before;
    0 means that there is only one.
    """

    multiplier: float
    start_seconds: float = 10.0
    length_seconds: float = 5.0
    every_seconds: float = 0.0

    def is_on(self, elapsed_s: float) -> bool:
        """Whether a burst goes on *elapsed_s* seconds after the load began."""
        since_s = elapsed_s - self.start_seconds
        if since_s < 0:
            return False
        return (since_s % self.every_seconds if self.every_seconds else since_s) < self.length_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A scenario file, checked. Field by field: docs/scenarios.md.

    ``protocol`` is ``websocket``, ``mqtt`` or ``http`` with one part, or ``mixed`` with any number of parts.
    ``duration_seconds`` includes both ramps. ``think_time`` is in seconds, None for none.
    ``pii_redaction_rules`` has the lists of a privacy policy that extends the default one.
    """

    name: str
    protocol: str
    parts: tuple[Part, ...]
    connections: int
    duration_seconds: float
    description: str = ""
    think_time: Distribution | None = None
    ramp_up_seconds: float = 0.0
    ramp_down_seconds: float = 0.0
    burst: Burst | None = None
    failure_injection: Faults = field(default_factory=Faults)
    pii_redaction_rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    expected_p95_latency_ms: float | None = None
    expected_error_rate: float | None = None
    criticality: str = "normal"
    tags: tuple[str, ...] = ()

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols of the parts, each once, in their order."""
        return tuple(dict.fromkeys(part.protocol for part in self.parts))

    @property
    def total_messages_per_second(self) -> float | None:
        """The rate of all connections together outside ramps and bursts; None where think time paces them."""
        weights = sum(part.weight for part in self.parts)
        total = 0.0
        for part in self.parts:
            if part.messages_per_second is None:
                return None
            total += self.connections * part.weight / weights * part.messages_per_second
        return total

    def connections_at(self, elapsed_s: float) -> int:
        """Return how many connections there are *elapsed_s* seconds after the load began, ramps included."""
        if not 0 <= elapsed_s < self.duration_seconds:
            return 0
        up = elapsed_s / self.ramp_up_seconds if self.ramp_up_seconds else 1.0
        left_s = self.duration_seconds - elapsed_s
        down = left_s / self.ramp_down_seconds if self.ramp_down_seconds else 1.0
        # At least one: a scenario that begins with nobody would look as if it hung.
        return max(1, round(self.connections * min(1.0, up, down)))

    def rate_factor_at(self, elapsed_s: float) -> float:
        """Return what multiplies the rate of each connection at that moment: a burst's multiplier, else 1."""
        return self.burst.multiplier if self.burst and self.burst.is_on(elapsed_s) else 1.0
