"""The gate: what listeners see is clean, every request is handed over once, nothing reaches the test."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from streamlab_plugin import gate as gates
from streamlab_plugin.core.handover import Handover
from streamlab_plugin.core.record import PAYLOAD_LIMIT_BYTES, Detail, RawRecord
from streamlab_plugin.gate import Gate
from streamlab_plugin.link.message import encode_into


class Hook:
    """The part of Locust's EventHook that the gate touches; Locust itself is in the end-to-end tests."""

    def __init__(self) -> None:
        self.listeners: list[Callable[..., None]] = []

    def fire(self, *, reverse: bool = False, **event: Any) -> None:
        """Call every listener."""
        for listener in self.listeners:
            listener(**event)


class Bench:
    """A gate with its hooks, what a listener saw, and what was handed over."""

    def __init__(self, handover: Handover | None = None) -> None:
        self.events = SimpleNamespace(request=Hook(), user_error=Hook())
        self.handover = Handover(encode_into) if handover is None else handover
        self.gate = Gate(self.handover, lambda text: text)
        self.gate.install(self.events)
        self.gate.open()
        self.seen: list[dict[str, Any]] = []
        self.events.request.listeners.append(lambda **event: self.seen.append(event))
        self.events.user_error.listeners.append(lambda **event: self.seen.append(event))

    def fire(self, **event: Any) -> RawRecord:
        """Fire a request with defaults and return its record."""
        defaults = {"request_type": "GET", "name": "/a", "response_time": 12.5, "response_length": 3}
        self.events.request.fire(**{**defaults, **event})
        return self.records()[-1]

    def records(self) -> list[RawRecord]:
        """Return what was handed over."""
        chunks = self.handover.take()
        bodies = [b"\xdd" + count.to_bytes(4, "big") + body for count, body in chunks]
        return [one for body in bodies for one in msgspec.msgpack.decode(body, type=list[RawRecord])]


@pytest.fixture
def bench() -> Bench:
    """Return a fresh bench."""
    return Bench()


