"""Redaction of payloads."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.privacy.applier import Redacted
from streamlab_plugin.privacy.plan import PLAN_LIMIT, Redactor
from streamlab_plugin.privacy.policy import Action, Policy, parse_policy
from streamlab_plugin.privacy.pseudonym import Pseudonyms

CANARY = "Zqcanary"
KEY = bytes(range(32))  # that of the redactor fixture


def stored(redacted: Redacted | None) -> dict[str, Any]:
    """Return what is stored as one object."""
    assert redacted is not None
    return dict(zip(redacted.keys, redacted.values, strict=True))


def leaf_names(value: object, name: str = "") -> set[str]:
    """Return the names of the fields in *value* that hold scalars."""
    if isinstance(value, dict):
        return set().union(*(leaf_names(inner, key) for key, inner in value.items()))
    if isinstance(value, list):
        return set().union(*(leaf_names(inner, name) for inner in value))
    return {name}


class TestLevels:
    """The four levels of the packaged policy."""

    def test_keep(self, redactor: Redactor) -> None:
        """S002-108: Quality, times, types, durations, performance are stored unchanged, types too."""
        payload = {
            "duration_ms": 12,
            "event_type": "sync",
            "latency_ms": 12.5,
            "ok": True,
            "platform": "android",
            "quality_score": 0.93,
            "retry_after": None,
            "ts": "2026-11-21T07:40:00.123Z",
        }
        redacted = redactor.redact(payload)
        assert payload == stored(redacted)
        assert [type(value) for value in payload.values()] == [type(value) for value in redacted.values]

    def test_hash(self, redactor: Redactor) -> None:
        """S002-109: Ids in all spellings have one pseudonym; 42 and "42" are one id; null stays null."""
        expected = Pseudonyms(KEY).of("42")
        payload = {"userId": "42", "DEVICE-ID": 42, "session.id": 42.0, "uid": "42", "trace_id": None}
        assert {
            "userId": expected,
            "DEVICE-ID": expected,
            "session.id": expected,
            "uid": expected,
            "trace_id": None,
        } == stored(redactor.redact(payload))

    def test_bucket(self, redactor: Redactor) -> None:
        """S002-69, S002-110: Coordinates are rounded as numbers, texts, in lists and nested."""
        payload = {
            "lat": 37.774929,
            "Longitude": "-122.419416",
            "lng": [37.774929, "37.774929"],
            "location": {"lat": 37.774929, "points": [{"lon": -0.01}]},
        }
        assert stored(redactor.redact(payload)) == {
            "Longitude": "-122.4",
            "lat": 37.8,
            "lng": [37.8, "37.8"],
            "location": {"lat": 37.8, "points": [{"lon": 0.0}]},
        }

    @pytest.mark.parametrize(
        "value", [377749290, "N37°46'29", "37.774929,-122.4", True, 180.5, "nan", "1e999"]
    )
    def test_what_is_no_coordinate_is_dropped(self, redactor: Redactor, value: object) -> None:
        """A location in another form would be precise."""
        assert stored(redactor.redact({"lat": value})) == {}

    def test_wider_buckets(self) -> None:
        """The size of buckets is the policy's."""
        redactor = Redactor(parse_policy({"bucket": ["lat"], "bucket_degrees": 0.3}), Pseudonyms(KEY))
        assert stored(redactor.redact({"lat": 37.774929})) == {"lat": 37.8}

    @pytest.mark.parametrize(
        "name",
        [
            "password",
            "Authorization",
            "voice_sample",
            "audioData",
            "image",
            "message",
            "comment",
            "first_name",
            "email",
            "phoneNumber",
            "home-address",
            "date_of_birth",
            "SSN",
            "iban",
            "card_number",
            "apiKey",
        ],
    )
    def test_remove(self, redactor: Redactor, name: str) -> None:
        """S002-111: What is always removed goes with all that is in it, inside hashed and kept fields too."""
        payload = {name: {"status": CANARY}, "user_id": {name: CANARY, "x": 1}, "value": [{name: CANARY}]}
        assert {"user_id": {"x": Pseudonyms(KEY).of("1")}} == stored(redactor.redact(payload))

    def test_policy_of_ones_own(self) -> None:
        """A user's lists decide, and nothing else is kept."""
        policy = parse_policy({"keep": ["plan"], "hash": ["order_no"], "remove": ["internal"]})
        payload = {"plan": "pro", "orderNo": 7, "internal": {"plan": "x"}, "type": "t", "in": {"plan": 1}}
        expected = {"in": {"plan": 1}, "orderNo": Pseudonyms(KEY).of("7"), "plan": "pro"}
        assert expected == stored(Redactor(policy, Pseudonyms(KEY)).redact(payload))


