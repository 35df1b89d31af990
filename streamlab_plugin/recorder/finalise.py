"""The end of a run: wait for its streams, then decide the verdict."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from streamlab_plugin.slo.verdict import Verdict, decide, left_out
from streamlab_plugin.store import run_writer
from streamlab_plugin.store.degradation import degradations
from streamlab_plugin.store.facts import run_facts

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from streamlab_plugin.detect.delivery import Deliveries
    from streamlab_plugin.recorder.run import Run
    from streamlab_plugin.slo.verdict import RunFacts

# How long after the test has stopped a stream may still be open.
BARRIER_S = 20.0


class Finished(NamedTuple):
    """How a run ended; ``text`` is for Locust's log."""

    state: str
    verdict: str
    exit_code: int
    text: str


def may_finalise(run: Run, connection: Connection) -> bool:
    """Whether every expected stream has ended, or waiting longer makes no sense."""
    assert run.key is not None
    processes = run_writer.processes_of(connection, run.key)
    workers = sum(process.role == "worker" for process in processes)
    if workers >= run.expected_workers and all(process.state != "open" for process in processes):
        return True
    return run.stop_heard_at is not None and time.monotonic() - run.stop_heard_at >= BARRIER_S


def finalise(run: Run, connection: Connection) -> Finished:
    """Decide and store state and verdict of a run whose streams have ended."""
    assert run.key is not None
    assert run.stopped_at is not None
    processes = run_writer.processes_of(connection, run.key)
    problems = [*run.problems, *_missing(processes, run.expected_workers)]
    windows = degradations(connection, processes, run.stopped_at)
    objectives = run.settings.objectives
    with connection.begin():
        facts = run_facts(
            connection,
            run.key,
            problems=tuple(problems),
            is_ending=True,
            include_faulted=objectives.include_injected_faults,
        )
    verdict = decide(facts, objectives)
    body: dict[str, Any] = {**verdict.to_dict(), "problems": problems}
    stored = {
        "verdict": verdict.kind,
        "exit_code": verdict.exit_code,
        "decided_at": time.time(),
        "body": json.dumps(body, ensure_ascii=False),
    }
    generating = [process for process in processes if process.role != "master"]
    if not any(process.state == "closed" for process in generating):
        state = "failed"  # nothing that made load came to its end
    else:
        state = "degraded" if problems or windows else "completed"
    # In one transaction: a run is either still running, for whoever comes next, or has its verdict.
    deliveries = run_writer.finish_run(
        connection, run.key, state=state, stopped_at=run.stopped_at, degradations=windows, verdict=stored
    )
    return Finished(state, verdict.kind, verdict.exit_code, _text(run, verdict, facts, deliveries))


def _missing(processes: list[run_writer.ProcessState], expected_workers: int) -> list[str]:
    problems = []
    workers = sum(process.role == "worker" for process in processes)
    if still_open := sum(process.state == "open" for process in processes):
        problems.append(f"{still_open} of {len(processes)} processes did not end their stream")
    if workers < expected_workers:
        problems.append(f"{workers} of {expected_workers} workers were recorded")
    if lost := sum(process.state == "lost" for process in processes):
        problems.append(f"{lost} of {len(processes)} processes were lost before they had ended their stream")
    return problems


def _text(run: Run, verdict: Verdict, facts: RunFacts, deliveries: Deliveries | None) -> str:
    lines = [
        f"Streamlab: verdict {verdict.kind} (exit code {verdict.exit_code})",
        *(f"Streamlab:   {reason}" for reason in (*verdict.reasons, *left_out(facts))),
        f"Streamlab: ledger {facts.ledger.text()}",
        *([] if deliveries is None else [f"Streamlab: messages {deliveries.everything.text()}"]),
        f"Streamlab: look with: streamlab runs show {run.row.run[:8]}",
    ]
    return "\n".join(lines)
