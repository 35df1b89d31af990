"""The verdict and its exit codes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.core.ledger import Ledger
from streamlab_plugin.slo.objective import Objectives
from streamlab_plugin.slo.verdict import ProtocolFacts, RunFacts, Verdict, decide, verdict_from_dict

LIMITS = {"max_error_rate": 0.01, "max_p95_latency_ms": 100.0, "min_throughput_rps": 10.0}
OBJECTIVES = Objectives({"http": LIMITS}, 50)


def http(**changes: Any) -> ProtocolFacts:
    """Return the facts of a perfect protocol with *changes*."""
    values = {
        "count": 1000,
        "errors": 0,
        "answered": 1000,
        "interrupted": 0,
        "latency_samples": 1000,
        "p95_latency_ms": 50.0,
        **changes,
    }
    return ProtocolFacts(**values)


def facts(protocol: ProtocolFacts | None = None, **changes: Any) -> RunFacts:
    """Return the facts of a perfect run of 50 s with *changes*."""
    values: dict[str, Any] = {
        "state": "finished",
        "duration_s": 50.0,
        "protocols": {"http": protocol or http()},
        "ledger": Ledger(produced=1000, stored=1000),
        **changes,
    }
    return RunFacts(**values)


def judged(run: RunFacts, objectives: Objectives = OBJECTIVES) -> tuple[str, int]:
    """Return kind and exit code of the verdict."""
    verdict = decide(run, objectives)
    assert verdict.reasons
    return verdict.kind, verdict.exit_code


def state(name: str, protocol: ProtocolFacts) -> str:
    """Return the state of one HTTP objective."""
    (found,) = (one.state for one in decide(facts(protocol), OBJECTIVES).objectives if one.name == name)
    return found


class TestObjectives:
    """Each objective at its edge: a value equal to the limit passes."""

    @pytest.mark.parametrize(
        ("expected", "errors"), [("met", 0), ("met", 9), ("met", 10), ("breached", 11), ("breached", 1000)]
    )
    def test_error_rate(self, expected: str, errors: int) -> None:
        """Errors over all requests."""
        assert expected == state("max_error_rate", http(errors=errors))

    @pytest.mark.parametrize(("expected", "errors"), [("met", 9), ("breached", 10)])
    def test_interrupted_requests_do_not_count(self, expected: str, errors: int) -> None:
        """Requests that Locust cut off do not thin out the error rate."""
        assert expected == state("max_error_rate", http(errors=errors, interrupted=100, answered=900))

    @pytest.mark.parametrize(
        ("expected", "p95"), [("met", 0.0), ("met", 99.9), ("met", 100.0), ("breached", 100.1)]
    )
    def test_p95(self, expected: str, p95: float) -> None:
        """The 95th percentile of the latencies."""
        assert expected == state("max_p95_latency_ms", http(p95_latency_ms=p95))

    @pytest.mark.parametrize("limit", [100.1, 100.2, 100.3, 100.4])
    def test_p95_at_a_limit_that_float32_rounds(self, limit: float) -> None:
        """A limit that the sketch holds a little above or below is still passed when it is reached."""
        objectives = Objectives({"http": {"max_p95_latency_ms": limit}})
        at = np.float32(limit)
        above = np.nextafter(at, np.float32(200))
        assert ("met", 0) == judged(facts(http(p95_latency_ms=limit)), objectives)
        assert ("met", 0) == judged(facts(http(p95_latency_ms=float(at))), objectives)
        assert ("breached", 1) == judged(facts(http(p95_latency_ms=float(above))), objectives)

    @pytest.mark.parametrize(("expected", "answered"), [("met", 501), ("met", 500), ("breached", 499)])
    def test_throughput(self, expected: str, answered: int) -> None:
        """Answered requests per second of the run."""
        assert expected == state("min_throughput_rps", http(answered=answered))

    def test_trap_throughput_counts_failed_answers(self) -> None:
        """An answer of 500 is an answer: throughput is not the rate of successes."""
        assert "met" == state("min_throughput_rps", http(errors=1000, answered=1000))

    def test_trap_zero_is_a_verdict(self) -> None:
        """A perfect run, with an error rate of 0 and a p95 of 0, is met."""
        verdict = decide(facts(http(errors=0, p95_latency_ms=0.0)), OBJECTIVES)
        assert ("met", 0) == (verdict.kind, verdict.exit_code)
        assert [0.0, 0.0, 20.0] == [one.value for one in verdict.objectives]

    def test_protocol_without_requests(self) -> None:
        """A protocol that the run did not use is not applicable and does not matter."""
        objectives = Objectives({"http": LIMITS, "mqtt": LIMITS})
        run = facts(protocols={"http": http(), "mqtt": http(count=0, answered=0, latency_samples=0)})
        verdict = decide(run, objectives)
        assert "met" == verdict.kind
        assert {"not_applicable"} == {one.state for one in verdict.objectives if one.protocol == "mqtt"}


class TestPrecedence:
    """Which verdict a run gets, in the order 4, 3, 1, 0."""

    BREACHED = http(errors=500)

    def test_met(self) -> None:
        """Nothing to complain of."""
        assert ("met", 0) == judged(facts())

    def test_breached(self) -> None:
        """One objective is enough, and the reason names value and limit."""
        verdict = decide(facts(http(errors=15)), OBJECTIVES)
        assert ("breached", 1) == (verdict.kind, verdict.exit_code)
        assert ("http error rate 1.5 % is above 1 %",) == verdict.reasons

    @pytest.mark.parametrize(
        "run",
        [
            facts(protocols={}),
            facts(http(count=0, errors=0, answered=0, latency_samples=0, p95_latency_ms=None)),
            facts(BREACHED, state="running"),
            facts(BREACHED, ledger=Ledger(produced=1000, stored=999)),
            facts(BREACHED, ledger=Ledger(produced=1000, stored=990, pending=10)),
            facts(BREACHED, ledger=Ledger(produced=1000, stored=998, dropped={"full": 2})),
            facts(BREACHED, problems=("1 of 2 workers is missing",)),
            facts(http(count=49, errors=49, answered=49, latency_samples=49)),
            facts(http(count=99, interrupted=50, answered=49, latency_samples=49)),
            facts(http(latency_samples=49)),
            facts(http(latency_samples=0, p95_latency_ms=None)),
            facts(BREACHED, duration_s=0.0),
            facts(protocols={"other": http()}),
        ],
        ids=[
            "no protocols",
            "no requests",
            "running",
            "unbalanced",
            "pending",
            "lost too much",
            "problem",
            "few requests",
            "few uninterrupted requests",
            "few latencies",
            "no latencies",
            "no length",
            "no objective applies",
        ],
    )
    def test_inconclusive(self, run: RunFacts) -> None:
        """What cannot be trusted or is too little is neither met nor breached."""
        assert ("inconclusive", 3) == judged(run)

    def test_enough(self) -> None:
        """min_samples requests are enough, and 0.1 % lost is tolerable."""
        enough = http(count=50, answered=50, latency_samples=50)
        ledger = Ledger(produced=1000, stored=999, dropped={"full": 1})
        assert ("met", 0) == judged(facts(enough, duration_s=5.0, ledger=ledger))

    def test_outside_the_run(self) -> None:
        """Requests before and after the run are no loss."""
        ledger = Ledger(produced=1100, stored=1000, dropped={"no_run": 100})
        assert ("met", 0) == judged(facts(ledger=ledger))

    @pytest.mark.parametrize(
        "changes",
        [{}, {"state": "running"}, {"ledger": Ledger(produced=9)}, {"problems": ("a worker is missing",)}],
    )
    def test_unreachable(self, changes: dict[str, Any]) -> None:
        """No answer at all comes before every doubt, also with few requests."""
        nothing = http(count=3, errors=3, answered=0, latency_samples=0, p95_latency_ms=None)
        assert ("unreachable", 4) == judged(facts(nothing, **changes))

    def test_one_protocol_answers(self) -> None:
        """With one protocol answering the target was reached."""
        protocols = {"http": http(), "mqtt": http(answered=0, errors=1000)}
        assert ("met", 0) == judged(facts(protocols=protocols))

    def test_reasons(self) -> None:
        """All doubts are said, each with its figures."""
        run = facts(
            http(count=7, answered=7, latency_samples=7), state="running", problems=("a worker is missing",)
        )
        assert (
            "the run is still running",
            "a worker is missing",
            "http error rate cannot be judged: 7 requests, 50 needed",
            "http p95 latency cannot be judged: 7 requests, 50 needed",
            "http throughput cannot be judged: 7 requests, 50 needed",
        ) == decide(run, OBJECTIVES).reasons


class TestVerdict:
    """The verdict as JSON."""

    @pytest.mark.parametrize(
        "run", [facts(), facts(http(errors=99)), facts(protocols={}), facts(http(answered=0))]
    )
    def test_round_trip(self, run: RunFacts) -> None:
        """What was stored is what is read."""
        verdict = decide(run, OBJECTIVES)
        assert verdict == verdict_from_dict(json.loads(json.dumps(verdict.to_dict())))

    @pytest.mark.parametrize(
        ("path", "changes"),
        [
            (("kind",), {"kind": "fine"}),
            (("reasons",), {"reasons": "none"}),
            (("objectives", 0), {"objectives": [5]}),
            (("objectives", 0), {"objectives": [{"value": None}]}),
        ],
    )
    def test_refused(self, path: tuple[str | int, ...], changes: dict[str, Any]) -> None:
        """Something else is refused."""
        with pytest.raises(ConfigError) as caught:
            verdict_from_dict({**Verdict("met", 0, ()).to_dict(), **changes})
        assert path == caught.value.path