class TestNesting:
    """Objects and arrays."""

    def test_kept_container_does_not_keep_unknown_keys(self, redactor: Redactor) -> None:
        """Inner keys are judged one by one."""
        payload = {"result": {"score": 1, "diary": "x", "more": {"nick": "y", "fps": 30}}}
        assert stored(redactor.redact(payload)) == {"result": {"score": 1, "more": {"fps": 30}}}

    def test_scalars_of_arrays(self, redactor: Redactor) -> None:
        """Those of a kept array stay after scanning; those of an unlisted one go."""
        payload = {"value": [1, "ok", "bob@example.com", [2.5]], "readings": [1, "Bob", {"ts": 1}]}
        assert stored(redactor.redact(payload)) == {
            "readings": [{"ts": 1}],
            "value": [1, "ok", "[email]", [2.5]],
        }

    def test_hashed_container(self, redactor: Redactor) -> None:
        """Every scalar in it is hashed."""
        one, two = map(Pseudonyms(KEY).of, ("1", "True"))
        assert {"user_id": {"a": one, "b": [two]}} == stored(
            redactor.redact({"user_id": {"a": 1, "b": [True]}})
        )

    def test_key_that_is_data_goes_with_its_value(self, redactor: Redactor) -> None:
        """Maps from addresses, ids or names leave nothing."""
        inner = {"status": "ok"}
        payload = {"a@b.co": inner, "data": {"Bob Smith": inner, "u_12345": inner, "seq": 1}}
        assert stored(redactor.redact(payload)) == {"data": {"seq": 1}}

    def test_array_and_scalar_payloads(self, redactor: Redactor) -> None:
        """An array is stored under one key, a bare scalar not at all."""
        redacted = redactor.redact([{"seq": 1, "name": "Bob"}, 7])
        assert redacted[:2] == (("[]",), [[{"seq": 1}]])
        assert [redactor.redact(payload)[:2] for payload in (CANARY, 7, None)] == [((), [])] * 3
        assert redactor.redact(["Bob"])[:2] == ((), [])

    def test_depth(self, redactor: Redactor) -> None:
        """Below 16 levels everything is dropped."""
        payload: object = {"seq": CANARY}
        for _ in range(40):
            payload = {"data": payload}
        assert stored(redactor.redact(payload)) == {}

    def test_width(self, redactor: Redactor) -> None:
        """After 2,000 nodes the rest is dropped."""
        kept = stored(redactor.redact({"value": list(range(5000))}))["value"]
        assert list(range(len(kept))) == kept
        assert 1900 < len(kept) <= 2000

    def test_payload_is_not_changed(self, redactor: Redactor) -> None:
        """The caller's object stays as it was."""
        payload = {"user_id": 1, "data": {"lat": 1.234, "name": "x"}, "value": [1.5]}
        copy = json.loads(json.dumps(payload))
        redactor.redact(payload)
        assert copy == payload


