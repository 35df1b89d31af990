"""What a record trips, in the plain form and in the compiled one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlab_plugin.core.record import OUTCOMES
from streamlab_plugin.detect.condition import NUMBER_FIELDS, TEXT_FIELDS, Comparison
from streamlab_plugin.detect.judge import NONE, compile_rules, describe, trips
from streamlab_plugin.detect.rule import Rule, parse_rules

FIELDS = (
    "protocol",
    "operation",
    "endpoint",
    "direction",
    "user_class",
    "latency_ms",
    "wait_ms",
    "size_bytes",
    "outcome",
    "status",
    "error_type",
    "error_message",
    "payload",
)


def record(**changes: Any) -> dict[str, Any]:
    """Return the judged fields of a good, fast HTTP request with *changes*."""
    values = {
        "protocol": "http",
        "operation": "GET",
        "endpoint": "/api/items",
        "direction": "out",
        "user_class": "Shopper",
        "latency_ms": 12.5,
        "wait_ms": None,
        "size_bytes": 300,
        "outcome": "success",
        "status": 200,
        "error_type": None,
        "error_message": None,
        "payload": None,
    }
    assert changes.keys() <= values.keys()
    return {**values, **changes}


def rule(condition: dict[str, Any], name: str = "r") -> Rule:
    """Return a rule with a condition as YAML would give it."""
    entry = {
        "name": name,
        "description": "d",
        "condition": condition,
        "severity": "info",
        "anomaly_type": "t",
    }
    return parse_rules({"rules": [entry]}).rules[0]


def fires(condition: dict[str, Any], **changes: Any) -> bool:
    """Whether a record trips a condition; asserts that both forms agree."""
    one, values = rule(condition), record(**changes)
    plain = trips(one, values)
    expected = (0,) if plain else ()
    assert expected == compile_rules([one])(*(values[field] for field in FIELDS))
    return plain


class TestOperators:
    """Each operator, at its edge and without a value."""

    @pytest.mark.parametrize(
        ("operator", "below", "equal", "above"),
        [
            ("gt", False, False, True),
            ("gte", False, True, True),
            ("lt", True, False, False),
            ("lte", True, True, False),
            ("eq", False, True, False),
            ("ne", True, False, True),
        ],
    )
    def test_numbers(self, operator: str, below: bool, equal: bool, above: bool) -> None:
        """A number is compared exactly."""
        condition = {"latency_ms": {operator: 100}}
        assert (below, equal, above) == tuple(
            fires(condition, latency_ms=value) for value in (99.999, 100.0, 100.001)
        )

    def test_trap_zero_is_a_value(self) -> None:
        """0 and 0.0 are measured values, not missing ones."""
        assert fires({"latency_ms": {"lt": 5}}, latency_ms=0.0)
        assert fires({"latency_ms": {"gte": 0}}, latency_ms=0)
        assert fires({"status": {"eq": 0}}, status=0)
        assert fires({"payload.queue": {"lte": 0}}, payload={"queue": 0})

    def test_false_is_a_value(self) -> None:
        """False in a payload is a value of its own, neither missing nor 0."""
        assert fires({"payload.ok": {"eq": False}}, payload={"ok": False})
        assert not fires({"payload.ok": {"eq": 0}}, payload={"ok": False})
        assert not fires({"payload.ok": {"eq": False}}, payload={"ok": 0})
        assert not fires({"payload.ok": {"lt": 1}}, payload={"ok": False})

    @pytest.mark.parametrize(
        "comparison",
        [{"gt": 1}, {"lte": 1}, {"eq": 1}, {"ne": 1}, {"in": [1]}],
    )
    def test_missing_number(self, comparison: dict[str, Any]) -> None:
        """A missing number passes nothing, not even `ne`."""
        assert not fires({"status": comparison}, status=None)

    @pytest.mark.parametrize(
        "comparison", [{"eq": "a"}, {"ne": "a"}, {"in": ["a"]}, {"contains": "a"}, {"regex": ".*"}]
    )
    def test_missing_text(self, comparison: dict[str, Any]) -> None:
        """A missing text passes nothing, not even `ne`."""
        assert not fires({"error_message": comparison})
        assert not fires({"payload.a.b": comparison}, payload={"a": {}})

    def test_trap_statuses_in_a_list(self) -> None:
        """`in: [401, 403]` matches either status."""
        condition = {"status": {"in": [401, 403]}}
        assert [True, False, True] == [fires(condition, status=status) for status in (401, 402, 403)]

    @pytest.mark.parametrize("needle", ["ANR", "anr", "OutOfMemoryError", ["x", "OUTOFMEMORY"]])
    def test_trap_upper_case_needles(self, needle: object) -> None:
        """`contains` disregards case on both sides, also within a list."""
        message = "ANR in main: java.lang.OutOfMemoryError"
        for text in (message, message.lower(), message.upper()):
            assert fires({"error_message": {"contains": needle}}, error_message=text)

    def test_texts_disregard_case(self) -> None:
        """`eq`, `ne` and `in` on texts disregard case on both sides."""
        assert fires({"operation": {"eq": "get"}})
        assert fires({"endpoint": {"in": ["/x", "/API/items"]}})
        assert not fires({"user_class": {"ne": "SHOPPER"}})

    def test_regex(self) -> None:
        """`regex` searches anywhere and minds the case unless told otherwise."""
        assert fires({"endpoint": {"regex": "items$"}})
        assert not fires({"endpoint": {"regex": "ITEMS"}})
        assert fires({"endpoint": {"regex": "(?i)ITEMS"}})

    def test_all_must_hold(self) -> None:
        """Fields and operators of one condition are all required."""
        condition = {"latency_ms": {"gt": 10, "lt": 20}, "status": {"eq": 200}}
        assert fires(condition)
        assert not fires(condition, latency_ms=20)
        assert not fires(condition, status=201)

    def test_payload(self) -> None:
        """A payload value is found by its path, nested or as a key that holds the dots."""
        condition = {"payload.sensor.state": {"eq": "hot"}}
        assert fires(condition, payload={"sensor": {"state": "HOT"}})
        assert fires(condition, payload={"sensor.state": "hot"})
        assert not fires(condition, payload={"sensor": "hot"})

    @pytest.mark.parametrize("value", [True, "7", [7], {"a": 7}])
    def test_payload_of_another_type(self, value: object) -> None:
        """Where a rule wants a number, another type is no match and no error."""
        assert not fires({"payload.n": {"gt": 1}}, payload={"n": value})
        assert fires({"payload.n": {"ne": 7}}, payload={"n": value})


class TestCompileRules:
    """The one function behind all rules."""

    def test_nothing(self) -> None:
        """No rules, or none that match, give the one shared empty tuple."""
        values = tuple(record().values())
        assert compile_rules([])(*values) is NONE
        assert compile_rules([rule({"latency_ms": {"gt": 100}})])(*values) is NONE

    def test_order(self) -> None:
        """The indexes are ascending, whatever the fields."""
        conditions: list[dict[str, Any]] = [
            {"endpoint": {"contains": "items"}},
            {"error_message": {"contains": "boom"}},
            {"latency_ms": {"gt": 1}},
            {"protocol": {"eq": "http"}},
            {"status": {"eq": 500}},
        ]
        judge = compile_rules([rule(condition) for condition in conditions])
        assert (0, 1, 2, 3, 4) == judge(*record(error_message="Boom", status=500).values())

    @pytest.mark.parametrize("protocol", ["http", "websocket", "mqtt", "other"])
    def test_interrupted_requests_trip_nothing(self, protocol: str) -> None:
        """A request that Locust cut off says nothing about the target."""
        rules = [rule({"latency_ms": {"gte": 0}}), rule({"protocol": {"eq": protocol}})]
        values = record(protocol=protocol, outcome="interrupted", latency_ms=9000.0)
        assert () == compile_rules(rules)(*values.values())
        assert [False, False] == [trips(one, values) for one in rules]

    def test_values_never_become_source(self) -> None:
        """Quotes and code in a rule's texts stay text."""
        text = "'); raise SystemExit('"
        assert fires({"error_message": {"eq": text}, f"payload.{text}": {"ne": 1}}, error_message=text,
                     payload={text: 2})  # fmt: skip

    def test_many_operations(self) -> None:
        """Operations made up by a test are judged right, also beyond what is remembered."""
        judge = compile_rules([rule({"operation": {"eq": "op7"}})])
        found = [judge(*record(operation=f"op{number}").values()) for number in [*range(1500), 7]]
        assert [7, 1500] == [number for number, hits in enumerate(found) if hits]

    texts = st.sampled_from(
        ["", "http", "HTTP", "mqtt", "success", "error", "timeout", "Boom ß", "out", "a.b"]
    )
    numbers = st.sampled_from([0, 0.0, 1, 1.5, -2, 200, 401, 512.25])
    scalars = st.one_of(texts, numbers, st.booleans())

    @staticmethod
    @st.composite
    def comparisons(draw: st.DrawFn) -> Comparison:
        """Draw a comparison that `parse_rules` would accept (texts of protocol and outcome apart)."""
        field = draw(st.sampled_from([*TEXT_FIELDS, *NUMBER_FIELDS, "payload.a", "payload.b.c"]))
        operators = ["eq", "ne", "in"]
        values: st.SearchStrategy[Any] = TestCompileRules.scalars
        if field in NUMBER_FIELDS:
            values = TestCompileRules.numbers
        elif field in TEXT_FIELDS:
            values = TestCompileRules.texts
        if field not in TEXT_FIELDS:
            operators += ["gt", "gte", "lt", "lte"]
        if field not in NUMBER_FIELDS:
            operators += ["contains", "regex"]
        operator = draw(st.sampled_from(operators))
        if operator in ("gt", "gte", "lt", "lte"):
            return Comparison(field, operator, draw(TestCompileRules.numbers))
        if operator == "in":
            return Comparison(field, operator, tuple(draw(st.lists(values, min_size=1, max_size=3))))
        if operator == "contains":
            needles = TestCompileRules.texts.filter(bool)
            return Comparison(field, operator, tuple(draw(st.lists(needles, min_size=1, max_size=3))))
        if operator == "regex":
            return Comparison(field, operator, draw(st.sampled_from(["h", "^a", "(?i)OOM", "[0-9]+", ""])))
        return Comparison(field, operator, draw(values))

    @staticmethod
    def records() -> st.SearchStrategy[dict[str, Any]]:
        """Draw the judged fields of a record."""
        text = st.one_of(st.none(), TestCompileRules.texts)
        number = st.one_of(st.none(), TestCompileRules.numbers)
        anything = st.one_of(
            st.none(), TestCompileRules.scalars, st.lists(TestCompileRules.scalars, max_size=1)
        )
        payload = st.fixed_dictionaries(
            {}, optional={"a": anything, "b": st.dictionaries(st.just("c"), anything), "b.c": anything}
        )
        return st.fixed_dictionaries(
            {
                "protocol": TestCompileRules.texts,
                "operation": TestCompileRules.texts,
                "endpoint": TestCompileRules.texts,
                "direction": st.sampled_from(["out", "in"]),
                "user_class": TestCompileRules.texts,
                "latency_ms": number,
                "wait_ms": number,
                "size_bytes": TestCompileRules.numbers,
                "outcome": st.sampled_from(OUTCOMES),
                "status": number,
                "error_type": text,
                "error_message": text,
                "payload": st.one_of(st.none(), payload),
            }
        )

    @given(data=st.data())
    @settings(max_examples=150, deadline=None)
    def test_compiled_equals_interpreted(self, data: st.DataObject) -> None:
        """For any rules and records, the compiled function trips what the plain form trips."""
        conditions = data.draw(st.lists(st.lists(self.comparisons(), min_size=1, max_size=3), max_size=6))
        rules = [Rule("r", "d", "info", "t", (), (), tuple(condition)) for condition in conditions]
        judge = compile_rules(rules)
        for values in data.draw(st.lists(self.records(), min_size=1, max_size=5)):
            expected = tuple(index for index, one in enumerate(rules) if trips(one, values))
            assert expected == judge(*(values[field] for field in FIELDS))


