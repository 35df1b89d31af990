"""The rules that Streamlab ships, on the records they were written for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from streamlab_plugin.detect.judge import compile_rules
from streamlab_plugin.detect.rule import RuleSet

from .conftest import RULES_FILE
from .test_judge import record

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "rules.md"


def ws(**changes: Any) -> dict[str, Any]:
    """Return a good WebSocket request."""
    return record(**{"protocol": "websocket", "operation": "request", "status": None, **changes})


def mqtt(**changes: Any) -> dict[str, Any]:
    """Return a good MQTT publish."""
    return record(**{"protocol": "mqtt", "operation": "publish", "status": None, **changes})


def error(message: str, **changes: Any) -> dict[str, Any]:
    """Return a failed HTTP request without an answer."""
    return record(outcome="error", status=None, error_type="OSError", error_message=message, **changes)


class TestPackagedRules:
    """Each case names all rules that fire."""

    @pytest.mark.parametrize(
        ("expected", "values"),
        [
            ([], record()),
            ([], record(latency_ms=200.0)),
            (["slow_http"], record(latency_ms=200.1)),
            (["slow_http"], record(latency_ms=5000.0)),
            (["over_five_seconds"], record(latency_ms=5000.1)),
            ([], ws(operation="push", direction="in", latency_ms=9000.0)),
            (["stale_delivery"], mqtt(operation="deliver", direction="in", latency_ms=5000.1)),
            ([], record(operation="CONNECT", latency_ms=900.0)),
            ([], record(operation="first_event", direction="in", status=None, latency_ms=9000.0)),
            ([], record(operation="event", direction="in", status=None, latency_ms=900.0)),
            (["timeout"], record(outcome="timeout", status=None, latency_ms=10000.0)),
            (["timeout"], ws(outcome="timeout", latency_ms=300.0)),
            ([], ws(latency_ms=100.0)),
            (["slow_websocket"], ws(latency_ms=100.1)),
            ([], ws(operation="connect", status=101, latency_ms=900.0)),
            ([], ws(operation="push", direction="in", latency_ms=900.0)),
            ([], ws(operation="close", latency_ms=9000.0, status=1000)),
            (["slow_websocket"], ws(endpoint="ws/test", latency_ms=500.0)),
            ([], mqtt(latency_ms=50.0)),
            (["slow_mqtt"], mqtt(latency_ms=50.1)),
            (["slow_mqtt"], mqtt(operation="deliver", direction="in", latency_ms=160.0)),
            ([], mqtt(operation="connect", latency_ms=160.0)),
            ([], mqtt(operation="subscribe", latency_ms=160.0)),
            (["rate_limited"], record(status=429, outcome="error", error_message="429 Too Many Requests")),
            (["unauthorized"], record(status=401, outcome="error")),
            (["unauthorized"], record(status=403, outcome="error")),
            ([], record(status=402, outcome="error")),
            (["unprocessable"], record(status=422, outcome="error")),
            ([], record(status=499, outcome="error")),
            (["server_error"], record(status=500, outcome="error")),
            (["server_error"], record(status=599, outcome="error")),
            ([], record(status=600, outcome="error")),
            (["server_error"], ws(operation="connect", status=503, outcome="error",
                                  error_message="handshake refused with HTTP 503")),
            (["schema_error"], error("1 validation error for Reading: temperature field required")),
            (["schema_error"], error("Answer does not match the schema")),
            (["json_error"], error("Expecting value: line 1 column 1 (char 0)")),
            (["json_error"], error("JSON is malformed: invalid character (byte 0)")),
            (["connection_refused"], error("[Errno 111] Connection refused")),
            (["connection_reset"], error("[Errno 104] Connection reset by peer")),
            (["connection_closed"], error("Remote end closed connection without response")),
            (["connection_closed"], error("[Errno 32] Broken pipe")),
            (["connection_closed"], ws(operation="close", outcome="error", status=1001,
                                       error_message="connection closed with 1001 going away")),
            (["websocket_abnormal_close"], ws(operation="close", outcome="error", status=1006,
                                              error_message="connection closed with 1006")),
            (["websocket_policy_violation"], ws(operation="close", outcome="error", status=1008)),
            (["websocket_message_too_big"], ws(outcome="error", status=1009)),
            (["websocket_server_error"], ws(outcome="error", status=1011)),
            (["websocket_try_again_later"], ws(operation="close", outcome="error", status=1013)),
            ([], ws(operation="close", status=1000)),
            (["mqtt_not_authorized"], mqtt(outcome="error", status=135, error_message="Not authorized")),
            (["mqtt_not_authorized"], mqtt(operation="connect", outcome="error", status=5)),
            (["mqtt_quota_exceeded"], mqtt(outcome="error", status=151)),
            (["mqtt_unavailable"], mqtt(operation="connect", outcome="error", status=136)),
            (["mqtt_unavailable"], mqtt(operation="connect", outcome="error", status=137)),
            (["mqtt_session_taken_over"], mqtt(operation="close", outcome="error", status=142)),
            ([], mqtt(operation="subscribe", status=1)),
            (["out_of_memory"], error("java.lang.OutOfMemoryError: Metaspace")),
            (["out_of_memory"], error("[Errno 12] Cannot allocate memory")),
            (["connection_pool_exhausted"], error("QueuePool limit of size 5 overflow 10 reached")),
            (["tls_certificate"], error("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")),
            (["tls_handshake"], error("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")),
            (["dns_failure"], error("[Errno -2] Name or service not known")),
            ([], error("something nobody has seen before")),
            (["server_error", "slow_http"], record(status=503, outcome="error", latency_ms=900.0)),
        ],
    )  # fmt: skip
    def test_record(self, packaged: RuleSet, expected: list[str], values: dict[str, Any]) -> None:
        """A record trips exactly the rules that are about it."""
        hits = compile_rules(packaged.rules)(*values.values())
        assert expected == sorted(packaged.rules[index].name for index in hits)

    def test_trap_high_error_rate_is_no_rule_on_records(self, packaged: RuleSet) -> None:
        """A single error trips nothing critical by being an error; the error rate is a window rule."""
        assert () == compile_rules(packaged.rules)(*error("nothing known").values())
        assert ["high_error_rate", "behind_schedule"] == [window.name for window in packaged.windows]
        assert (("warning", 0.05), ("critical", 0.15)) == packaged.windows[0].levels
        assert (30, 50) == (packaged.windows[0].window_s, packaged.windows[0].min_count)

    def test_every_anomaly_has_a_fix(self, packaged: RuleSet) -> None:
        """Each rule offers at least one fix of two to four steps, without placeholders."""
        assert packaged.drift is not None
        for rule in (*packaged.rules, *packaged.windows, packaged.drift):
            assert rule.fixes, rule.name
            for fix in rule.fixes:
                assert 2 <= len(fix.steps) <= 4, fix.title
        assert [] == re.findall(r"TODO|TBD|\{\}|<[a-z_]+>|lorem", RULES_FILE.read_text())

    def test_documented(self, packaged: RuleSet) -> None:
        """docs/rules.md lists every rule with its anomaly type and severity."""
        text = DOCUMENTATION.read_text()
        assert packaged.drift is not None
        for rule in (*packaged.rules, packaged.drift):
            assert f"| `{rule.name}` | `{rule.anomaly_type}` | {rule.severity} |" in text
        for window in packaged.windows:
            severities = ", ".join(severity for severity, _ in window.levels)
            assert f"| `{window.name}` | `{window.anomaly_type}` | {severities} |" in text

    def test_nothing_else_documented(self, packaged: RuleSet) -> None:
        """The table in docs/rules.md names no rule that does not exist."""
        assert packaged.drift is not None
        names = {rule.name for rule in (*packaged.rules, *packaged.windows, packaged.drift)}
        rows = re.findall(
            r"^\| `(\w+)` \| `\w+` \| (?:info|warning|error|critical)", DOCUMENTATION.read_text(), re.M
        )
        assert names == set(rows)
        assert len(names) == len(rows)
