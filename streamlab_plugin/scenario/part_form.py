"""How a group of connections is written in a scenario: endpoint, payload, and what its protocol adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamlab_plugin.scenario.fault_form import OPERATIONS, SEED
from streamlab_plugin.scenario.form import ByType, Choice, Listing, Made, Number, Shared, Text
from streamlab_plugin.scenario.keys import Key, Tagged
from streamlab_plugin.scenario.payload import GENERATORS
from streamlab_plugin.scenario.scenario import HttpPart, MqttPart, Part, Payload, WebSocketPart

_RATE = Number(0, 1_000_000)
_GENERATORS = tuple(GENERATORS)
_OLD_GENERATORS = {
    **{name.upper(): name for name in _GENERATORS},
    "behavioral": "behavioural",
    "VOICE_DATA": "voice",
    "BEHAVIORAL_DATA": "behavioural",
    "SESSION_DATA": "session",
}
_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST = rf"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:{_PORT})?"
_URLS = {
    "websocket": (r"wss?", r"([/?][^\s#]*)?", "ws://HOST:PORT/PATH or wss://HOST:PORT/PATH"),
    "mqtt": (
        r"(mqtts?|wss?)",
        r"(/[^\s#]*)?",
        "mqtt://HOST:PORT, mqtts://HOST:PORT, ws:// or wss://HOST:PORT/PATH",
    ),
    "http": (r"https?", r"(/[^\s?#]*)?", "http://HOST:PORT or https://HOST:PORT; the rest belongs into path"),
}


def _endpoint(protocol: str) -> Key:
    scheme, rest, wanted = _URLS[protocol]
    form = Text(
        2000, f"^{scheme}://{_HOST}{rest}$", f"write {wanted}, without user name and password", secretive=True
    )
    return Key(form, f"Where to: {wanted}.", required=True)


_PAYLOAD = Shared(
    "payload",
    ByType(
        {
            "string": Made(Choice(_GENERATORS, _OLD_GENERATORS), Payload),
            "object": Tagged(
                tag="generator",
                about="What messages are made of.",
                choice=Choice(_GENERATORS, _OLD_GENERATORS),
                common={"seed": Key(SEED, "Decides people and values; 0.")},
                variants={
                    **{name: {} for name in _GENERATORS},
                    "voice": {
                        "size_bytes": Key(
                            Number(1, 1_048_576, whole=True),
                            "Size of a chunk before base64; 4096.",
                            others=("size",),
                        )
                    },
                },
                build=lambda values, _places: Payload(**values),
            ),
        }
    ),
)

_TOPIC = Text(1000, r"^[^+#\x00-\x1f\x7f-\x9f]+$", "write a topic without '+' and '#'")
_FILTER = Text(
    1000,
    r"^(([^+#/\x00-\x1f\x7f-\x9f]*|\+)/)*([^+#/\x00-\x1f\x7f-\x9f]+|\+|#)$",
    "write a topic filter, e.g. devices/+/telemetry",
)
SPECIAL: Mapping[str, Mapping[str, Key]] = {
    "websocket": {
        "endpoint": _endpoint("websocket"),
        "operation": Key(
            Choice(("request", "send")),
            "request: each message has a reply with its correlation id; send: none.",
        ),
    },
    "mqtt": {
        "endpoint": _endpoint("mqtt"),
        "topic": Key(_TOPIC, "Where messages are published; streamlab/{connection}."),
        "qos": Key(Number(0, 2, whole=True), "Quality of service of publishing and subscribing; 0."),
        "subscribe": Key(_FILTER, "Topic filter that each connection listens to; none."),
    },
    "http": {
        "endpoint": _endpoint("http"),
        "method": Key(Choice(OPERATIONS["http"]), "Method; POST. POST, PUT and PATCH send the payload."),
        "path": Key(Text(2000, r"^/[^\s#]*$", "begin with '/'"), "Path and query; /."),
    },
}
_CLASSES: Mapping[str, type[Part]] = {"websocket": WebSocketPart, "mqtt": MqttPart, "http": HttpPart}
ANY_PART = {
    "messages_per_second": Key(
        _RATE, "Rate of each connection; 0 only listens. Without it 1, or what think_time gives."
    ),
    "payload": Key(_PAYLOAD, "What messages are made of; heartbeat."),
}
PARTS = Listing(
    Shared(
        "part",
        Tagged(
            tag="protocol",
            about="Protocol of these connections.",
            choice=Choice(tuple(SPECIAL)),
            common={
                "weight": Key(Number(0, 1_000_000, above=True), "Share of the connections; 1."),
                **ANY_PART,
            },
            variants=SPECIAL,
            build=lambda values, _places: values,
        ),
    ),
    most=50,
    fewest=1,
)


def read_part(values: Mapping[str, Any]) -> Part:
    """Return the part with these values, which name its protocol."""
    return _CLASSES[values["protocol"]](**values)
