"""Shapes of payloads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.privacy.shape import NODE_LIMIT, is_field_name, schema_hash, shape_key, shape_paths

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


class TestShapePaths:
    """`shape_paths`."""

    def test_types_and_paths(self) -> None:
        """Nested objects have dotted paths; elements of an array count together."""
        payload = {"b": 1, "a": {"x": None, "y": True}, "c": [1, 2.5, "s", {"z": []}]}
        expected = (
            *("a.x:null", "a.y:boolean", "a:object", "b:number"),
            *("c:array", "c[].z:array", "c[]:number", "c[]:object", "c[]:string"),
        )
        assert expected == shape_paths(payload)

    def test_roots(self) -> None:
        """Arrays and scalars have shapes as well."""
        assert [shape_paths(root) for root in ([1], "x", {})] == [("$:array", "[]:number"), ("$:string",), ()]

    def test_int_and_float_are_one_type(self) -> None:
        """A number that happens to be whole is no drift."""
        assert shape_paths({"a": 1}) == shape_paths({"a": 1.5})

    def test_keys_that_are_data_do_not_show(self) -> None:
        """Addresses, ids and sentences used as keys are all one key."""
        maps = [{"bob@example.com": 1}, {"user_12345": 1}, {"Bob Smith": 1}, {"9f86d081884c7d65": 1}]
        assert [shape_paths(payload) for payload in maps] == [("‹key›:number",)] * 4

    def test_deep_and_wide_payloads_are_bounded(self) -> None:
        """Neither depth nor width exhausts anything."""
        deep: object = 1
        for _ in range(5000):
            deep = [deep]
        assert len(shape_paths(deep)) <= 20
        assert len(shape_paths({f"k{n % 7}_{n:x}": n for n in range(10_000)})) <= NODE_LIMIT


class TestSchemaHash:
    """`schema_hash`."""

    def test_order_of_keys_does_not_matter(self) -> None:
        """Two orders of the same keys are one schema."""
        first, second = shape_paths({"a": 1, "b": "x"}), shape_paths({"b": "y", "a": 2})
        assert schema_hash(first) == schema_hash(second)

    def test_type_matters(self) -> None:
        """A number that becomes a text is another schema."""
        assert schema_hash(shape_paths({"a": 1})) != schema_hash(shape_paths({"a": "1"}))

    def test_is_stable(self) -> None:
        """Hashes of different machines and days can be compared."""
        assert schema_hash(("a:number", "b:string")) == "4f897636eb108efe"


class TestShapeKey:
    """`shape_key`."""

    @given(JSON, JSON)
    def test_equal_keys_mean_equal_paths(self, first: object, second: object) -> None:
        """Payloads that share a plan share a schema."""
        if shape_key(first) == shape_key(second):
            assert shape_paths(first) == shape_paths(second)


class TestIsFieldName:
    """`is_field_name`."""

    def test_examples(self) -> None:
        """Names are names, data is data."""
        names = ["status", "p95", "sha256", "x-y.z", "_a"]
        data = ["", "9a", "a b", "a@b.co", "device_0042", "é", "a" * 65, 5, "deadbeefdeadbeef"]
        assert [is_field_name(key) for key in names + data] == [True] * 5 + [False] * 9
