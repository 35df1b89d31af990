"""What faults make of payloads."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.scenario.fault_form import parse_fault
from streamlab_plugin.scenario.mutation import mutated

BODY = {"user": {"name": "ä", "ids": [1, 2]}, "rooms": [{"no": 1}, {"no": 2}], "ok": True}


def made_of(data: bytes, kind: str, seed: int = 1, **more: Any) -> bytes | None:
    """Return what a fault makes of *data*."""
    return mutated(parse_fault({"id": "f", "kind": kind, "probability": 1, **more}), Random(seed), data)


def drifted(*changes: dict[str, Any]) -> Any:
    """Return the body after a drift, None where nothing changed."""
    changed = made_of(json.dumps(BODY).encode(), "schema_drift", changes=changes)
    return None if changed is None else json.loads(changed)


def removed(path: str) -> dict[str, Any]:
    """Return a change as plain values."""
    return {"change": "remove", "path": path}


class TestMutated:
    @given(st.binary(min_size=1, max_size=300), st.floats(0, 0.99))
    def test_truncated(self, data: bytes, share: float) -> None:
        """A beginning is left that is shorter than the whole."""
        changed = made_of(data, "truncate", keep_ratio=share)
        assert changed is not None
        assert data.startswith(changed)
        assert int(len(data) * share) == len(changed) < len(data)

    @given(st.binary(min_size=1, max_size=300), st.integers(1, 20), st.integers())
    def test_corrupted(self, data: bytes, flips: int, seed: int) -> None:
        """As many bytes as was said differ, in no highest bit."""
        changed = made_of(data, "corrupt", seed, byte_count=flips)
        assert changed is not None
        differences = [a ^ b for a, b in zip(data, changed, strict=True) if a != b]
        assert min(flips, len(data)) == len(differences)
        assert max(differences) < 128

    def test_malformed(self) -> None:
        """What is sent instead is no JSON."""
        changed = made_of(b'{"a": 1}', "malformed")
        assert changed is not None
        with pytest.raises(json.JSONDecodeError):
            json.loads(changed)

    @pytest.mark.parametrize("kind", ["truncate", "corrupt", "malformed"])
    def test_nothing_to_change(self, kind: str) -> None:
        """An empty payload cannot be struck."""
        assert made_of(b"", kind) is None

    def test_other_kinds(self) -> None:
        """A fault that is not about payloads leaves them as they are."""
        assert b"x" == made_of(b"x", "duplicate")


class TestDrift:
    def test_rename(self) -> None:
        """The field has another name in the same place."""
        changed = drifted({"change": "rename", "path": "user.name", "to": "label"})
        assert {"label": "ä", "ids": [1, 2]} == changed["user"]
        assert ["label", "ids"] == list(changed["user"])

    def test_remove_in_a_list(self) -> None:
        """A number in the path is a place in a list."""
        assert [{"no": 1}, {}] == drifted(removed("rooms.1.no"))["rooms"]

    def test_add(self) -> None:
        """A field is added, or has another value."""
        assert "x" == drifted({"change": "add", "path": "user.extra", "value": "x"})["user"]["extra"]
        assert drifted({"change": "add", "path": "ok", "value": False})["ok"] is False

    def test_several(self) -> None:
        """Changes are made one after the other; those that cannot be made do not keep the others back."""
        way = [{"change": "rename", "path": "user", "to": "who"}, removed("missing"), removed("who.name")]
        changed = drifted(*way)
        assert {"ids": [1, 2]} == changed["who"]
        assert "user" not in changed

    def test_by_default(self) -> None:
        """Without changes a field is added."""
        changed = made_of(b"{}", "schema_drift")
        assert b'{"unexpected_field":"drift"}' == changed

    @pytest.mark.parametrize(
        ("path", "to", "value"),
        [
            ("ok", "string", "true"), ("ok", "number", 0), ("ok", "null", None), ("ok", "list", [True]),
            ("ok", "object", {"value": True}), ("user.name", "boolean", True),
        ],
    )  # fmt: skip
    def test_retype(self, path: str, to: str, value: Any) -> None:
        """The value has another type."""
        found = drifted({"change": "retype", "path": path, "to": to})
        for part in path.split("."):
            found = found[part]
        assert (value, type(value)) == (found, type(found))

    @pytest.mark.parametrize("path", ["missing", "user.name.x", "rooms.2.no", "rooms.x.no", "rooms.0"])
    def test_no_such_field(self, path: str) -> None:
        """A payload without the field is not struck."""
        assert drifted(removed(path)) is None

    @pytest.mark.parametrize("data", [b"", b"no", b"\xff", b"[" * 5_000, b"5", b'{"b": 1}'])
    def test_no_json_object(self, data: bytes) -> None:
        """Neither is one that is no JSON, or no object."""
        assert made_of(data, "schema_drift", changes=[removed("a")]) is None

    @given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
    def test_the_rest_is_untouched(self, body: dict[str, Any]) -> None:
        """Whatever else the payload holds."""
        added = {"change": "add", "path": "new", "value": 1}
        changed = made_of(json.dumps(body).encode(), "schema_drift", changes=[added])
        if body.get("new") != 1:
            assert changed is not None
            assert {**body, "new": 1} == json.loads(changed)
