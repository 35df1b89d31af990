"""Rules documents: what is read, and what is refused where."""

from __future__ import annotations

from typing import Any

import pytest

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.detect.condition import Comparison
from streamlab_plugin.detect.rule import Fix, RuleSet, WindowRule, parse_rules


def fix(**changes: Any) -> dict[str, Any]:
    """Return a valid fix as YAML would give it."""
    return {
        "type": "caching",
        "title": "Cache",
        "steps": ["Do it"],
        "risk": "low",
        "confidence": 0.5,
        **changes,
    }


def rule(**changes: Any) -> dict[str, Any]:
    """Return a valid rule as YAML would give it; a change to None removes the key."""
    entry = {
        "name": "slow",
        "description": "Too slow",
        "condition": {"latency_ms": {"gt": 200}},
        "severity": "warning",
        "anomaly_type": "slow_http",
        "tags": ["latency"],
        "fixes": [fix()],
        **changes,
    }
    return {key: value for key, value in entry.items() if value is not None}


def window(**changes: Any) -> dict[str, Any]:
    """Return a valid window rule."""
    return {
        "name": "high_error_rate",
        "description": "Too many errors",
        "metric": "error_rate",
        "window_s": 30,
        "min_count": 50,
        "levels": {"critical": 0.15, "warning": 0.05},
        "anomaly_type": "high_error_rate",
        **changes,
    }


def drift(**changes: Any) -> dict[str, Any]:
    """Return a valid schema drift section."""
    return {
        "min_records": 50,
        "severity": "warning",
        "description": "Other fields",
        "anomaly_type": "schema_drift",
        **changes,
    }


def refused(document: object) -> ConfigError:
    """Return the error that a document causes."""
    with pytest.raises(ConfigError) as caught:
        parse_rules(document)
    return caught.value


class TestParseRules:
    """A document that is right."""

    def test_rule(self) -> None:
        """Every key of a rule becomes a value."""
        (found,) = parse_rules({"rules": [rule()]}).rules
        assert (Comparison("latency_ms", "gt", 200),) == found.condition
        assert (Fix("caching", "Cache", ("Do it",), "low", 0.5),) == found.fixes
        assert ("slow", "Too slow", "warning", "slow_http", ("latency",)) == (
            found.name,
            found.description,
            found.severity,
            found.anomaly_type,
            found.tags,
        )

    def test_optional_keys(self) -> None:
        """Tags and fixes may be missing, and so may the sections beside the rules."""
        found = parse_rules({"rules": [rule(tags=None, fixes=None)]})
        assert ((), ()) == (found.rules[0].tags, found.rules[0].fixes)
        assert (None, ()) == (found.drift, found.windows)

    def test_window(self) -> None:
        """A window's levels are ordered by severity, however they were written."""
        assert RuleSet(
            (),
            None,
            (
                WindowRule(
                    "high_error_rate",
                    "Too many errors",
                    "high_error_rate",
                    levels=(("warning", 0.05), ("critical", 0.15)),
                ),
            ),
        ) == parse_rules({"windows": [window()]})

    def test_drift(self) -> None:
        """The schema drift section becomes a rule named schema_drift."""
        found = parse_rules({"schema_drift": drift(min_records=7)}).drift
        assert found is not None
        assert ("schema_drift", 7, "warning") == (found.name, found.min_records, found.severity)


