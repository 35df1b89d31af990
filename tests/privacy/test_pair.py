"""Objects that are a name and a value."""

from __future__ import annotations

from typing import Any

import pytest

from streamlab_plugin.privacy.pair import find_pair
from streamlab_plugin.privacy.plan import Redactor
from streamlab_plugin.privacy.policy import Policy
from streamlab_plugin.privacy.pseudonym import Pseudonyms

KEY = bytes(range(32))
BOB = "Bob Miller"


class TestFindPair:
    """`find_pair`."""

    @pytest.mark.parametrize(
        ("keys", "expected"),
        [
            (["name", "value"], ("name", True)),
            (["Field-Name", "Val"], ("Field-Name", True)),
            (["type", "value", "ts"], ("type", False)),
            (["type", "key", "value"], ("key", True)),
            (["name", "size"], None),
            ([], None),
        ],
    )
    def test_keys(self, keys: list[str], expected: tuple[str, bool] | None) -> None:
        """A key for a name and one for a value make a pair; a type is a name only if it is a listed one."""
        pair = find_pair(keys)
        assert expected == (None if pair is None else (pair.name, pair.is_certain))


class TestRedaction:
    """Pairs in payloads."""

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"key": "email", "value": BOB}, None),
            ({"field": "nickname", "value": BOB}, None),
            ({"attribute": 7, "value": BOB}, None),
            ({"type": "Last-Name", "value": BOB}, None),
            ({"type": "reading", "value": 21.5}, 21.5),
            ({"key": "temperature", "value": 21.5}, 21.5),
            ({"key": "latitude", "value": 37.774929}, 37.8),
            ({"key": "user_id", "value": "42"}, Pseudonyms(KEY).of("42")),
        ],
    )
    def test_value_is_treated_as_the_field_it_names(
        self, packaged: Policy, fields: dict[str, Any], expected: object
    ) -> None:
        """At the top, inside objects and lists, and when the shape is known already."""
        redactor = Redactor(packaged, Pseudonyms(KEY))
        for payload in (fields, {"data": [fields, {}, {"in": fields}]}):
            for _time in range(2):
                found = dict(zip(*redactor.redact(payload)[:2], strict=True))
                assert expected == _value(found)


def _value(found: Any) -> object:
    """Return the one value under a key called ``value``, and see that all of them are equal."""
    if isinstance(found, dict):
        inner = [found["value"]] if "value" in found else []
        inner += [one for one in map(_value, found.values()) if one is not None]
    elif isinstance(found, list):
        inner = [one for one in map(_value, found) if one is not None]
    else:
        inner = []
    assert all(one == inner[0] for one in inner)
    return inner[0] if inner else None
