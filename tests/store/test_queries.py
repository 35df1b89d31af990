from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seeded import FINISHED, HOSTILE, LENGTH_S, NOW, RUNNING, SERIES, Expected, Seeded
from sqlalchemy import (
    Connection,
    Engine,
    create_engine,
    delete,
    event,
    func,
    literal_column,
    select,
    text,
    update,
)

from streamlab_plugin.core.errors import ConfigError, InfrastructureError, NoVerdictError
from streamlab_plugin.store import rollup_queries, tables, timeline_queries
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.queries import (
    SignatureFilter,
    exemplars_of,
    find_run,
    find_signature,
    fixes_of,
    list_runs,
    list_signatures,
    live_overview,
    occurrence_timeline,
    peak_users,
    read,
    run_ledger,
    run_summary,
    run_timeline,
    run_verdict,
    runs_by_key,
    second_counts,
    sightings,
)


def is_rank(value: float | None, percent: float, values: list[float], tolerance: float = 0.01) -> bool:
    """Whether *value* stands where *percent* of the ordered *values* ends, within *tolerance* of rank."""
    assert value is not None
    ordered = sorted(values)
    low = bisect_left(ordered, value * (1 - 1e-6)) / len(ordered)
    high = bisect_right(ordered, value * (1 + 1e-6)) / len(ordered)
    return low - tolerance <= percent / 100 <= high + tolerance


@pytest.fixture
def empty(database_url: str) -> Engine:
    return open_store(database_url, read_only=True)


class TestRead:
    def test_no_database_of_ours(self, tmp_path: Path) -> None:
        """A file without our tables is one sentence, without the statement."""
        engine = create_engine(f"sqlite:///{tmp_path / 'other.db'}")
        with pytest.raises(InfrastructureError) as caught:
            read(engine, list_runs)
        assert str(caught.value) == "cannot read the database: no such table: runs"

    def test_an_error_of_the_driver_itself(self, seeded_engine: Engine) -> None:
        """Sketches come through the driver's own cursor; its errors are one sentence, too."""
        wrong = select(func.pg_sleep("x").label("x"), literal_column("nowhere"))
        with pytest.raises(InfrastructureError, match="cannot read the database: "):
            read(seeded_engine, lambda conn: rollup_queries.fetch_binary(conn, wrong))


class TestFindRun:
    def test_latest(self, conn: Connection) -> None:
        """``latest`` is the run that began last."""
        assert find_run(conn, "latest").run == RUNNING

    @pytest.mark.parametrize("wanted", [FINISHED, "1111", "11111111-AAAA"])
    def test_id_or_prefix(self, conn: Connection, wanted: str) -> None:
        """A public id or any unique beginning of it finds the run."""
        assert find_run(conn, wanted).run == FINISHED

    @pytest.mark.parametrize("wanted", ["3", "%", "_1", "", "11111111-aaaa-4aaa-8aaa-000000000001x"])
    def test_unknown(self, conn: Connection, wanted: str) -> None:
        """What no run begins with is the user's error; wildcards are plain characters."""
        with pytest.raises(ConfigError):
            find_run(conn, wanted)

    def test_ambiguous(self, seeded: Seeded) -> None:
        """A prefix of two runs is refused."""
        with seeded.engine().connect() as conn:
            conn.execute(update(tables.runs).where(tables.runs.c.id == 1).values(run="22221111"))
            with pytest.raises(ConfigError, match="more than one run"):
                find_run(conn, "2222")
            conn.rollback()

    def test_none_recorded(self, empty: Engine) -> None:
        """An empty database has no verdict to give."""
        with empty.connect() as conn, pytest.raises(NoVerdictError):
            find_run(conn, "latest")


