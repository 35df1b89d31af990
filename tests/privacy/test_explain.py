"""What is said about the fields of a payload is what happens to them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.privacy.explain import explain
from streamlab_plugin.privacy.plan import Redactor
from streamlab_plugin.privacy.policy import Policy
from streamlab_plugin.privacy.pseudonym import Pseudonyms

KEY = bytes(range(32))
NAMES = ["type", "user_id", "lat", "email", "value", "name", "key", "other", "bob@example.org", "data", "ts"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-200, 10**13),
    st.floats(),
    st.sampled_from(["a@b.co", "ok", "email"]),
)
PAYLOADS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=20,
)


class TestExplain:
    """`explain`."""

    @pytest.mark.parametrize(
        ("payload", "path", "outcome", "words"),
        [
            ({"type": "sync"}, "$.type", "kept", "listed"),
            ({"type": "bob@example.org"}, "$.type", "scrubbed", "listed"),
            ({"user_id": 42}, "$.user_id", "hashed", "listed"),
            ({"lat": 37.774929}, "$.lat", "bucketed", "0.1°"),
            ({"lat": "north"}, "$.lat", "removed", "cannot"),
            ({"email": "x"}, "$.email", "removed", "always removed: ways to reach people"),
            ({"homePhones": {"value": 1}}, "$.homePhones", "removed", "'phone'"),
            ({"diary": "x"}, "$.diary", "removed", "not listed"),
            ({"in": [{"bob@example.org": 1}]}, "$.in[0].‹key›", "removed", "looks like data"),
            ({"key": "nickname", "value": "Bob"}, "$.value", "removed", "the name in 'key'"),
            ([1], "$[0]", "removed", "without a name"),
        ],
    )
    def test_line(self, packaged: Policy, payload: Any, path: str, outcome: str, words: str) -> None:
        """Each field has a line with its path, what happens to it, and why."""
        lines = {line.path: line for line in explain(payload, packaged, Pseudonyms(KEY))}
        assert outcome == lines[path].outcome
        assert words.replace("cannot", "not a value") in lines[path].reason

    @given(PAYLOADS)
    def test_agrees_with_redaction(self, payload: object) -> None:
        """What is shown as stored is what redaction stores, in any payload."""
        policy = _PACKAGED()
        lines = explain(payload, policy, Pseudonyms(KEY))
        shown = sorted(repr(line.stored) for line in lines if line.is_stored)
        redacted = Redactor(policy, Pseudonyms(KEY)).redact(payload)
        assert shown == sorted(map(repr, _leaves(redacted.values)))

    def test_no_value_in_paths(self, packaged: Policy) -> None:
        """A key that is data does not show."""
        lines = explain({"a": {"4711-0815": {"x": 1}}, "bob@example.org": 1}, packaged, Pseudonyms(KEY))
        assert "4711" not in repr(lines)
        assert "bob" not in repr(lines)


def _PACKAGED() -> Policy:  # noqa: N802 - a fixture would be made anew for each example
    import yaml

    from streamlab_plugin.privacy.policy import parse_policy
    from tests.privacy.conftest import RULES

    return parse_policy(yaml.safe_load((RULES / "privacy.yaml").read_text(encoding="utf-8")))


def _leaves(values: list[Any]) -> list[object]:
    found: list[object] = []
    pending = list(values)
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        else:
            found.append(value)
    return found