class TestRefusals:
    """A document that is wrong says where, what and what to do."""

    @pytest.mark.parametrize(
        ("document", "path", "what", "remedy"),
        [
            ({"rule": []}, ("rule",), "unknown key 'rule'", "did you mean 'rules'?"),
            ({"rules": [rule(severty="error")]}, ("rules", 0, "severty"), "unknown key", "'severity'"),
            (
                {"rules": [rule(), rule(name="b", severity="fatal")]},
                ("rules", 1, "severity"),
                "'fatal'",
                "critical",
            ),
            ({"rules": [rule(severity=None)]}, ("rules", 0), "'severity' is missing", "add 'severity'"),
            ({"rules": [rule(), rule()]}, ("rules", 1, "name"), "'slow' is used twice", "rules.0"),
            ({"rules": [rule(name="schema_drift")]}, ("rules", 0, "name"), "used twice", "schema_drift"),
            (
                {"rules": [rule(name="high_error_rate")], "windows": [window()]},
                ("windows", 0, "name"),
                "used twice",
                "rules.0",
            ),
            ({"rules": [rule(name="a,b")]}, ("rules", 0, "name"), "'a,b' is not a name", "letters"),
            ({"rules": [rule(description=" ")]}, ("rules", 0, "description"), "expected a text", ""),
            ({"rules": {"name": "x"}}, ("rules",), "expected a list", "'-'"),
            ({"rules": ["x"]}, ("rules", 0), "expected keys and values", ""),
            ({"rules": [rule(tags="latency")]}, ("rules", 0, "tags"), "expected a list", ""),
            ([], (), "expected keys and values", ""),
            (None, (), "expected keys and values, got nothing", ""),
            ({}, (), "empty", "rules"),
        ],
    )
    def test_rule(self, document: object, path: tuple[str | int, ...], what: str, remedy: str) -> None:
        """The error leads to the key at fault."""
        error = refused(document)
        assert path == error.path
        assert what in error.what
        assert remedy in error.remedy

    @pytest.mark.parametrize(
        ("condition", "path", "what", "remedy"),
        [
            ({}, (), "expected a condition", "latency_ms"),
            ({"latency_ms": {}}, ("latency_ms",), "expected an operator", ""),
            ({"latency_ms": 200}, ("latency_ms",), "expected an operator", "eq"),
            (
                {"latncy_ms": {"gt": 1}},
                ("latncy_ms",),
                "unknown field 'latncy_ms'",
                "did you mean 'latency_ms'?",
            ),
            ({"payload.": {"eq": 1}}, ("payload.",), "unknown field", "payload.<path>"),
            ({"payload": {"eq": 1}}, ("payload",), "unknown field", "payload.<path>"),
            (
                {"latency_ms": {"gtt": 1}},
                ("latency_ms", "gtt"),
                "unknown operator 'gtt'",
                "did you mean 'gt'?",
            ),
            ({"latency_ms": {"gt": "200"}}, ("latency_ms", "gt"), "expected a number, got '200'", ""),
            ({"latency_ms": {"gt": True}}, ("latency_ms", "gt"), "expected a number", ""),
            ({"latency_ms": {"gt": float("nan")}}, ("latency_ms", "gt"), "expected a number", ""),
            ({"latency_ms": {"gt": 10**400}}, ("latency_ms", "gt"), "expected a number", ""),
            ({"latency_ms": {"contains": "2"}}, ("latency_ms", "contains"), "does not fit", "gte"),
            ({"endpoint": {"lt": 2}}, ("endpoint", "lt"), "does not fit", "regex"),
            ({"status": {"in": 401}}, ("status", "in"), "'in' needs a list", "[401, 403]"),
            ({"status": {"in": []}}, ("status", "in"), "'in' needs a list", ""),
            ({"status": {"in": [401, "403"]}}, ("status", "in", 1), "expected a number", ""),
            ({"status": {"eq": "401"}}, ("status", "eq"), "expected a number", ""),
            ({"operation": {"eq": 5}}, ("operation", "eq"), "expected a text, got 5", "quotes"),
            ({"operation": {"eq": None}}, ("operation", "eq"), "expected a text, got nothing", ""),
            (
                {"protocol": {"eq": "htpp"}},
                ("protocol", "eq"),
                "unknown protocol 'htpp'",
                "did you mean 'http'?",
            ),
            ({"outcome": {"eq": "interrupted"}}, ("outcome", "eq"), "unknown outcome", "timeout"),
            ({"endpoint": {"contains": []}}, ("endpoint", "contains"), "empty list", ""),
            ({"endpoint": {"contains": ["a", 1]}}, ("endpoint", "contains"), "got 1", "quotes"),
            ({"endpoint": {"regex": "(a"}}, ("endpoint", "regex"), "bad regular expression '(a'", "RE2"),
            (
                {"endpoint": {"regex": "(?=a)"}},
                ("endpoint", "regex"),
                "bad regular expression",
                "look-around",
            ),
            ({"endpoint": {"regex": 5}}, ("endpoint", "regex"), "needs a pattern", ""),
        ],
    )
    def test_condition(self, condition: object, path: tuple[str | int, ...], what: str, remedy: str) -> None:
        """A condition that could never work is refused at load."""
        error = refused({"rules": [rule(condition=condition)]})
        assert ("rules", 0, "condition", *path) == error.path
        assert what in error.what
        assert remedy in error.remedy

    def test_trap_eq_with_a_list(self) -> None:
        """`eq: [401, 403]` could never match: it is refused, and the remedy is `in`."""
        error = refused({"rules": [rule(condition={"status": {"eq": [401, 403]}})]})
        assert ("rules", 0, "condition", "status", "eq") == error.path
        assert "use 'in' for a list" == error.remedy

    @pytest.mark.parametrize(
        ("entry", "path", "what"),
        [
            (fix(confidence=1.01), ("confidence",), "out of range"),
            (fix(confidence=-0.1), ("confidence",), "out of range"),
            (fix(confidence=True), ("confidence",), "expected a number"),
            (fix(steps=[]), ("steps",), "at least one step"),
            (fix(steps="Do it"), ("steps",), "expected a list"),
            (fix(risk="none"), ("risk",), "unknown risk"),
            (fix(suggestion="x"), ("suggestion",), "unknown key"),
            ({"type": "caching"}, (), "'title' is missing"),
        ],
    )
    def test_fix(self, entry: object, path: tuple[str | int, ...], what: str) -> None:
        """A fix must be complete and its confidence a share."""
        error = refused({"rules": [rule(fixes=[fix(), entry])]})
        assert ("rules", 0, "fixes", 1, *path) == error.path
        assert what in error.what

    def test_trap_unknown_fix_type(self) -> None:
        """An unknown fix type is an error that names the allowed ones, not another template."""
        error = refused({"rules": [rule(fixes=[fix(type="database_index")])]})
        assert ("rules", 0, "fixes", 0, "type") == error.path
        assert "unknown fix type 'database_index'" == error.what
        assert "index, query_optimisation" in error.remedy

    @pytest.mark.parametrize(
        ("changes", "path", "what"),
        [
            ({"levels": {}}, ("levels",), "no level"),
            ({"levels": {"fatal": 0.1}}, ("levels", "fatal"), "unknown key"),
            ({"levels": {"warning": 5}}, ("levels", "warning"), "out of range"),
            ({"levels": {"warning": 0.2, "critical": 0.1}}, ("levels", "critical"), "not above warning"),
            ({"metric": "p95"}, ("metric",), "unknown metric"),
            ({"window_s": 0}, ("window_s",), "out of range"),
            ({"min_count": 2.5}, ("min_count",), "whole number"),
        ],
    )
    def test_window(self, changes: dict[str, Any], path: tuple[str, ...], what: str) -> None:
        """A window needs rising levels and whole, positive counts."""
        error = refused({"windows": [window(**changes)]})
        assert ("windows", 0, *path) == error.path
        assert what in error.what

    def test_drift(self) -> None:
        """Schema drift needs at least one record to compare with."""
        error = refused({"schema_drift": drift(min_records=0)})
        assert ("schema_drift", "min_records") == error.path