class TestRuns:
    def test_list_newest_first(self, conn: Connection) -> None:
        """Runs come newest first, with their verdict."""
        assert [(run.run, run.verdict) for run in list_runs(conn)] == [
            (RUNNING, None),
            (FINISHED, "breached"),
        ]
        assert [run.run for run in list_runs(conn, limit=1)] == [RUNNING]
        assert {key: run.run for key, run in runs_by_key(conn, [1]).items()} == {1: FINISHED}

    def test_duration(self, conn: Connection) -> None:
        """A finished run's length is fixed, a running one's grows."""
        assert float(LENGTH_S) == find_run(conn, FINISHED).duration_s(NOW + 999)
        assert find_run(conn, RUNNING).duration_s(NOW + 5) == LENGTH_S + 5.0

    def test_verdict(self, conn: Connection) -> None:
        """A verdict comes with its parsed body."""
        found = run_verdict(conn, 1)
        assert found is not None
        assert (found.verdict, found.exit_code) == ("breached", 1)
        assert found.body["reasons"] == ["http: p95 latency 612.4 ms > 300 ms"]
        assert run_verdict(conn, 2) is None


class TestLedger:
    def test_closed(self, conn: Connection) -> None:
        """A closed process has nothing pending; its drops balance."""
        ledger = run_ledger(conn, 1)
        assert (
            ledger.produced,
            ledger.stored,
            ledger.pending,
            dict(ledger.dropped),
            ledger.is_balanced,
        ) == (22_800, 22_795, 0, {"handover_full": 5}, True)

    def test_open(self, conn: Connection) -> None:
        """What open processes have produced and not yet stored is pending, summed over them."""
        ledger = run_ledger(conn, 2)
        assert (ledger.produced, ledger.stored, ledger.pending) == (45_600, 45_566, 34)

    def test_lost_process(self, seeded: Seeded) -> None:
        """A lost process has nothing on its way: what it did not store leaves the ledger unbalanced."""
        with seeded.engine().connect() as conn:
            conn.execute(update(tables.processes).where(tables.processes.c.id == 3).values(state="lost"))
            ledger = run_ledger(conn, 2)
            conn.rollback()
        assert (ledger.pending, ledger.is_balanced) == (17, False)

    def test_evicted(self, own_seeded: Seeded) -> None:
        """Raw records that had to go after roll-up count as dropped by a full spool, and are not pending."""
        process = tables.processes
        with own_seeded.engine().begin() as conn:
            conn.execute(
                update(process).where(process.c.id == 3).values(evicted=10, dropped='{"spool_full": 2}')
            )
            ledger = run_ledger(conn, 2)
        assert ({"spool_full": 12}, 22) == (dict(ledger.dropped), ledger.pending)

    def test_no_process(self, conn: Connection) -> None:
        """A run without a process has an empty ledger."""
        assert run_ledger(conn, 99).produced == 0


class TestRunTotals:
    @pytest.mark.parametrize("run", [FINISHED, RUNNING])
    def test_counts(self, conn: Connection, seeded: Seeded, run: str) -> None:
        """Counts over all processes are exact."""
        totals = run_summary(conn, find_run(conn, run).id).protocols
        expected = seeded.expected[run]
        assert set(expected) == set(totals)
        for protocol, seen in totals.items():
            want = expected[protocol]
            assert (want.count, want.errors, want.interrupted, want.answered) == (
                seen.count,
                seen.errors,
                seen.interrupted,
                seen.answered,
            )
            assert pytest.approx(want.errors / (want.count - want.interrupted)) == seen.error_rate

    def test_latencies(self, conn: Connection, seeded: Seeded) -> None:
        """Percentiles are those of the exchanges; connects and pushes are left out."""
        totals = run_summary(conn, 2).protocols
        for protocol, want in seeded.expected[RUNNING].items():
            seen = totals[protocol]
            assert len(want.latencies_ms) == seen.latency_samples
            assert pytest.approx(sum(want.latencies_ms) / len(want.latencies_ms)) == seen.mean_ms
            assert (min(want.latencies_ms), max(want.latencies_ms)) == (seen.min_ms, seen.max_ms)
            for percent, value in ((50, seen.p50_ms), (95, seen.p95_ms), (99, seen.p99_ms)):
                assert is_rank(value, percent, want.latencies_ms), f"{protocol} p{percent}"
        # The connects take 400 ms in the middle: counted in, they would be the websocket's tail.
        assert totals["websocket"].p99_ms is not None
        assert totals["websocket"].p99_ms < 150

    def test_over_all_protocols(self, conn: Connection, seeded: Seeded) -> None:
        """The sum covers every protocol."""
        everything = run_summary(conn, 1).everything
        values = [value for want in seeded.expected[FINISHED].values() for value in want.latencies_ms]
        assert sum(want.count for want in seeded.expected[FINISHED].values()) == everything.count
        assert is_rank(everything.p95_ms, 95, values)

    def test_nothing_recorded(self, conn: Connection) -> None:
        """A run without rollups has no protocols and no percentiles."""
        _, protocols, everything = run_summary(conn, 99)
        assert protocols == {}
        assert (everything.count, everything.error_rate, everything.p95_ms) == (0, None, None)

    def test_endpoints(self, conn: Connection) -> None:
        """Each endpoint and operation has a row of its own, also what counts in no percentile."""
        endpoints = run_summary(conn, 1).endpoints
        assert sorted(one[:4] for one in SERIES) == [tuple(key) for key, _ in endpoints]
        by_key = {(key.operation, key.endpoint): totals for key, totals in endpoints}
        assert by_key["connect", "/ws/mobile/sync/"].p50_ms == pytest.approx(400, rel=0.3)
        assert by_key["push", "/ws/mobile/sync/"].p50_ms is None
        assert by_key["POST", HOSTILE].count > 0


