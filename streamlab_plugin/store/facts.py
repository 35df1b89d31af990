"""The facts that a verdict needs, from rollups and the processes' totals."""

from __future__ import annotations

import json
import time

from sqlalchemy import Connection, select

from streamlab_plugin.slo.verdict import ProtocolFacts, RunFacts
from streamlab_plugin.store import tables
from streamlab_plugin.store.rollup_queries import WHOLE_RUN, Totals, read_rollups, summarise
from streamlab_plugin.store.run_queries import RUNNING, process_ids, run_ledger


def run_facts(
    connection: Connection,
    run_id: int,
    problems: tuple[str, ...] = (),
    *,
    is_ending: bool = False,
    include_faulted: bool = False,
) -> RunFacts:
    """Return what is known of a run; *problems* are reasons why its data may be incomplete.

    With *is_ending* it counts as finished: its end and its verdict are about to be stored. Exchanges that
    injected faults touched are left out and counted as such, unless *include_faulted*.
    """
    runs = tables.runs.c
    run = connection.execute(
        select(runs.state, runs.started_at, runs.stopped_at).where(runs.id == run_id)
    ).one()
    end = time.time() if run.stopped_at is None else run.stopped_at
    found = read_rollups(connection, process_ids(connection, run_id), WHOLE_RUN)
    everything = summarise(found).protocols
    judged = everything
    if not include_faulted and any(key.is_faulted for key in found.series.values()):
        judged = summarise(found.without_faulted()).protocols
    return RunFacts(
        state="running" if run.state == RUNNING and not is_ending else "finished",
        duration_s=max(0.0, end - run.started_at),
        protocols={
            name: _protocol(judged.get(name, Totals()), totals.count) for name, totals in everything.items()
        },
        ledger=run_ledger(connection, run_id),
        problems=problems,
    )


def run_problems(connection: Connection, run_id: int) -> tuple[str, ...]:
    """Return the problems that the run's recorder noted when it finalised the run."""
    body = connection.scalar(select(tables.verdicts.c.body).where(tables.verdicts.c.run_id == run_id))
    state = connection.scalar(select(tables.runs.c.state).where(tables.runs.c.id == run_id))
    noted = tuple(json.loads(body).get("problems", ())) if body else ()
    if state == "aborted":
        noted += ("the run was aborted: its owner vanished before the test had stopped",)
    return noted


def _protocol(totals: Totals, requests: int) -> ProtocolFacts:
    return ProtocolFacts(
        count=totals.count,
        errors=totals.errors,
        answered=totals.answered,
        interrupted=totals.interrupted,
        latency_samples=totals.latency_samples,
        p95_latency_ms=totals.p95_ms,
        p50_latency_ms=totals.p50_ms,
        p99_latency_ms=totals.p99_ms,
        faulted=requests - totals.count,
    )
