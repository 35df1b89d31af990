"""Scenario documents, right and wrong, that several tests use."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, Any] = {
    "name": "small",
    "protocol": "http",
    "endpoint": "http://127.0.0.1:8000",
    "connections": 5,
    "duration_seconds": 10,
}
# Every key that there is, in its documented spelling.
FULL: dict[str, Any] = {
    "name": "full",
    "description": "Everything.\nAt once.",
    "protocol": "mixed",
    "connections": 30,
    "duration_seconds": 60,
    "messages_per_second": 2,
    "ramp_up_seconds": 5,
    "ramp_down_seconds": 2.5,
    "burst": {"multiplier": 5, "start_seconds": 10, "length_seconds": 3, "every_seconds": 20},
    "think_time": {"distribution": "lognormal", "median": 0.5, "sigma": 0.3},
    "payload": {"generator": "voice", "seed": 3, "size_bytes": 2000},
    "parts": [
        {
            "protocol": "websocket",
            "endpoint": "wss://[::1]:8443/live?x=1",
            "operation": "send",
            "weight": 2.5,
        },
        {
            "protocol": "mqtt",
            "endpoint": "mqtts://broker.example.com",
            "topic": "devices/{connection}/up",
            "qos": 2,
            "subscribe": "devices/+/down/#",
            "messages_per_second": 0,
            "payload": "metrics",
        },
        {
            "protocol": "http",
            "endpoint": "https://h.example.com/base",
            "method": "PUT",
            "path": "/a?b={connection}",
        },
    ],
    "failure_injection": {
        "enabled": True,
        "seed": 9,
        "delay": {"probability": 0.1, "delay_ms": {"distribution": "uniform", "low": 5, "high": 50}},
        "drop_connection": {"probability": 0.01, "from_s": 10, "until_s": 20, "when": "before"},
        "duplicate": {"id": "twice", "probability": 0.1, "copies": 2, "operations": ["publish"]},
        "reorder": {"probability": 0.1, "depth": 3, "hold_ms": 50},
        "truncate": {"probability": 0.1, "keep_ratio": 0.25},
        "corrupt": {"probability": 0.1, "byte_count": 4},
        "slow_consumer": {"probability": 0.1, "delay_ms": 20},
        "schema_drift": {
            "probability": 0.1,
            "changes": [
                {"change": "rename", "path": "a.b", "to": "c"},
                {"change": "remove", "path": "a"},
                {"change": "retype", "path": "seq", "to": "string"},
                {"change": "add", "path": "x.y", "value": False},
            ],
        },
        "malformed": {"probability": 0},
        "faults": [
            {"kind": "delay", "probability": 0.1, "delay_ms": [1, 2]},
            {"kind": "delay", "probability": 0, "delay_ms": {"distribution": "exponential", "mean": 3}},
            {"kind": "delay", "probability": 0, "delay_ms": {"distribution": "constant", "value": 3}},
        ],
    },
    "pii_redaction_rules": {"keep": ["level"], "hash": ["shop_id"], "bucket": ["place"], "remove": ["mood"]},
    "expected_p95_latency_ms": 200,
    "expected_error_rate": 0.01,
    "criticality": "critical",
    "tags": ["nightly", "v2.1"],
}
# As an older tool wrote it.
OLD: dict[str, Any] = {
    "name": "old",
    "protocol": "websocket",
    "endpoint": "ws://127.0.0.1:8001/ws/mobile/sync/?device_id={connection}",
    "connections": 5,
    "durationSeconds": 10,
    "messagesPerSecond": 2,
    "rampUpSeconds": 1,
    "rampDownSeconds": 1,
    "burstMultiplier": 3,
    "payload": {"generator": "VOICE_DATA", "size": 100},
    "failureInjection": {
        "enabled": True,
        "networkDelays": {"probability": 0.1, "rangeMs": [50, 200]},
        "connectionDrops": {"probability": 0.02},
        "duplicateMessages": {"probability": 0.05},
        "schemaDrift": {"probability": 0.01},
    },
    "piiRedactionRules": {"allowlistedFields": ["level"], "hashFields": ["shop_id"]},
    "expectedP95LatencyMs": 100,
    "expectedErrorRate": 0.01,
}
RIGHT = {"small": SMALL, "full": FULL, "old": OLD}

# As a value: the key is not there.
GONE = object()


def changed(base: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Return *base* with other values; `GONE` takes a key away."""
    return {key: value for key, value in {**base, **values}.items() if value is not GONE}


_MQTT = changed(SMALL, protocol="mqtt", endpoint="mqtt://h")
_WS = changed(SMALL, protocol="websocket", endpoint="ws://h")


def fault(**values: Any) -> dict[str, Any]:
    """Return the small scenario with one fault."""
    return changed(SMALL, failure_injection=[values])