class TestTimeline:
    def test_seconds(self, conn: Connection, seeded: Seeded) -> None:
        """A run of ten minutes is shown second by second, and nothing of it is lost."""
        timeline = run_timeline(conn, find_run(conn, FINISHED), now=NOW)
        assert timeline.period_s == 1
        assert list(range(int(NOW) - 7200, int(NOW) - 7200 + LENGTH_S)) == timeline.starts
        expected = seeded.expected[FINISHED]
        answered = {
            name: sum(value or 0 for value in curves.throughput_rps)
            for name, curves in timeline.curves.items()
        }
        assert {name: want.answered for name, want in expected.items()} == {
            name: value for name, value in answered.items() if name != "all"
        }
        assert sum(want.answered for want in expected.values()) == answered["all"]

    def test_periods(self, conn: Connection) -> None:
        """A longer period can be asked for; throughput stays per second."""
        run = find_run(conn, FINISHED)
        seconds, minutes = run_timeline(conn, run, now=NOW), run_timeline(conn, run, now=NOW, period_s=60)
        assert minutes.period_s == 60
        assert len(minutes.starts) in (10, 11)
        assert all(start % 60 == 0 for start in minutes.starts)
        middle = [value or 0 for value in minutes.curves["http"].throughput_rps][1:-1]
        fine = [value or 0 for value in seconds.curves["http"].throughput_rps]
        assert sum(fine) / len(fine) == pytest.approx(sum(middle) / len(middle), rel=0.1)

    def test_spike_is_visible(self, conn: Connection) -> None:
        """The sixth minute's latency spike shows on HTTP and on HTTP alone."""
        timeline = run_timeline(conn, find_run(conn, FINISHED), now=NOW, period_s=60)
        for protocol, factor in (("http", 2.0), ("mqtt", 0.0)):
            p95 = timeline.curves[protocol].p95_ms
            spike, calm = max(p95[5] or 0, p95[6] or 0), p95[2] or 1
            assert (spike > 2 * calm) is bool(factor)

    def test_since(self, conn: Connection) -> None:
        """A poll fetches the tail only; the second still filling is not shown."""
        run = find_run(conn, RUNNING)
        timeline = run_timeline(conn, run, now=NOW, period_s=1, since=int(NOW) - 5)
        assert [int(NOW) - 5, int(NOW) - 4, int(NOW) - 3, int(NOW) - 2] == timeline.starts
        assert 4 == len(timeline.curves["all"].p95_ms) == len(timeline.users)

    def test_never_more_than_600_points(self, conn: Connection) -> None:
        """A run that has gone on for a day still fits a chart, its newest part first."""
        run = find_run(conn, RUNNING)
        fitted = run_timeline(conn, run, now=NOW + 86_400)
        assert fitted.period_s == 3600
        newest = run_timeline(conn, run, now=NOW + 86_400, period_s=1)
        assert len(newest.starts) == 600
        assert int(NOW + 86_400) - 2 == newest.starts[-1]

    def test_users(self, conn: Connection) -> None:
        """Users are summed over workers, without the master that mirrors them."""
        timeline = run_timeline(conn, find_run(conn, RUNNING), now=NOW)
        assert (timeline.users[0], timeline.users[-1]) == (2, 40)
        assert peak_users(conn, find_run(conn, RUNNING), NOW) == 40

    def test_seconds_that_are_gone(self, own_seeded: Seeded) -> None:
        """After two weeks a short run is drawn by the minute, and nobody knows its users any more."""
        with own_seeded.engine().begin() as conn:
            conn.execute(delete(tables.rollups).where(tables.rollups.c.period_s == 1))
            conn.execute(delete(tables.gauges))
        later = NOW + 15 * 86_400
        with own_seeded.engine().connect() as conn:
            run = find_run(conn, FINISHED)
            timeline, most = run_timeline(conn, run, now=later), peak_users(conn, run, later)
        assert (60, None) == (timeline.period_s, most)
        answered = [value for value in timeline.curves["all"].throughput_rps if value]
        assert len(timeline.starts) - 1 <= len(answered)

    def test_gap_in_gauges(self, seeded: Seeded) -> None:
        """A gauge that is missing for a moment does not look like users that have left."""
        with seeded.engine().connect() as conn:
            conn.execute(text(f"DELETE FROM gauges WHERE process_id = 3 AND start = {int(NOW) - 10}"))
            timeline = run_timeline(conn, find_run(conn, RUNNING), now=NOW)
            conn.rollback()
        assert {40} == set(timeline.users[-20:])


