"""What a verdict rests on, with and without the exchanges that injected faults touched."""

from __future__ import annotations

from seeded import FINISHED, SERIES, Seeded
from sqlalchemy import update

from streamlab_plugin.slo.verdict import ProtocolFacts
from streamlab_plugin.store import tables
from streamlab_plugin.store.facts import run_facts
from streamlab_plugin.store.rollup_queries import run_summary

GET, POST = (at for at, one in enumerate(SERIES, 1) if one[0] == "http")


def http(seeded: Seeded, touched: int | None, *, include_faulted: bool = False) -> ProtocolFacts:
    """Return the facts of HTTP after the series *touched* was marked."""
    with seeded.engine().begin() as conn:
        if touched is not None:
            series = tables.series.c
            marked = update(tables.series).where(series.id == touched)
            conn.execute(marked.values(operation=series.operation + "+fault"))
        return run_facts(conn, 1, include_faulted=include_faulted).protocols["http"]


class TestRunFacts:
    def test_faulted_exchanges_are_left_out(self, own_seeded: Seeded) -> None:
        """What remains are the counts and latencies of the other series, and the number of those left out."""
        everything = http(own_seeded, None)
        with own_seeded.engine().connect() as conn:
            by_series = {key.operation: totals for key, totals in run_summary(conn, 1).endpoints}
        gets, posts = by_series["GET"], by_series["POST"]
        judged = http(own_seeded, GET)
        assert own_seeded.expected[FINISHED]["http"].count == everything.count == gets.count + posts.count
        assert (
            posts.count,
            posts.errors,
            posts.answered,
            posts.latency_samples,
            posts.p95_ms,
            gets.count,
        ) == (
            judged.count,
            judged.errors,
            judged.answered,
            judged.latency_samples,
            judged.p95_latency_ms,
            judged.faulted,
        )

    def test_they_count_when_asked_for(self, own_seeded: Seeded) -> None:
        """Then the facts are those of a run without a mark."""
        assert http(own_seeded, None) == http(own_seeded, GET, include_faulted=True)

    def test_nothing_else_was_done(self, own_seeded: Seeded) -> None:
        """A protocol whose every exchange was touched has no requests to judge, but is known."""
        http(own_seeded, GET)
        judged = http(own_seeded, POST)
        assert (0, own_seeded.expected[FINISHED]["http"].count) == (judged.count, judged.faulted)
