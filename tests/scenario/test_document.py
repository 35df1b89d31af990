"""Scenario documents: what is read, and what is refused where."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario_corpus import FULL, OLD, RIGHT, SMALL, UNFIT, WRONG, changed, fault

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.privacy.policy import parse_policy
from streamlab_plugin.scenario.distribution import Constant, Exponential, Lognormal, Uniform
from streamlab_plugin.scenario.document import parse_scenario
from streamlab_plugin.scenario.fault import Change, Fault
from streamlab_plugin.scenario.injection import Faults
from streamlab_plugin.scenario.keys import camel
from streamlab_plugin.scenario.scenario import Burst, HttpPart, MqttPart, Payload, Scenario, WebSocketPart


def camelled(value: Any) -> Any:
    """Return *value* with every key in camelCase."""
    if isinstance(value, dict):
        return {camel(key): camelled(one) for key, one in value.items()}
    return [camelled(one) for one in value] if isinstance(value, list) else value


class TestParseScenario:
    """`parse_scenario` of what is right."""

    def test_small(self) -> None:
        """What is left out has its documented default."""
        assert Scenario(
            name="small",
            protocol="http",
            parts=(
                HttpPart(
                    protocol="http", endpoint="http://127.0.0.1:8000", weight=1, messages_per_second=1,
                    payload=Payload("heartbeat", 0, 4096), method="POST", path="/",
                ),
            ),
            connections=5, duration_seconds=10, description="", think_time=None, ramp_up_seconds=0,
            ramp_down_seconds=0, burst=None, failure_injection=Faults((), 0), pii_redaction_rules={},
            expected_p95_latency_ms=None, expected_error_rate=None, criticality="normal", tags=(),
        ) == parse_scenario(SMALL)  # fmt: skip

    def test_full(self) -> None:
        """Everything that can be said is understood."""
        found = parse_scenario(FULL)
        voice = Payload("voice", 3, 2000)
        assert (
            WebSocketPart(
                endpoint="wss://[::1]:8443/live?x=1", weight=2.5, messages_per_second=2, payload=voice,
                operation="send",
            ),
            MqttPart(
                endpoint="mqtts://broker.example.com", messages_per_second=0, payload=Payload("metrics"),
                topic="devices/{connection}/up", qos=2, subscribe="devices/+/down/#",
            ),
            HttpPart(
                endpoint="https://h.example.com/base", messages_per_second=2, payload=voice, method="PUT",
                path="/a?b={connection}",
            ),
        ) == found.parts  # fmt: skip
        assert (Burst(5, 10, 3, 20), Lognormal(0.5, 0.3)) == (found.burst, found.think_time)
        assert {
            "keep": ("level",), "hash": ("shop_id",), "bucket": ("place",), "remove": ("mood",),
        } == found.pii_redaction_rules  # fmt: skip
        assert ("critical", ("nightly", "v2.1")) == (found.criticality, found.tags)

    def test_faults(self) -> None:
        """Listed faults come first, then those by kind, with the parameters of their kind."""
        drift = (
            Change("rename", "a.b", "c"),
            Change("remove", "a"),
            Change("retype", "seq", "string"),
            Change("add", "x.y", False),
        )
        assert (
            Faults(
                (
                    Fault("delay", 0.1, parameters={"delay_ms": Uniform(1, 2)}, id="delay"),
                    Fault("delay", 0, parameters={"delay_ms": Exponential(3)}, id="delay-2"),
                    Fault("delay", 0, parameters={"delay_ms": Constant(3)}, id="delay-3"),
                    Fault("delay", 0.1, parameters={"delay_ms": Uniform(5, 50)}, id="delay-4"),
                    Fault("drop_connection", 0.01, (), 10, 20, {"when": "before"}, "drop_connection"),
                    Fault("duplicate", 0.1, ("publish",), parameters={"copies": 2}, id="twice"),
                    Fault("reorder", 0.1, parameters={"depth": 3, "hold_ms": 50}, id="reorder"),
                    Fault("truncate", 0.1, parameters={"keep_ratio": 0.25}, id="truncate"),
                    Fault("corrupt", 0.1, parameters={"byte_count": 4}, id="corrupt"),
                    Fault("slow_consumer", 0.1, parameters={"delay_ms": Constant(20)}, id="slow_consumer"),
                    Fault("schema_drift", 0.1, parameters={"changes": drift}, id="schema_drift"),
                    Fault("malformed", 0, id="malformed"),
                ),
                seed=9,
            )
            == parse_scenario(FULL).failure_injection
        )

    def test_old_names(self) -> None:
        """Files of older tools are understood."""
        found = parse_scenario(OLD)
        assert (
            Faults(
                (
                    Fault("delay", 0.1, parameters={"delay_ms": Uniform(50, 200)}),
                    Fault("drop_connection", 0.02, parameters={"when": "after"}),
                    Fault("duplicate", 0.05, parameters={"copies": 1}),
                    Fault(
                        "schema_drift",
                        0.01,
                        parameters={"changes": (Change("add", "unexpected_field", "drift"),)},
                    ),
                )
            )
            == found.failure_injection
        )
        assert (Burst(3), Payload("voice", 0, 100)) == (found.burst, found.parts[0].payload)
        assert {"keep": ("level",), "hash": ("shop_id",)} == found.pii_redaction_rules

    @pytest.mark.parametrize("name", RIGHT)
    def test_camel_case(self, name: str) -> None:
        """Every key may be written in camelCase."""
        assert parse_scenario(RIGHT[name]) == parse_scenario(camelled(RIGHT[name]))

    def test_faults_that_are_switched_off(self) -> None:
        """A plan that is not enabled has no faults."""
        plan = parse_scenario(
            changed(SMALL, failure_injection={"enabled": False, "corrupt": {}})
        ).failure_injection
        assert not plan

    def test_a_fault_without_an_end(self) -> None:
        """A fault without schedule strikes from the beginning to the end."""
        (found,) = parse_scenario(fault(kind="malformed")).failure_injection.faults
        assert (1, (), 0, math.inf, {}) == (
            found.probability, found.operations, found.from_s, found.until_s, found.parameters,
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("values", "expected"),
        [({}, 1), ({"think_time": 1}, None), ({"think_time": 1, "messages_per_second": 3}, 3)],
    )
    def test_pace(self, values: dict[str, Any], expected: float | None) -> None:
        """A think time alone sets the pace; without either, it is one message a second."""
        assert expected == parse_scenario(changed(SMALL, **values)).parts[0].messages_per_second

    @given(st.floats(0, 100), st.floats(0, 100))
    def test_a_list_of_two_is_uniform(self, low: float, high: float) -> None:
        """Two numbers are bounds; the lower one comes first."""
        document = changed(SMALL, think_time=[low, high])
        if low <= high:
            assert Uniform(low, high) == parse_scenario(document).think_time
        else:
            with pytest.raises(ConfigError, match="is above"):
                parse_scenario(document)


class TestRefusal:
    """`parse_scenario` of what is wrong."""

    @pytest.mark.parametrize(("document", "path", "words"), [*WRONG, *UNFIT])
    def test_one_problem(self, document: object, path: tuple[str | int, ...], words: str) -> None:
        """It is named with its path as written, and with a remedy."""
        with pytest.raises(ConfigError) as caught:
            parse_scenario(document, parse_policy)
        (problem,) = caught.value.problems
        assert path == problem.path
        assert words in str(problem)
        assert problem.remedy

    def test_all_problems(self) -> None:
        """Each of several mistakes is named, in the order of the document, and what is missing at the end."""
        document = changed(SMALL, name="a b", connections=0, tags=["x y", "z"], path="p")
        del document["duration_seconds"]
        with pytest.raises(ConfigError) as caught:
            parse_scenario(document)
        assert [("name",), ("connections",), ("tags", 0), ("path",), ("duration_seconds",)] == [
            one.path for one in caught.value.problems
        ]
        assert 5 == len(str(caught.value).splitlines())

    def test_a_line_break_at_the_end(self) -> None:
        """It belongs to no name, although Python's regular expressions overlook it."""
        with pytest.raises(ConfigError, match="is not accepted"):
            parse_scenario(changed(SMALL, name="a\n"))

    @pytest.mark.parametrize("endpoint", ["http://me:secret@h", ["http://me:secret@h"]])
    def test_a_password_is_not_repeated(self, endpoint: object) -> None:
        """An endpoint that is refused may hold one."""
        with pytest.raises(ConfigError) as caught:
            parse_scenario(changed(SMALL, endpoint=endpoint))
        assert "secret" not in str(caught.value)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
        st.sampled_from(sorted(FULL)),
    )
    def test_anything_anywhere(self, value: object, key: str) -> None:
        """Whatever a key holds, the answer is a scenario or one line that names the key."""
        try:
            parse_scenario({**FULL, key: value}, parse_policy)
        except ConfigError as error:
            for problem in error.problems:
                assert key == "protocol" or key == problem.path[0]
                assert 1 == len(str(problem).splitlines())