class TestLive:
    def test_window(self, conn: Connection, seeded: Seeded) -> None:
        """The overview covers the last sixty seconds, no more."""
        live = live_overview(conn, find_run(conn, RUNNING), NOW)
        assert live.seconds == 59.0
        assert {"http", "mqtt", "websocket"} == set(live.protocols)
        whole = sum(want.count for want in seeded.expected[RUNNING].values())
        assert whole / LENGTH_S * 59 == pytest.approx(live.everything.count, rel=0.1)
        assert (40, int(NOW) - 1) == (live.users, live.last_data_at)

    def test_run_that_just_began(self, conn: Connection) -> None:
        """A run that is two seconds old is not averaged over a minute."""
        run = find_run(conn, RUNNING)
        assert live_overview(conn, run, run.started_at + 2).seconds == 2.0

    def test_silence(self, conn: Connection) -> None:
        """A run that no longer sends shows nothing, and since when."""
        live = live_overview(conn, find_run(conn, RUNNING), NOW + 300)
        assert (0, int(NOW) - 1) == (live.everything.count, live.last_data_at)

    def test_second_counts(self, conn: Connection, seeded: Seeded) -> None:
        """Over the whole run the seconds' counts add up to the totals without the interrupted ones."""
        counts = second_counts(conn, 2, int(NOW) - LENGTH_S, int(NOW))
        expected = seeded.expected[RUNNING]
        assert {(one[0], one[2]) for one in SERIES} == {name for second in counts.values() for name in second}
        for protocol, want in expected.items():
            seen = [
                pair for second in counts.values() for name, pair in second.items() if name[0] == protocol
            ]
            assert (want.count - want.interrupted, want.errors) == (
                sum(judged for judged, _ in seen),
                sum(errors for _, errors in seen),
            )
        assert second_counts(conn, 2, int(NOW), int(NOW) + 30) == {}


