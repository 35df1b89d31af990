"""What holds for the redaction of anything at all, whatever the policy and wherever it comes from."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.privacy import plan
from streamlab_plugin.privacy.plan import Redactor
from streamlab_plugin.privacy.policy import Action, Policy, parse_policy
from streamlab_plugin.privacy.pseudonym import Pseudonyms
from streamlab_plugin.privacy.treatment import Treatment

KEY = bytes(range(32))
NAMES = [
    "type", "status", "value", "seq", "ts", "lat", "LON", "userId", "device-id", "name", "password", "data",
    "items", "key", "field", "age", "born", "steps", "Bob Smith", "ｕｓｅｒ＿ｉｄ", "result", "a@b.co",
]  # fmt: skip
TEXTS = [
    "bob@example.org", "4111 1111 1111 1111", "+49 30 23125 123", "DE89370400440532013000", "10.1.2.3", "ok",
    "2026-01-02T03:04:05.678Z", "37.774929", "-0.04", "1e400", "%62%6f%62@example.org", "x" * 300, "user 1",
    "Ym9iQGV4YW1wbGUub3Jn", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "１２３", "a\u200bb", "\ud800", "…",
]  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from(TEXTS)
    | st.sampled_from([4111111111111111, 37.774929, 1e300, -0.0, 0.30000000000000004, 2**63, 1767225600123])
)  # fmt: skip
PAYLOADS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), inner, max_size=6)
    ),
    max_leaves=30,
)
POLICY = {
    "keep": ["type", "status", "value", "seq", "ts", "items", "key", "field", "result"],
    "hash": ["user_id", "device_id"],
    "bucket": ["lat", "lon", {"name": "age", "step": 10}, {"name": "steps", "step": 0.1},
               {"name": "born", "minutes": 60}],
    "remove": ["data"],
}  # fmt: skip


class Twice(Pseudonyms):
    """Leaves a pseudonym as it is: only so can the rest of a second redaction be compared."""

    def __init__(self) -> None:
        super().__init__(KEY)
        self._made: set[str] = set()

    def make(self, value: str) -> str:
        """Return the pseudonym of *value*, or *value* if it is one."""
        made = value if value in self._made else super().make(value)
        self._made.add(made)
        return made


@pytest.fixture(scope="module")
def policy() -> Policy:
    """Return a policy with every action and bucket."""
    return parse_policy(POLICY)


def whole(redactor: Redactor, payload: object) -> Any:
    """Return what is stored of *payload*, as it was: an object or an array."""
    redacted = redactor.redact(payload)
    if not isinstance(payload, dict):
        return redacted.values[0] if redacted.values else None
    return dict(zip(redacted.keys, redacted.values, strict=True))


class TestAnything:
    """Any JSON, bytes or object."""

    @given(st.binary(max_size=200) | PAYLOADS.map(lambda value: json.dumps(value).encode()))
    def test_bytes(self, policy: Policy, raw: bytes) -> None:
        """Whatever arrives is redacted or is metadata only, never an exception."""
        redactor = Redactor(policy, Pseudonyms(KEY))
        for _ in range(2):
            redacted = redactor.redact_json(raw)
            assert redacted is not None or redactor.counts["failed"] > 0

    @given(
        st.recursive(
            SCALARS
            | st.binary()
            | st.complex_numbers()
            | st.dates()
            | st.builds(object)
            | st.sets(st.text()),
            lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text() | st.none(), inner),
            max_leaves=10,
        )
    )
    def test_objects(self, policy: Policy, thing: object) -> None:
        """Objects that no JSON has are no exception either: nothing is stored of what is no JSON value."""
        redactor = Redactor(policy, Pseudonyms(KEY))
        try:
            stored = whole(redactor, thing)
        except TypeError:
            assert not _has_text_keys(thing)  # a decoder never makes such
        else:
            json.dumps(stored, allow_nan=False)

    @given(PAYLOADS)
    def test_twice_is_once(self, policy: Policy, payload: object) -> None:
        """What was redacted stays as it is when it is redacted again."""
        redactor = Redactor(policy, Twice())
        once = whole(redactor, payload)
        assert once == whole(redactor, once)

    @given(PAYLOADS)
    def test_without_a_plan(self, policy: Policy, payload: object) -> None:
        """A payload that gets no plan is redacted and counted as with one."""
        planned = Redactor(policy, Pseudonyms(KEY))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plan, "PLAN_LIMIT", 0)
            unplanned = Redactor(policy, Pseudonyms(KEY))
            once = unplanned.redact(payload)
        assert planned.redact(payload) == once
        assert planned.counts == unplanned.counts

    @given(PAYLOADS)
    def test_order_and_types(self, policy: Policy, payload: object) -> None:
        """Kept fields keep their order, and their values their types."""
        after = whole(Redactor(policy, Pseudonyms(KEY)), payload)
        if after is not None:
            _compare(payload, after, Action.DROP, policy)


def _has_text_keys(thing: object) -> bool:
    if isinstance(thing, dict):
        return all(isinstance(key, str) and _has_text_keys(value) for key, value in thing.items())
    return all(map(_has_text_keys, thing)) if isinstance(thing, list) else True


def _compare(before: object, after: object, action: Action, policy: Policy) -> None:
    """Assert that *after* is what may be left of *before*, under a field with *action*."""
    if isinstance(before, dict):
        assert isinstance(after, dict)
        assert [key for key in before if key in after] == list(after)
        for key in after:
            own = policy.action(key)
            inner = (
                own if own in (Action.HASH, Action.BUCKET) or action in (Action.DROP, Action.KEEP) else action
            )
            _compare(before[key], after[key], inner, policy)
    elif isinstance(before, list):
        assert isinstance(after, list)
        assert len(after) <= len(before)
    elif action is Action.KEEP and not _is_odd(before):
        assert type(before) is type(after)


def _is_odd(value: object) -> bool:
    """Whether *value* is a number that JSON cannot say, or that may be a card's."""
    return isinstance(value, int | float) and (not math.isfinite(value) or abs(value) >= 10**12)


class TestFaults:
    """An error inside redaction."""

    def test_metadata_only(self, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is stored of the payload, and it is counted."""

        def broken(self: Treatment, text: str) -> str:
            raise RuntimeError(text)

        monkeypatch.setattr(Treatment, "text", broken)
        redactor = Redactor(policy, Pseudonyms(KEY))
        assert redactor.redact_json(b'{"status": "sent to bob@example.org", "seq": 1}') is None
        assert 1 == redactor.counts["failed"]

    @pytest.mark.parametrize("seed", range(20))
    def test_at_any_call(self, policy: Policy, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
        """Wherever it breaks, the result is whole or nothing."""
        rng = random.Random(seed)
        payload = {"status": "a b", "userId": "u", "lat": 1.25, "result": [{"value": "c d", "age": 47}]}
        expected = Redactor(policy, Pseudonyms(KEY)).redact(payload)
        name = rng.choice(["value", "decision", "coarse", "text", "_object", "_array", "start"])
        real, left = getattr(Treatment, name), rng.randrange(4)

        def sometimes(*arguments: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise RuntimeError("broken")
            return real(*arguments)

        monkeypatch.setattr(Treatment, name, sometimes)
        found = Redactor(policy, Pseudonyms(KEY)).redact_json(json.dumps(payload))
        assert found in (None, expected)