class TestDescribe:
    """What is said about a finding."""

    @pytest.mark.parametrize(
        ("expected", "condition", "changes"),
        [
            (
                "latency_ms 512.3 > 200",
                {"protocol": {"eq": "http"}, "latency_ms": {"gt": 200}, "outcome": {"ne": "timeout"}},
                {"latency_ms": 512.34},
            ),
            (
                "latency_ms 512.3 > 200 and <= 5000",
                {"latency_ms": {"gt": 200, "lte": 5000}},
                {"latency_ms": 512.34},
            ),
            ("latency_ms 0 < 5", {"latency_ms": {"lt": 5}}, {"latency_ms": 0.0}),
            ("status 429 in [429]", {"status": {"in": [429]}}, {"status": 429}),
            ("status 503 >= 500 and < 600", {"status": {"gte": 500, "lt": 600}}, {"status": 503}),
            (
                'error_message contains "Connection Refused"',
                {"error_message": {"contains": ["reset", "Connection Refused"]}},
                {"error_message": "[Errno 111] connection refused"},
            ),
            ('outcome "timeout" = "timeout"', {"outcome": {"eq": "timeout"}}, {"outcome": "timeout"}),
            ('endpoint "/api/items" matches "^/api"', {"endpoint": {"regex": "^/api"}}, {}),
            ("payload.queue 7 != 0", {"payload.queue": {"ne": 0}}, {"payload": {"queue": 7}}),
        ],
    )
    def test_text(self, expected: str, condition: dict[str, Any], changes: dict[str, Any]) -> None:
        """The measured value stands beside its limit; the context is said only where nothing was measured."""
        assert expected == describe(rule(condition), record(**changes))

    def test_length(self) -> None:
        """However long the values, the text has at most 200 characters."""
        text = describe(
            rule({f"payload.{'x' * 50}{number}": {"ne": "y" * 80} for number in range(5)}),
            record(payload={f"{'x' * 50}{number}": "z" * 500 for number in range(5)}),
        )
        assert 200 == len(text)