class TestFire:
    """What the other listeners see."""

    def test_a_name_becomes_its_template(self, bench: Bench) -> None:
        """Ids and query strings are gone."""
        bench.fire(name="/users/4711?token=abc")
        assert "/users/{id}" == bench.seen[0]["name"]

    def test_an_exception_keeps_its_class_and_loses_its_secrets(self, bench: Bench) -> None:
        """`isinstance` still works; text, arguments and attributes are clean."""

        class OddError(ConnectionError):
            def __init__(self, mail: str, code: int) -> None:
                super().__init__(mail, code)
                self.mail = mail

        bench.fire(exception=OddError("anna@example.org", 3))
        shown = bench.seen[0]["exception"]
        assert isinstance(shown, OddError)
        assert "anna" not in str(shown) + repr(shown) + repr(shown.args) + repr(vars(shown))
        assert "[email]" in str(shown)

    def test_our_keyword_never_reaches_a_listener(self, bench: Bench) -> None:
        """It is popped."""
        bench.fire(streamlab=Detail("mqtt", "publish"))
        assert "streamlab" not in bench.seen[0]

    def test_a_text_in_place_of_an_exception_is_cleaned(self, bench: Bench) -> None:
        """Locust allows it."""
        record = bench.fire(exception="no answer for anna@example.org")
        assert "no answer for [email]" == bench.seen[0]["exception"]
        assert "no answer for [email]" == record.error_message

    def test_a_listener_that_raises_does_not_cost_the_record(self, bench: Bench) -> None:
        """Locust lets StopUser and the like through; the request was made all the same."""

        def stop(**_event: Any) -> None:
            raise StopIteration

        bench.events.request.listeners.append(stop)
        with pytest.raises(StopIteration):
            bench.events.request.fire(request_type="GET", name="/a", response_time=1, response_length=0)
        assert 1 == len(bench.records())

    def test_an_unprintable_exception_is_recorded_without_text(self, bench: Bench) -> None:
        """The class name is all that is known."""

        class UnprintableError(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no")

            __repr__ = __str__

        assert "UnprintableError" == bench.fire(exception=UnprintableError()).error_type

    def test_user_errors_are_cleaned_too(self, bench: Bench) -> None:
        """Task exceptions bypass the request hook."""
        bench.events.user_error.fire(user_instance=None, exception=ValueError("anna@example.org"), tb=None)
        assert "[email]" == str(bench.seen[0]["exception"])
        assert isinstance(bench.seen[0]["exception"], ValueError)


class TestRecord:
    """What is handed over."""

    def test_a_plain_http_request(self, bench: Bench) -> None:
        """Protocol and operation from the request type, the status from the response."""
        record = bench.fire(response=SimpleNamespace(status_code=200), start_time=100.0)
        assert ("http", "GET", "/a", "success", 200, 12.5, 100.0) == (
            record.protocol, record.operation, record.endpoint, record.outcome, record.status,
            record.latency_ms, record.started_at,
        )  # fmt: skip

    def test_another_request_type_is_other(self, bench: Bench) -> None:
        """grpc, database calls and whatever a test fires."""
        assert ("other", "grpc") == (bench.fire(request_type="grpc").protocol, "grpc")

    def test_no_answer_has_no_status(self, bench: Bench) -> None:
        """FastHttpUser says 0 for it."""
        assert bench.fire(response=SimpleNamespace(status_code=0)).status is None

    @pytest.mark.parametrize(
        ("error", "outcome"), [(TimeoutError("x"), "timeout"), (ValueError("x"), "error"), (None, "success")]
    )
    def test_the_outcome_follows_the_exception(self, bench: Bench, error: Any, outcome: str) -> None:
        """By class."""
        assert outcome == bench.fire(exception=error).outcome

    def test_a_mutable_payload_is_encoded_at_once(self, bench: Bench) -> None:
        """A later change does not reach the record."""
        payload = {"a": 1}
        bench.events.request.listeners.append(lambda **_event: None)
        record = bench.fire(streamlab=Detail("http", "GET", payload=payload))
        payload["a"] = 2
        assert b'{"a":1}' == record.payload

    @pytest.mark.parametrize("payload", [b"x" * (PAYLOAD_LIMIT_BYTES + 1), {"a": object()}, "\ud800"])
    def test_a_payload_that_cannot_go_becomes_metadata(self, bench: Bench, payload: Any) -> None:
        """Too large or no JSON: the record goes without it."""
        assert bench.fire(streamlab=Detail("http", "GET", payload=payload)).payload is None

    def test_numbers_are_given_before_any_drop(self) -> None:
        """A full handover leaves a gap that the counts explain."""
        bench = Bench(Handover(encode_into, capacity_bytes=1))
        for _ in range(3):
            bench.events.request.fire(request_type="GET", name="/a", response_time=1, response_length=0)
        assert (3, {"handover_full": 2}) == bench.gate.close()

    def test_requests_outside_a_run_are_counted(self, bench: Bench) -> None:
        """As dropped (no_run), in the next stream."""
        bench.gate.close()
        bench.events.request.fire(request_type="GET", name="/a", response_time=1, response_length=0)
        bench.gate.open()
        assert 2 == bench.fire().seq
        assert (2, {"no_run": 1}) == bench.gate.close()

    def test_an_interrupted_request_is_recorded_but_not_shown(self, bench: Bench) -> None:
        """Locust's table is unchanged."""
        bench.gate.record_interrupted(
            request_type="WS",
            name="/a",
            started_at=1.0,
            latency_ms=2.0,
            detail=Detail("websocket", "request"),
        )
        assert [] == bench.seen
        assert "interrupted" == bench.records()[0].outcome

    def test_a_broken_handover_costs_a_count_and_no_exception(self, bench: Bench, caplog: Any) -> None:
        """The load is sacred; one line says so, not one per request."""

        def refuse(*_arguments: Any) -> bool:
            raise RuntimeError("broken")

        bench.gate._put = refuse  # type: ignore[method-assign]
        with caplog.at_level(logging.WARNING):
            for _ in range(5):
                bench.events.request.fire(request_type="GET", name="/a", response_time=1, response_length=0)
        assert (5, {"gate_error": 5}) == bench.gate.close()
        assert 1 == len(caplog.records)


class TestInstall:
    """`Gate.install` and `of`."""

    def test_the_first_gate_stays(self, bench: Bench) -> None:
        """A second one does not shadow it, so nothing is counted twice."""
        Gate(Handover(encode_into), lambda text: text).install(bench.events)
        assert bench.gate is gates.of(SimpleNamespace(events=bench.events))

    def test_without_a_gate_there_is_none(self) -> None:
        """Users work without Streamlab, too."""
        assert gates.of(SimpleNamespace(events=SimpleNamespace(request=Hook()))) is None


class Schedule:
    """Stands where users/pacing.py stands: says when requests were scheduled."""

    def __init__(self, *said: tuple[float, float] | None) -> None:
        self.said = list(said)

    def claim(self, detail: Detail | None, started_at: float) -> tuple[float, float] | None:
        """Answer in order."""
        return self.said.pop(0)

    def counts(self) -> dict[str, int]:
        """Return some."""
        return {"due": 7}


class TestSchedule:
    """Requests of an open model."""

    def test_the_first_request_of_an_iteration_says_when_it_was_due(self, bench: Bench) -> None:
        """Of any user; what a Streamlab user waited for by itself is in it."""
        bench.gate.arrivals = Schedule((90.0, 1500.0), None, (91.0, 8.0))
        plain, second = bench.fire(start_time=91.5), bench.fire()
        own = bench.fire(streamlab=Detail("mqtt", "publish", wait_ms=3.0))
        assert [(90.0, 1500.0), (None, None), (91.0, 8.0)] == [
            (one.scheduled_at, one.wait_ms) for one in (plain, second, own)
        ]
        assert {"due": 7} == bench.gate.arrival_counts()

    def test_without_one_nothing_is_said(self, bench: Bench) -> None:
        """The user's own wait stays."""
        own = bench.fire(streamlab=Detail("mqtt", "publish", wait_ms=3.0))
        assert (None, 3.0, {}) == (own.scheduled_at, own.wait_ms, bench.gate.arrival_counts())