class TestSignatures:
    def test_worst_first(self, conn: Connection) -> None:
        """The list begins with what matters most."""
        severities = [signature.severity for signature in list_signatures(conn)]
        assert severities == ["critical", "error", "warning", "warning", "info"]

    def test_newest_first(self, conn: Connection) -> None:
        """The overview wants what appeared last."""
        found = list_signatures(conn, SignatureFilter(run_id=2), newest_first=True, limit=2)
        assert [signature.anomaly_type for signature in found] == ["schema_drift", "slow_mqtt"]

    @pytest.mark.parametrize(
        ("wanted", "types"),
        [
            (SignatureFilter(severity="error"), ["server_error"]),
            (SignatureFilter(anomaly_type="slow_mqtt"), ["slow_mqtt"]),
            (SignatureFilter(status="resolved"), []),
            (SignatureFilter(severity="info", run_id=1), []),
            (SignatureFilter(severity="info", run_id=2), ["schema_drift"]),
        ],
    )
    def test_filters(self, conn: Connection, wanted: SignatureFilter, types: list[str]) -> None:
        """Each filter narrows the list."""
        assert types == [signature.anomaly_type for signature in list_signatures(conn, wanted)]

    def test_counts_of_one_run(self, conn: Connection) -> None:
        """Asked for a run, counts and times are that run's."""
        everywhere = find_signature(conn, 1)
        (inside,) = list_signatures(conn, SignatureFilter(anomaly_type="slow_http", run_id=1))
        assert everywhere is not None
        assert everywhere.count == 3 * inside.count
        assert NOW - 7200 + 60 == inside.first_seen == everywhere.first_seen
        assert inside.last_seen < everywhere.last_seen

    def test_fixes(self, conn: Connection) -> None:
        """Suggestions come with their steps, highest priority first."""
        fixes = fixes_of(conn, [1, 2])
        assert {1, 2} == set(fixes)
        assert [fix.title for fix in fixes[1]] == ["Add an index for the slow query", "Cache the answer"]
        assert len(fixes[1][0].steps) == 3

    def test_sightings(self, conn: Connection) -> None:
        """A signature knows the runs it occurred in."""
        seen = sightings(conn, "f000000000000001")
        assert [sighting.run_id for sighting in seen] == [2, 1]
        assert 2 * seen[1].count == seen[0].count

    def test_timeline(self, conn: Connection) -> None:
        """Occurrences over time are summed over processes, in buckets of ten seconds."""
        width, counts = occurrence_timeline(conn, 2, "f000000000000001")
        (signature,) = list_signatures(conn, SignatureFilter(anomaly_type="slow_http", run_id=2))
        assert width == 10
        assert signature.count == sum(counts.values())
        assert occurrence_timeline(conn, 2, "unknown") == (10, {})

    def test_long_timeline_gets_wider_buckets(self, seeded: Seeded) -> None:
        """A day of occurrences still fits a chart."""
        with seeded.engine().connect() as conn:
            conn.execute(
                text(
                    "INSERT INTO occurrences SELECT process_id, fingerprint, start + 86400, count, "
                    "first_at, last_at, rule, anomaly_type, severity, protocol, endpoint, error_class, "
                    "message, exemplars, counted "
                    "FROM occurrences WHERE process_id = 3"
                )
            )
            width, counts = occurrence_timeline(conn, 2, "f000000000000001")
            conn.rollback()
        assert width == 150
        assert all(start % 150 == 0 for start in counts)

    def test_exemplars(self, conn: Connection) -> None:
        """Examples come newest first; a window's finding stands for itself by its message and time."""
        found = exemplars_of(conn, 2, "f000000000000001")
        times = [exemplar.fields["at"] for exemplar in found]
        assert sorted(times, reverse=True) == times
        assert found[0].fields["error"] == "boom <b>bold</b>"
        (window, *_) = exemplars_of(conn, 2, "f000000000000003")
        assert {"at"} == set(window.fields)
        assert window.message == "latency_ms 312.5 > 200"
        assert len(exemplars_of(conn, 2, "f000000000000001", limit=2)) == 2