# Document, path of the only problem, words of it.
WRONG: list[tuple[Any, tuple[str | int, ...], str]] = [
    (None, ("scenario",), "expected keys and values"),
    ([SMALL], ("scenario",), "expected keys and values"),
    ("name: x", ("scenario",), "expected keys and values"),
    (changed(SMALL, protocol=GONE), ("protocol",), "is missing"),
    (changed(SMALL, protocol="htp"), ("protocol",), "did you mean 'http'?"),
    (changed(SMALL, protocol=["http"]), ("protocol",), "unknown value ['http']"),
    *(
        (changed(SMALL, **{key: GONE}), (key,), f"is missing; add '{key}'")
        for key in SMALL
        if key != "protocol"
    ),
    (changed(SMALL, conections=5), ("conections",), "did you mean 'connections'?"),
    (changed(SMALL, name="a b"), ("name",), "'a b' is not accepted"),
    (changed(SMALL, name=""), ("name",), "'' is not accepted"),
    (changed(SMALL, name="x" * 101), ("name",), "101 characters is too long"),
    (changed(SMALL, name=7), ("name",), "expected a text, got 7"),
    (changed(SMALL, name=None), ("name",), "expected a text, got nothing"),
    (changed(SMALL, description="a\x1b[31mb"), ("description",), "is not accepted"),
    (changed(SMALL, connections=0), ("connections",), "0 is out of range"),
    (changed(SMALL, connections=1.5), ("connections",), "expected a whole number, got 1.5"),
    (changed(SMALL, connections=True), ("connections",), "expected a whole number, got True"),
    (changed(SMALL, connections="5"), ("connections",), "expected a whole number, got '5'"),
    (changed(SMALL, connections=10**400), ("connections",), "is out of range"),
    (changed(SMALL, duration_seconds=0), ("duration_seconds",), "use a number above 0"),
    (changed(SMALL, durationSeconds=5), ("durationSeconds",), "the same as 'duration_seconds'"),
    (changed(SMALL, messages_per_second=-1), ("messages_per_second",), "-1 is out of range"),
    (changed(SMALL, expected_error_rate=1.01), ("expected_error_rate",), "use a number from 0 to 1"),
    (changed(SMALL, expected_p95_latency_ms=0), ("expected_p95_latency_ms",), "above 0"),
    (changed(SMALL, criticality="hgh"), ("criticality",), "did you mean 'high'?"),
    (changed(SMALL, tags="a"), ("tags",), "expected a list"),
    (changed(SMALL, tags=["a", "b c"]), ("tags", 1), "'b c' is not accepted"),
    (changed(SMALL, tags=["a"] * 33), ("tags",), "a list of 33"),
    (changed(SMALL, endpoint="ws://h"), ("endpoint",), "write http://HOST:PORT"),
    (changed(SMALL, endpoint="http://me:secret@h"), ("endpoint",), "without user name and password"),
    (changed(SMALL, endpoint="http://h:65536"), ("endpoint",), "is not accepted"),
    (changed(SMALL, endpoint="http://"), ("endpoint",), "is not accepted"),
    (changed(SMALL, topic="a"), ("topic",), "unknown key 'topic'"),
    (changed(SMALL, method="FETCH"), ("method",), "known: GET"),
    (changed(SMALL, path="a"), ("path",), "begin with '/'"),
    (changed(SMALL, parts=[]), ("parts",), "unknown key 'parts'"),
    (changed(_MQTT, qos=3), ("qos",), "from 0 to 2"),
    (changed(_MQTT, topic="a/+"), ("topic",), "without '+' and '#'"),
    (changed(_MQTT, subscribe="a+"), ("subscribe",), "topic filter"),
    (changed(_MQTT, subscribe="#/a"), ("subscribe",), "topic filter"),
    (changed(_WS, operation="post"), ("operation",), "known: request, send"),
    (changed(FULL, endpoint="ws://h"), ("endpoint",), "unknown key"),
    (changed(FULL, parts=[]), ("parts",), "use 1 to 50"),
    (changed(FULL, parts=[{"protocol": "http"}]), ("parts", 0, "endpoint"), "is missing"),
    (
        changed(FULL, parts=[{"protocol": "http", "endpoint": "http://h", "weight": 0}]),
        ("parts", 0, "weight"),
        "above 0",
    ),
    (changed(SMALL, payload="hartbeat"), ("payload",), "did you mean 'heartbeat'?"),
    (changed(SMALL, payload={"seed": 1}), ("payload", "generator"), "is missing"),
    (
        changed(SMALL, payload={"generator": "metrics", "size_bytes": 5}),
        ("payload", "size_bytes"),
        "unknown key",
    ),
    (
        changed(SMALL, payload={"generator": "voice", "size_bytes": 0}),
        ("payload", "size_bytes"),
        "out of range",
    ),
    (changed(SMALL, think_time={"distribution": "norml"}), ("think_time", "distribution"), "known: constant"),
    (
        changed(SMALL, think_time={"distribution": "exponential", "mean": 0}),
        ("think_time", "mean"),
        "above 0",
    ),
    (changed(SMALL, think_time=[1]), ("think_time",), "use 2 to 2 entries"),
    (changed(SMALL, think_time="1s"), ("think_time",), "expected a number or a list or keys and values"),
    (changed(SMALL, burst={"start_seconds": 1}), ("burst", "multiplier"), "is missing"),
    (changed(SMALL, failure_injection=True), ("failure_injection",), "expected a list or keys and values"),
    (
        changed(SMALL, failure_injection={"delays": {}}),
        ("failure_injection", "delays"),
        "did you mean 'delay'?",
    ),
    (fault(kind="dely"), ("failure_injection", 0, "kind"), "did you mean 'delay'?"),
    (fault(kind="delay"), ("failure_injection", 0, "delay_ms"), "is missing"),
    (fault(kind="corrupt", id="a b"), ("failure_injection", 0, "id"), "at most 40 letters"),
    (fault(kind="corrupt", probability=1.1), ("failure_injection", 0, "probability"), "from 0 to 1"),
    (fault(kind="corrupt", operations=["post"]), ("failure_injection", 0, "operations", 0), "known: send"),
    (fault(kind="truncate", keep_ratio=1), ("failure_injection", 0, "keep_ratio"), "out of range"),
    (fault(kind="truncate", copies=1), ("failure_injection", 0, "copies"), "unknown key"),
    (fault(kind="schema_drift", changes=[]), ("failure_injection", 0, "changes"), "use 1 to 50"),
    (
        fault(kind="schema_drift", changes=[{"change": "rename", "path": "a"}]),
        ("failure_injection", 0, "changes", 0, "to"),
        "is missing",
    ),
    (
        fault(kind="schema_drift", changes=[{"change": "retype", "path": "a", "to": "int"}]),
        ("failure_injection", 0, "changes", 0, "to"),
        "known: string",
    ),
    (
        fault(kind="schema_drift", changes=[{"change": "remove", "path": "a..b"}]),
        ("failure_injection", 0, "changes", 0, "path"),
        "joined by dots",
    ),
    (changed(SMALL, pii_redaction_rules={"drop": ["a"]}), ("pii_redaction_rules", "drop"), "unknown key"),
    (changed(SMALL, pii_redaction_rules={"keep": ["_"]}), ("pii_redaction_rules", "keep", 0), "field's name"),
]
# What no JSON schema can say.
UNFIT: list[tuple[Any, tuple[str | int, ...], str]] = [
    (changed(SMALL, ramp_up_seconds=6, rampDownSeconds=5), ("ramp_up_seconds",), "both ramps together"),
    (changed(SMALL, rampDownSeconds=11), ("rampDownSeconds",), "both ramps together"),
    (changed(SMALL, burst={"multiplier": 2, "every_seconds": 3}), ("burst",), "begins again after"),
    (changed(SMALL, think_time=[2, 1]), ("think_time",), "is above"),
    (
        changed(SMALL, think_time={"distribution": "uniform", "low": 2, "high": 1}),
        ("think_time", "high"),
        "is above",
    ),
    (fault(kind="corrupt", from_s=5, untilS=5), ("failure_injection", 0, "untilS"), "is not after from_s"),
    (
        fault(kind="corrupt", operations=["publish"]),
        ("failure_injection",),
        "which http does not have",
    ),
    (
        fault(kind="reorder", operations=["POST", "GET"]),
        ("failure_injection", 0, "operations"),
        "strikes no POST and no GET",
    ),
    (
        fault(kind="corrupt", operations=["deliver"]),
        ("failure_injection", 0, "operations"),
        "strikes no ",
    ),
    (
        changed(SMALL, failure_injection=[{"kind": "corrupt", "id": "a"}, {"kind": "malformed", "id": "a"}]),
        ("failure_injection",),
        "occurs twice",
    ),
    (
        changed(SMALL, failureInjection={"corrupt": {}, "malformed": {"probability": 0.5}}),
        ("failureInjection",),
        "add up to",
    ),
    (
        changed(SMALL, pii_redaction_rules={"allowlistedFields": ["level", "password"]}),
        ("pii_redaction_rules", "allowlistedFields", 1),
        "always removed",
    ),
    (
        changed(SMALL, pii_redaction_rules={"keep": ["a"], "hash": ["A"]}),
        ("pii_redaction_rules", "hash", 0),
        "listed under `keep` and under `hash`",
    ),
]
