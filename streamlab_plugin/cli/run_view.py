"""One run as ``streamlab runs show`` shows it, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.markup import escape

from streamlab_plugin.cli.printable import printable
from streamlab_plugin.cli.reading import day_and_time, milliseconds, time_of_day
from streamlab_plugin.core.arrival import Counts
from streamlab_plugin.core.ledger import Ledger
from streamlab_plugin.detect.delivery import Deliveries
from streamlab_plugin.privacy.tally import tally_text
from streamlab_plugin.store import queries

_WORDS = {"process_lost": "lost"}


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of a run; ``window`` is set when only a part of it was asked for.

    ``errors`` are the frequent ones among the newest ``errors_seen`` failures, ``users_before`` the users
    just before each degradation. ``arrivals`` are those of a schedule, ``deliveries`` what became of
    published messages, ``privacy`` the counters of redaction, all of the whole run.
    """

    run: queries.Run
    window: queries.RangeSummary | None
    protocols: Mapping[str, queries.Totals]
    ledger: Ledger
    privacy: Mapping[str, int]
    arrivals: Counts | None
    deliveries: Deliveries | None
    verdict: queries.Verdict | None
    signatures: Sequence[queries.Signature]
    processes: Sequence[queries.Process]
    quarantined: Mapping[str, int]
    errors: Sequence[queries.ErrorCount]
    errors_seen: int
    users_before: Sequence[int | None]


def shown_dict(shown: Shown) -> dict[str, Any]:
    """Return the JSON answer without what is said about every run."""
    window, verdict = shown.window, shown.verdict
    return {
        "range": None if window is None else {
            "since": window.since, "until": window.until, "is_rounded": window.is_rounded,
        },
        "protocols": {
            name: {"count": one.count, "errors": one.errors, "p50_ms": one.p50_ms, "p95_ms": one.p95_ms,
                   "p99_ms": one.p99_ms, "response_p50_ms": one.response_p50_ms,
                   "response_p95_ms": one.response_p95_ms, "response_p99_ms": one.response_p99_ms}
            for name, one in shown.protocols.items()
        },
        "arrivals": None if shown.arrivals is None else shown.arrivals.named(),
        "deliveries": None if shown.deliveries is None else shown.deliveries.to_dict(),
        "ledger": shown.ledger.text(),
        "ledger_details": _ledger(shown.ledger),
        "privacy": dict(shown.privacy),
        "quarantined": dict(shown.quarantined),
        "processes": [
            {"id": one.process, "role": one.role, "pid": one.pid, "state": one.state,
             "opened_at": one.opened_at, "closed_at": one.closed_at, "ledger": _ledger(one.ledger),
             "clock": one.clock and dict(zip(("offset_ms", "uncertainty_ms"), one.clock, strict=True))}
            for one in shown.processes
        ],
        "errors": [asdict(one) for one in shown.errors],
        "errors_seen": shown.errors_seen,
        "verdict_details": None if verdict is None else dict(verdict.body),
        "anomalies": [
            {"type": one.anomaly_type, "endpoint": one.endpoint, "severity": one.severity, "count": one.count}
            for one in shown.signatures
        ],
    }  # fmt: skip


