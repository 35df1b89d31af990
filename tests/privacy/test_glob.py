"""Patterns for endpoints and topics."""

from __future__ import annotations

import pytest

from streamlab_plugin.privacy.glob import compile_glob


class TestGlob:
    """`compile_glob`."""

    @pytest.mark.parametrize(
        ("pattern", "endpoint", "expected"),
        [
            ("/api/users/*", "/api/users/{id}", True),
            ("/api/users/*", "/api/users/{id}/orders", False),
            ("/api/**", "/api/users/{id}/orders", True),
            ("/api/users/{id}", "/api/users/{id}", True),
            ("/api/users/{id}", "/api/users/7", False),
            ("sensors/+/temperature", "sensors/{id}/temperature", True),
            ("sensors/+/temperature", "sensors/a/b/temperature", False),
            ("+/temperature", "kitchen/temperature", True),
            ("fleet/#", "fleet/a/b", True),
            ("fleet/#", "fleet", True),
            ("fleet/#", "fleets", False),
            ("#", "anything/at all", True),
            ("a+b", "a+b", True),
            ("a+b", "aab", False),
            ("/a.b", "/axb", False),
            ("voice*", "voice upload", True),
            ("**voice**", "/v1/voice/upload\n", True),
        ],
    )
    def test_matches(self, pattern: str, endpoint: str, expected: bool) -> None:
        """A star stays within a level, two do not; MQTT's wildcards mean what they mean there."""
        assert expected is compile_glob(pattern).matches(endpoint)

    def test_weight(self) -> None:
        """More characters of its own make a pattern more specific, and then fewer wildcards."""
        patterns = ["#", "/api/**", "/api/*/x", "/api/+/x/**", "/api/users/x"]
        assert patterns == sorted(set(patterns), key=lambda text: compile_glob(text).weight)