class TestValues:
    """Kept values."""

    def test_strings_are_scanned(self, redactor: Redactor) -> None:
        """What is personal in a kept string is replaced, first and later times."""
        for _ in range(2):
            assert stored(redactor.redact({"status": "sent to a@b.co"})) == {"status": "sent to [email]"}

    def test_long_strings_are_cut(self, redactor: Redactor) -> None:
        """256 characters are enough."""
        value = stored(redactor.redact({"status": "ab " * 200}))["status"]
        assert ("ab " * 200)[:255] + "…" == value

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (math.nan, None),
            (math.inf, None),
            (-math.inf, None),
            (2**63 - 1, 2**63 - 1),
            (0, 0),
            (-0.5, -0.5),
            (1763710000123, 1763710000123),
            (1e300, 1e300),
            (4111111111111111, "[card]"),
            (4111111111111111.0, "[card]"),
        ],
    )
    def test_numbers(self, redactor: Redactor, value: float, expected: object) -> None:
        """Zero and large numbers stay, what JSON cannot say becomes null, cards are found in digits too."""
        assert {"value": expected} == stored(redactor.redact({"value": value}))
        assert {"value": [expected]} == stored(redactor.redact({"value": [value]}))

    def test_integers_beyond_64_bit_are_dropped(self, redactor: Redactor) -> None:
        """No database column holds them."""
        assert stored(redactor.redact({"seq": 1, "value": 2**63, "total": -(2**70)})) == {"seq": 1}


class TestPlans:
    """One plan per shape."""

    def test_order_of_keys(self, redactor: Redactor) -> None:
        """They stay in the order in which they came first: two orders are one shape."""
        first = redactor.redact({"type": "a", "seq": 1})
        assert ("type", "seq") == first.keys
        second = redactor.redact({"seq": 1, "type": "a"})
        assert first == second

    def test_hash_is_of_the_payload_before_redaction(self, redactor: Redactor) -> None:
        """A new field that is dropped is drift nevertheless, and named."""
        before, after = redactor.redact({"seq": 1}), redactor.redact({"seq": 1, "diary": "x"})
        assert before.values == after.values
        assert before.schema_hash != after.schema_hash
        assert {"diary:string"} == set(after.paths) - set(before.paths)

    @pytest.mark.parametrize(
        "payload", [{"seq": 1, "x": {}}, {"seq": 1, "x": {"y": [{"ts": 1}]}}, {}, {"name": 1}]
    )
    def test_second_time_as_first(self, redactor: Redactor, payload: dict[str, object]) -> None:
        """A cached plan does what compiling it did, and counts as much."""
        first = redactor.redact(payload)
        counts = dict(redactor.counts)
        assert first == redactor.redact(payload)
        assert {name: 2 * count for name, count in counts.items()} == redactor.counts

    def test_more_shapes_than_are_cached(self, packaged: Policy) -> None:
        """Beyond the limit nothing more is cached; everything works and is counted as before."""
        redactor = Redactor(packaged, Pseudonyms(KEY))
        for number in range(PLAN_LIMIT + 50):
            payload = {"seq": number, f"x{number:x}y": CANARY, "user_id": "u"}
            assert {"seq": number, "user_id": Pseudonyms(KEY).of("u")} == stored(redactor.redact(payload))
        assert sum(len(section._plans) for section in redactor._sections.values()) == PLAN_LIMIT
        total = PLAN_LIMIT + 50
        assert {"kept": total, "dropped": total, "hashed": total} == {
            name: count for name, count in redactor.counts.items() if count
        }

    def test_counts(self, redactor: Redactor) -> None:
        """Every field is counted once, by what happened to it."""
        payload = {
            "type": "a@b.co",
            "seq": 2**64,
            "name": {"x": 1},
            "diary": "x",
            "lat": 1.2,
            "lon": 999,
            "user_id": 1,
            "data": {"ts": 1, "email": "x"},
        }
        redactor.redact(payload)
        expected = {
            "kept": 2,
            "dropped": 5,
            "hashed": 1,
            "bucketed": 1,
            "scrubbed": 1,
            "failed": 0,
            "found_email": 1,
        }
        assert expected == redactor.counts