def conditions(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (table, how it is searched) from a plan of PostgreSQL; a full scan has no condition."""
    if plan["Node Type"] not in ("Bitmap Heap Scan", "Bitmap Index Scan") and "Relation Name" in plan:
        yield plan["Relation Name"], f"{plan.get('Index Name')} {plan.get('Index Cond', '')}"
    for part in plan.get("Plans", ()):
        if plan["Node Type"] == "Bitmap Heap Scan":
            yield plan["Relation Name"], part.get("Index Cond", "")
        yield from conditions(part)


class TestPlans:
    """No query reads more than it must: each plan is a search by the beginning of a primary key."""

    @pytest.fixture(autouse=True)
    def observed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let statements go through SQLAlchemy that would go through the driver's own binary cursor."""
        for module in (rollup_queries, timeline_queries):
            monkeypatch.setattr(module, "fetch_binary", lambda conn, statement: conn.execute(statement).all())

    def searches(self, engine: Engine, query: Any, *forbidden: str) -> list[tuple[str, str]]:
        """Return (table, how it is searched) for every table that *query* touches.

        PostgreSQL plans as if each of *forbidden* (seqscan, …) cost much: its choice among small tables says
        nothing, but what it falls back to can serve the query.
        """
        statements: list[tuple[str, Any]] = []

        def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
            statements.append((statement, parameters))

        event.listen(engine, "before_cursor_execute", note)
        try:
            read(engine, query)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        with engine.connect() as conn:
            if engine.dialect.name == "postgresql":
                # A table as small as these would be read from end to end, whatever its indexes.
                for way in ("seqscan", *forbidden):
                    conn.exec_driver_sql(f"SET enable_{way} = off")
                plans = [
                    conn.exec_driver_sql("EXPLAIN (FORMAT JSON) " + statement, parameters).scalar_one()
                    for statement, parameters in statements
                ]
                return [one for plan in plans for one in conditions(plan[0]["Plan"])]
            lines = [
                str(row[3])
                for statement, parameters in statements
                for row in conn.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)
            ]
        words = [f"{line} ".split(" ", 2) for line in lines if line.startswith(("SEARCH", "SCAN"))]
        return [(one[1], one[2] if one[0] == "SEARCH" else "") for one in words]

    @pytest.mark.parametrize(
        "query",
        [
            lambda conn: live_overview(conn, find_run(conn, "latest"), NOW),
            lambda conn: run_timeline(conn, find_run(conn, "latest"), now=NOW),
            lambda conn: run_summary(conn, 2),
            lambda conn: second_counts(conn, 2, 0, 30),
            lambda conn: list_signatures(conn, SignatureFilter(run_id=2)),
            lambda conn: sightings(conn, "f000000000000001"),
            lambda conn: exemplars_of(conn, 2, "f000000000000001"),
            lambda conn: occurrence_timeline(conn, 2, "f000000000000001"),
            lambda conn: peak_users(conn, find_run(conn, "latest"), NOW),
        ],
    )
    def test_big_tables_are_never_scanned(self, seeded_engine: Engine, query: Any) -> None:
        """Rollups, gauges and occurrences are searched by key, records not touched at all."""
        found = self.searches(seeded_engine, query)
        big = [one for one in found if one[0] in ("rollups", "gauges", "occurrences")]
        assert big
        assert [table for table, how in big if "process_id" not in how and "fingerprint" not in how] == []
        assert "records" not in {table for table, _ in found}

    @pytest.mark.parametrize(
        ("index", "query"),
        [
            ("ix_gauges_sampled", lambda conn: peak_users(conn, find_run(conn, "latest"), NOW + 86_400)),
            ("ix_occurrences_seen", lambda conn: list_signatures(conn, SignatureFilter(run_id=2))),
        ],
    )
    def test_long_runs_are_counted_from_an_index(self, seeded_engine: Engine, index: str, query: Any) -> None:
        """A day has 86,400 gauges and as many occurrences as there are anomalies."""
        found = self.searches(seeded_engine, query, "bitmapscan")
        assert any(index in how for _table, how in found), found

    def test_live_window_uses_the_whole_prefix(self, seeded_engine: Engine) -> None:
        """The overview's search is bounded by process, period and start."""
        found = self.searches(seeded_engine, lambda conn: live_overview(conn, find_run(conn, "latest"), NOW))
        prefix = ("process_id", "period_s", "start")
        assert any(all(name in how for name in prefix) for table, how in found if table == "rollups"), found


def test_expected_is_not_empty(seeded: Seeded) -> None:
    """The seeded database has traffic to be wrong about."""
    assert all(isinstance(want, Expected) and want.count > 1000 for want in seeded.expected[RUNNING].values())
