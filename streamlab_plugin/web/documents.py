"""What a page shows and its API answers: one document for both, made of plain values.

Every function runs outside the event loop, on a connection of its own, and knows nothing of Flask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from streamlab_plugin.core.arrival import Counts
from streamlab_plugin.core.errors import NoVerdictError
from streamlab_plugin.core.ledger import Ledger
from streamlab_plugin.detect.delivery import Deliveries
from streamlab_plugin.privacy import tally
from streamlab_plugin.store import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from streamlab_plugin.web.memory import Memory

Document = dict[str, Any]

NEWEST = 8
# Silence this long in a running run is worth a word (seconds).
QUIET_S = 15


def overview(conn: Connection, memory: Memory, wanted: str, now: float) -> Document:
    """Return the run *wanted*: live, or as a whole once it is over; ``run`` is None if there is no run."""
    try:
        run = queries.find_run(conn, wanted)
    except NoVerdictError:
        return {"run": None, "protocols": [], "anomalies": []}
    if run.is_live:
        live = queries.live_overview(conn, run, now)
        protocols, everything, seconds = live.protocols, live.everything, live.seconds
        last = live.last_data_at
        users: int | None = live.users
        scope = "last 60 s"
        is_quiet = now - (last if last is not None else run.started_at) > QUIET_S
    else:
        summary = _summary(conn, memory, run)
        protocols, everything = summary.protocols, summary.everything
        seconds = run.duration_s(now)
        users = queries.peak_users(conn, run, now)
        scope, last, is_quiet = "whole run", None, False
    newest = queries.list_signatures(
        conn, queries.SignatureFilter(run_id=run.id), limit=NEWEST, newest_first=True
    )
    return {
        "run": _run(run, now),
        "scope": scope,
        "users": users,
        "users_are": "now" if run.is_live else "most at once",
        "last_data_at": last,
        "is_quiet": is_quiet,
        "totals": _totals(everything, seconds),
        "protocols": _protocols(protocols, seconds),
        "anomalies": _signatures(conn, newest),
        "ledger": _ledger(queries.run_ledger(conn, run.id)),
    }


def runs(conn: Connection, limit: int, now: float) -> Document:
    """Return the newest runs with verdict and record counts."""
    found = queries.list_runs(conn, limit)
    ledgers = queries.run_ledgers(conn, [run.id for run in found])
    return {"runs": [{**_run(run, now), "ledger": _ledger(ledgers.get(run.id, Ledger()))} for run in found]}


def run(conn: Connection, memory: Memory, wanted: str, now: float) -> Document:
    """Return one run: verdict, ledger, totals, endpoints, anomalies."""
    found = queries.find_run(conn, wanted)
    seconds = found.duration_s(now)
    summary = _summary(conn, memory, found)
    signatures = queries.list_signatures(conn, queries.SignatureFilter(run_id=found.id))
    return {
        "run": _run(found, now),
        "verdict": _verdict(queries.run_verdict(conn, found.id)),
        "ledger": _ledger(queries.run_ledger(conn, found.id)),
        "privacy": _privacy(queries.run_privacy(conn, found.id)),
        "arrivals": _arrivals(queries.run_arrivals(conn, found.id)),
        "deliveries": _deliveries(queries.run_deliveries(conn, found.id)),
        "users": queries.peak_users(conn, found, now),
        "totals": _totals(summary.everything, seconds),
        "protocols": _protocols(summary.protocols, seconds),
        "responses": _responses(summary),
        "endpoints": _endpoints(summary, seconds),
        "anomalies": _signatures(conn, signatures),
    }


def endpoints(conn: Connection, memory: Memory, wanted: str, now: float) -> Document:
    """Return the endpoints of one run."""
    found = queries.find_run(conn, wanted)
    summary = _summary(conn, memory, found)
    return {"run": found.run, "endpoints": _endpoints(summary, found.duration_s(now))}


def timeline(
    conn: Connection,
    memory: Memory,
    wanted: str,
    now: float,
    *,
    period_s: int | None,
    since: int | None,
    last_s: int | None,
) -> Document:
    """Return one run over time, as `store.timeline_queries.Timeline`; *last_s* counts back from its end."""
    found = queries.find_run(conn, wanted)
    if last_s is not None:
        since = int(found.stopped_at or now) - last_s
    line = memory.recall(
        conn,
        found,
        ("timeline", period_s, since),
        lambda: queries.run_timeline(conn, found, now=now, period_s=period_s, since=since),
    )
    return {
        "run": found.run,
        "is_live": found.is_live,
        "period_s": line.period_s,
        "starts": list(line.starts),
        "users": list(line.users),
        "curves": {
            name: {
                "throughput_rps": curves.throughput_rps,
                "error_rate": curves.error_rate,
                "p50_ms": curves.p50_ms,
                "p95_ms": curves.p95_ms,
                "p99_ms": curves.p99_ms,
            }
            for name, curves in line.curves.items()
        },
    }


def anomalies(
    conn: Connection,
    *,
    severity: str | None,
    status: str | None,
    anomaly_type: str | None,
    wanted: str | None,
    limit: int,
) -> Document:
    """Return signatures, the worst and most recent first, with what can be filtered by."""
    run_id = queries.find_run(conn, wanted).id if wanted else None
    chosen = queries.SignatureFilter(severity, status, anomaly_type, run_id)
    return {
        "anomalies": _signatures(conn, queries.list_signatures(conn, chosen, limit=limit)),
        "types": queries.anomaly_types(conn),
    }


def anomaly(conn: Connection, signature_id: int, wanted: str | None) -> Document | None:
    """Return one signature with what to try, and its occurrences in the run *wanted* (default: the last)."""
    signature = queries.find_signature(conn, signature_id)
    if signature is None:
        return None
    seen = queries.sightings(conn, signature.fingerprint)
    known = queries.runs_by_key(conn, [sighting.run_id for sighting in seen])
    run_id = queries.find_run(conn, wanted).id if wanted else signature.last_run_id
    shown = known.get(run_id)
    width, counts = queries.occurrence_timeline(conn, run_id, signature.fingerprint)
    starts = range(min(counts) - 3 * width, max(counts) + 4 * width, width) if counts else range(0)
    fixes = queries.fixes_of(conn, [signature.id]).get(signature.id, [])
    return {
        "signature": {**_signature(signature, fixes), "confidence": _best_confidence(fixes)},
        "fixes": [_fix(fix) for fix in fixes],
        "runs": [
            {
                "run": known[sighting.run_id].run,
                "short": known[sighting.run_id].run[:8],
                "name": known[sighting.run_id].name,
                "count": sighting.count,
                "first_seen": sighting.first_seen,
                "last_seen": sighting.last_seen,
            }
            for sighting in seen
            if sighting.run_id in known
        ],
        "run": {"run": shown.run, "short": shown.run[:8], "name": shown.name} if shown else None,
        "timeline": {
            "period_s": width,
            "starts": list(starts),
            "counts": [counts.get(start, 0) for start in starts],
        },
        "exemplars": [
            {
                "process": exemplar.process[:8],
                "message": exemplar.message,
                **{
                    name: exemplar.fields.get(name)
                    for name in ("at", "seq", "latency_ms", "status", "outcome", "error", "correlation_id")
                },
            }
            for exemplar in queries.exemplars_of(conn, run_id, signature.fingerprint)
        ],
    }


def _run(run: queries.Run, now: float) -> Document:
    return {
        "run": run.run,
        "short": run.run[:8],
        "name": run.name,
        # Between test_stop and the verdict a run is neither running nor over.
        "state": "finishing" if run.state == "running" and not run.is_live else run.state,
        "is_live": run.is_live,
        "started_at": run.started_at,
        "stopped_at": run.stopped_at,
        "duration_s": round(run.duration_s(now)),
        "host": run.host,
        "locustfile": run.locustfile,
        "versions": dict(run.versions),
        "tags": dict(run.tags),
        "degradations": [_degradation(one) for one in run.degradations],
        "verdict": run.verdict,
        "exit_code": run.exit_code,
    }


def _degradation(window: Mapping[str, Any]) -> Document:
    return {
        "process": str(window["process"])[:8],
        "role": window["role"],
        "since": window["since"],
        "until": window["until"],
        "duration_s": round(window["until"] - window["since"], 1),
        "users": window["users"],
    }


def _totals(totals: queries.Totals, seconds: float) -> Document:
    return {
        "count": totals.count,
        "errors": totals.errors,
        "timeouts": totals.timeouts,
        "interrupted": totals.interrupted,
        "answered": totals.answered,
        "throughput_rps": round(totals.answered / seconds, 3) if seconds > 0 else None,
        "error_rate": totals.error_rate,
        "latency_samples": totals.latency_samples,
        "min_ms": totals.min_ms,
        "mean_ms": totals.mean_ms,
        "max_ms": totals.max_ms,
        "p50_ms": totals.p50_ms,
        "p95_ms": totals.p95_ms,
        "p99_ms": totals.p99_ms,
        "size_bytes": totals.size_bytes,
    }


def _protocols(protocols: Mapping[str, queries.Totals], seconds: float) -> list[Document]:
    return [{"protocol": name, **_totals(totals, seconds)} for name, totals in protocols.items()]


def _summary(conn: Connection, memory: Memory, run: queries.Run) -> queries.Summary:
    return memory.recall(conn, run, ("summary",), lambda: queries.run_summary(conn, run.id))


def _endpoints(summary: queries.Summary, seconds: float) -> list[Document]:
    return [{**key._asdict(), **_totals(totals, seconds)} for key, totals in summary.endpoints]


def _responses(summary: queries.Summary) -> list[Document]:
    """Return service time beside response time, by protocol; nothing without a schedule."""
    return [
        {
            "protocol": name, "p50_ms": one.p50_ms, "p95_ms": one.p95_ms, "p99_ms": one.p99_ms,
            "response_p50_ms": one.response_p50_ms, "response_p95_ms": one.response_p95_ms,
            "response_p99_ms": one.response_p99_ms,
        }
        for name, one in summary.protocols.items()
        if one.response_p50_ms is not None
    ]  # fmt: skip


def _ledger(ledger: Ledger) -> Document:
    # What is on its way is normal during a run, so only a gap counts as unbalanced.
    settled = ledger.stored + ledger.spooled + ledger.quarantined + ledger.lost + ledger.pending
    state = "balanced" if ledger.is_balanced else "on the way" if settled == ledger.produced else "unbalanced"
    return {
        "produced": ledger.produced,
        "stored": ledger.stored,
        "erased": ledger.erased,
        "spooled": ledger.spooled,
        "pending": ledger.pending,
        "quarantined": ledger.quarantined,
        "dropped": dict(ledger.dropped),
        "lost": ledger.lost,
        "state": state,
    }


def _arrivals(counts: Counts | None) -> Document | None:
    return None if counts is None else counts.named()


def _privacy(counts: Mapping[str, int]) -> Document:
    """Return what redaction did, by action, and what its detectors found in texts, most first."""
    return {
        "actions": {name: counts[name] for name in tally.ACTIONS},
        "found": tally.found(counts),
        "found_text": tally.found_text(counts) or "nothing",
    }


def _deliveries(found: Deliveries | None) -> Document | None:
    return None if found is None else found.to_dict()


def _verdict(verdict: queries.Verdict | None) -> Document | None:
    if verdict is None:
        return None
    return {
        "verdict": verdict.verdict,
        "exit_code": verdict.exit_code,
        "decided_at": verdict.decided_at,
        "reasons": list(verdict.body.get("reasons") or []),
        "objectives": list(verdict.body.get("objectives") or []),
    }


def _signatures(conn: Connection, signatures: Sequence[queries.Signature]) -> list[Document]:
    fixes = queries.fixes_of(conn, [signature.id for signature in signatures])
    return [_signature(signature, fixes.get(signature.id, [])) for signature in signatures]


def _signature(signature: queries.Signature, fixes: Sequence[queries.Fix]) -> Document:
    return {
        "id": signature.id,
        "description": signature.description,
        "anomaly_type": signature.anomaly_type,
        "severity": signature.severity,
        "status": signature.status,
        "protocol": signature.protocol,
        "endpoint": signature.endpoint,
        "error_class": signature.error_class,
        "rule": signature.rule,
        "first_seen": signature.first_seen,
        "last_seen": signature.last_seen,
        "count": signature.count,
        "fix": fixes[0].title if fixes else None,
        "fix_confidence": fixes[0].confidence if fixes else None,
    }


def _fix(fix: queries.Fix) -> Document:
    return {
        "fix_type": fix.fix_type,
        "title": fix.title,
        "steps": list(fix.steps),
        "risk": fix.risk,
        "confidence": fix.confidence,
        "priority": fix.priority,
        "status": fix.status,
    }


def _best_confidence(fixes: Sequence[queries.Fix]) -> float | None:
    return max((fix.confidence for fix in fixes), default=None)