class TestRedactJson:
    """`Redactor.redact_json`."""

    @pytest.mark.parametrize("raw", [b'{"seq": 1, "name": "Bob"}', '{"seq": 1, "name": "Bob"}'])
    def test_bytes_and_text(self, redactor: Redactor, raw: bytes | str) -> None:
        """JSON is read as bytes and as text."""
        assert stored(redactor.redact_json(raw)) == {"seq": 1}

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"{",
            b'{"seq": NaN}',
            b'{"seq": 1e999}',
            b'"\xff\xfe"',
            b'{"seq": "\\ud800"}',
            b"[" * 200000,
            b"\x00",
            "\ud800",
            b'{"seq": 1} x',
            b'{"a":' * 50000 + b"1" + b"}" * 50000,
        ],
    )
    def test_fails_closed(self, redactor: Redactor, raw: bytes | str) -> None:
        """What cannot be read leaves nothing and is counted."""
        assert redactor.redact_json(raw) is None
        assert redactor.counts["failed"] == 1

    def test_duplicate_keys(self, redactor: Redactor) -> None:
        """Of a key given twice the last value counts; neither is stored unjudged."""
        raw = b'{"seq": 1, "seq": 2, "name": "Bob", "name": "Eve", "data": {"ts": 1}, "data": "Bob"}'
        assert stored(redactor.redact_json(raw)) == {"seq": 2}


NAMES = ["type", "seq", "value", "lat", "user_id", "name", "password", "data", "items", "Bob Smith", "result"]


class TestProperties:
    """What holds for any payload."""

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=12), inner, max_size=5)
            ),
            max_leaves=25,
        )
    )
    def test_only_listed_fields_hold_values(self, packaged: Policy, payload: object) -> None:
        """S002-67: The names of stored fields are a subset of the allow-list, and the result is JSON."""
        redactor = Redactor(packaged, Pseudonyms(KEY))
        for _ in range(2):
            redacted = redactor.redact(payload)
            value = dict(zip(redacted.keys, redacted.values, strict=True))
            listed = {Action.KEEP, Action.HASH, Action.BUCKET}
            hashed_or_kept = {name for name in leaf_names(value) if packaged.action(name) not in listed}
            assert hashed_or_kept <= _inside_hash_or_bucket(value, packaged)
            json.dumps(value, allow_nan=False)

    @given(
        st.recursive(
            st.sampled_from([CANARY, f"{CANARY}@example.com", f"Bearer {CANARY}1", 1, None]),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(["name", "voice", "diary", "data", "user_id", "lat", f"{CANARY} Smith"]),
                    inner,
                    max_size=5,
                )
                | st.dictionaries(
                    st.sampled_from(["status", "type", "value"]),
                    st.sampled_from([f"to {CANARY}@example.com", f"token={CANARY}", f"Bearer {CANARY}1", 1]),
                )
            ),
            max_leaves=25,
        )
    )
    def test_no_canary_survives(self, packaged: Policy, payload: object) -> None:
        """Personal values are nowhere in the result, wherever they were."""
        redactor = Redactor(packaged, Pseudonyms(KEY))
        assert CANARY not in repr(redactor.redact(payload))
        assert CANARY not in repr(redactor.redact_json(json.dumps(payload)))


def _inside_hash_or_bucket(value: object, policy: Policy) -> set[str]:
    """Return the names of fields inside hashed and bucketed containers: they hold no plain value."""
    names: set[str] = set()
    if isinstance(value, dict):
        for name, inner in value.items():
            strict = policy.action(name) in (Action.HASH, Action.BUCKET)
            names |= leaf_names(inner) if strict else _inside_hash_or_bucket(inner, policy)
    elif isinstance(value, list):
        for inner in value:
            names |= _inside_hash_or_bucket(inner, policy)
    return names