def shown_lines(shown: Shown, now: float) -> Iterator[str]:
    """Yield the text, line by line, in rich's markup."""
    run = shown.run
    yield f"[bold]{_text(run.name)}[/bold]  {run.run}"
    target = f", target {_text(run.host)}" if run.host else ""
    yield f"  {run.state}, started {day_and_time(run.started_at)} UTC, {run.duration_s(now):.0f} s{target}"
    if run.tags:
        yield f"  tags: {_text(' '.join(f'{name}={value}' for name, value in run.tags.items()))}"
    if shown.window is not None:
        yield f"  {_window(shown.window)}"
    for one, before in zip(run.degradations, shown.users_before, strict=True):
        yield f"  {_text(degradation(one, before))}"
    for name, totals in shown.protocols.items():
        yield (
            f"  {name:<10} {totals.count:>8,} requests  {totals.errors:>6,} errors  "
            f"p50 {milliseconds(totals.p50_ms)}  p95 {milliseconds(totals.p95_ms)}"
            f"  p99 {milliseconds(totals.p99_ms)}"
        )
        if totals.response_p50_ms is not None:
            yield (
                f"  {'':<10} {'response time, from the schedule':>33}  "
                f"p50 {milliseconds(totals.response_p50_ms)}  p95 {milliseconds(totals.response_p95_ms)}"
                f"  p99 {milliseconds(totals.response_p99_ms)}"
            )
    if shown.arrivals is not None:
        yield f"  {arrivals(shown.arrivals)}"
    if shown.deliveries is not None:
        yield f"  messages: {shown.deliveries.everything.text()}"
    yield f"  ledger: {shown.ledger.text()}"
    for reason, count in shown.quarantined.items():
        yield f"    quarantined {count:,}: {_text(reason)}"
    yield f"  privacy: {tally_text(shown.privacy)}"
    yield from _processes(shown.processes)
    yield from _errors(shown)
    for signature in shown.signatures:
        kind, endpoint = _text(signature.anomaly_type), _text(signature.endpoint)
        yield f"  {signature.severity:<8} {kind}  {endpoint}  {signature.count:,}x"
    if shown.verdict is None:
        yield "  no verdict: the run was aborted" if run.state == "aborted" else "  no verdict yet"
        return
    yield f"  verdict: {shown.verdict.verdict} (exit code {shown.verdict.exit_code})"
    for reason in shown.verdict.body.get("reasons", ()):
        yield f"    {_text(str(reason))}"


def arrivals(counts: Counts) -> str:
    """Return what became of a schedule's arrivals as one line."""
    parts = [f"arrivals: due {counts.due:,}", f"started {counts.started:,}", f"late {counts.late:,}"]
    return " · ".join([*parts, f"dropped {counts.dropped:,}"])


def degradation(window: Mapping[str, Any], users_before: int | None) -> str:
    """Return a degradation as a sentence."""
    kind = str(window["kind"])
    role, process = window.get("role") or "process", str(window.get("process") or "")
    name = f"{role} {process[:4]}…" if process else role
    of_all = f" of {users_before:,}" if users_before else ""
    until = window.get("until")
    return (
        f"{name} {_WORDS.get(kind, kind.replace('_', ' '))} at {time_of_day(window['since'])}: "
        f"{window['users']:,}{of_all} users missing until "
        f"{'the end' if until is None else time_of_day(until)}"
    )


def _processes(processes: Sequence[queries.Process]) -> Iterator[str]:
    if not processes:
        return
    yield (
        f"  {'process':<9} {'role':<10} {'pid':>7}  {'state':<6} {'produced':>10}"
        f" {'stored':>10} {'dropped':>8}"
    )
    for one in processes:
        ledger = one.ledger
        yield (
            f"  {one.process[:8]:<9} {one.role:<10} {one.pid:>7}  {one.state:<6} {ledger.produced:>10,}"
            f" {ledger.stored:>10,} {ledger.lost:>8,}{_clock(one.clock)}"
        )


def _clock(clock: tuple[float, float] | None) -> str:
    return "" if clock is None else f"   clock {clock[0]:+.2f} ± {clock[1]:.2f} ms to the master's"


def _errors(shown: Shown) -> Iterator[str]:
    if shown.errors:
        yield f"  errors among the newest {shown.errors_seen:,} failures:"
    for one in shown.errors:
        said = ": ".join(part for part in (one.error_type, one.error_message) if part) or "(no text)"
        yield f"    {one.count:>6,}x {one.protocol} {_text(one.endpoint)}  {_text(said)}"


def _window(window: queries.RangeSummary) -> str:
    rounded = " (rounded: the rollups of single seconds or minutes are gone)" if window.is_rounded else ""
    return f"from {day_and_time(window.since)} to {day_and_time(window.until)} UTC{rounded}"


def _ledger(ledger: Ledger) -> dict[str, Any]:
    return {**asdict(ledger), "dropped": dict(ledger.dropped), "is_balanced": ledger.is_balanced}


def _text(value: str) -> str:
    return escape(printable(value))
