"""The end of a run: wait for its streams, then decide the verdict."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from streamlab_plugin.slo.verdict import Verdict, decide
from streamlab_plugin.store import run_writer
from streamlab_plugin.store.facts import run_facts

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from streamlab_plugin.core.ledger import Ledger
    from streamlab_plugin.recorder.run import Run

# How long after the test has stopped a stream may still be open.
BARRIER_S = 20.0


def may_finalise(run: Run, connection: Connection) -> bool:
    """Whether every expected stream has ended, or waiting longer makes no sense; notes what is missing."""
    states = run_writer.stream_states(connection, run.row.id)
    workers = sum(role == "worker" for role, _state in states)
    still_open = sum(state == "open" for _role, state in states)
    if still_open or workers < run.expected_workers:
        if run.stop_heard_at is None or time.monotonic() - run.stop_heard_at < BARRIER_S:
            return False
        if still_open:
            run.problems.append(f"{still_open} of {len(states)} processes did not end their stream")
    if workers < run.expected_workers:
        run.problems.append(f"{workers} of {run.expected_workers} workers were recorded")
    if lost := sum(state == "lost" for _role, state in states):
        run.problems.append(f"{lost} of {len(states)} processes were lost before they had ended their stream")
    return True


def finalise(run: Run, connection: Connection) -> tuple[int, str]:
    """Decide and store the verdict of a run whose streams have ended; return its exit code and a text."""
    assert run.stopped_at is not None
    run_writer.finish_run(connection, run.row.id, state="completed", stopped_at=run.stopped_at, verdict=None)
    with connection.begin():
        facts = run_facts(connection, run.row.id, problems=tuple(run.problems))
    verdict = decide(facts, run.settings.objectives)
    body: dict[str, Any] = {**verdict.to_dict(), "problems": run.problems}
    stored = {
        "verdict": verdict.kind,
        "exit_code": verdict.exit_code,
        "decided_at": time.time(),
        "body": json.dumps(body, ensure_ascii=False),
    }
    state = "degraded" if run.problems else "completed"
    run_writer.finish_run(connection, run.row.id, state=state, stopped_at=run.stopped_at, verdict=stored)
    return verdict.exit_code, _text(run, verdict, facts.ledger)


def _text(run: Run, verdict: Verdict, ledger: Ledger) -> str:
    lines = [
        f"Streamlab: verdict {verdict.kind} (exit code {verdict.exit_code})",
        *(f"Streamlab:   {reason}" for reason in verdict.reasons),
        f"Streamlab: ledger {ledger.text()}",
        f"Streamlab: look with: streamlab runs show {run.row.run[:8]}",
    ]
    return "\n".join(lines)
