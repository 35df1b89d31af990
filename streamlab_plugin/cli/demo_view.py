"""What ``streamlab demo`` shows: the schedule, the progress, the summary."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import Connection, select

from streamlab_plugin.core.errors import InfrastructureError, NoVerdictError
from streamlab_plugin.core.ledger import Ledger
from streamlab_plugin.store import queries, tables
from streamlab_plugin.store.engine import open_store

if TYPE_CHECKING:
    from streamlab_plugin.cli.demo_processes import DemoOptions

_SEVERITY_STYLES = {"critical": "bold red", "error": "red", "warning": "yellow", "info": "cyan"}
_VERDICT_STYLES = {"met": "bold green", "breached": "bold red"}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the database says about the demo's run at one moment."""

    run: queries.Run
    protocols: Mapping[str, queries.Totals]
    ledger: Ledger
    signatures: Sequence[queries.Signature]
    fixes: Mapping[int, Sequence[queries.Fix]]
    privacy: Mapping[str, int]
    verdict: queries.Verdict | None


def read_snapshot(url: str, since: float) -> Snapshot | None:
    """Return what is known of the newest run that began after *since*, or None while there is none."""

    def query(connection: Connection) -> Snapshot | None:
        run = queries.find_run(connection, queries.LATEST)
        if run.started_at < since:
            return None
        signatures = queries.list_signatures(connection, queries.SignatureFilter(run_id=run.id), limit=100)
        return Snapshot(
            run,
            queries.run_summary(connection, run.id).protocols,
            queries.run_ledger(connection, run.id),
            signatures,
            queries.fixes_of(connection, [one.id for one in signatures]),
            _privacy(connection, run.id),
            queries.run_verdict(connection, run.id),
        )

    try:
        return queries.read(open_store(url, read_only=True), query)
    except (InfrastructureError, NoVerdictError):
        return None  # the recorder has not made it yet


def is_found(entry: Mapping[str, Any], signatures: Sequence[queries.Signature]) -> bool:
    """Whether a scheduled misbehaviour appears as an anomaly of the expected type with a fix suggestion."""
    return any(
        one.anomaly_type == entry["expected_type"] and one.endpoint.startswith(entry["endpoint"].rstrip("/"))
        for one in signatures
    )


def show_start(console: Console, options: DemoOptions, ready: Mapping[str, Any], database: Path) -> None:
    """Print where everything is and what the target will do."""
    console.print("[bold]Streamlab demo[/bold]: a streaming backend that misbehaves, under a mixed load\n")
    console.print(
        f"  target    HTTP {ready['http']} · WebSocket {ready['ws']} · MQTT {ready['mqtt']} on 127.0.0.1"
    )
    console.print(f"  load      {options.users} users for {options.duration_s} s")
    console.print(f"  database  {escape(str(database))}")
    if not options.is_headless:
        base = f"http://127.0.0.1:{options.web_port}"
        console.print(f"  pages     [link]{base}/streamlab/[/link]   (Locust: {base}/)")
    table = Table(title=f"\nThe target's schedule (seed {options.seed})", title_justify="left", box=None)
    for name in ("from", "to", "endpoint", "what happens", "expected anomaly"):
        table.add_column(name, justify="right" if name in ("from", "to") else "left", style="dim")
    for entry in ready["schedule"]:
        table.add_row(f"{entry['at_s']:.0f} s", f"{entry['until_s']:.0f} s", entry["endpoint"], entry["what"],
                      entry["expected_type"])  # fmt: skip
    console.print(table)
    console.print()


@contextmanager
def progress(
    console: Console, duration_s: int
) -> Iterator[Callable[[Snapshot, Sequence[Mapping[str, Any]]], None]]:
    """Yield a function that shows a snapshot: a live line on a terminal, a line per 10 s elsewhere."""
    started = time.monotonic()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task("starting", total=duration_s)
    last = float("-inf")

    def show(snapshot: Snapshot, schedule: Sequence[Mapping[str, Any]]) -> None:
        nonlocal last
        elapsed = min(float(duration_s), max(0.0, time.time() - snapshot.run.started_at))
        requests = sum(totals.count for totals in snapshot.protocols.values())
        errors = sum(totals.errors for totals in snapshot.protocols.values())
        found = sum(is_found(entry, snapshot.signatures) for entry in schedule)
        text = f"{requests:,} requests · {errors:,} errors · {found} of {len(schedule)} misbehaviours found"
        if console.is_terminal:
            bar.update(task, description=text, completed=elapsed)
        elif time.monotonic() - last >= 10:
            last = time.monotonic()
            console.print(f"{time.monotonic() - started:5.0f} s  {text}")

    if console.is_terminal:
        with bar:
            yield show
    else:
        yield show


def show_summary(
    console: Console, options: DemoOptions, ready: Mapping[str, Any], snapshot: Snapshot
) -> bool:
    """Print the summary and return whether every scheduled misbehaviour was found."""
    _show_protocols(console, snapshot)
    console.print(f"\n[bold]Ledger[/bold]   {snapshot.ledger.text()}")
    counts = snapshot.privacy
    console.print(
        "[bold]Privacy[/bold]  payload fields: "
        + " · ".join(
            f"{name} {counts.get(name, 0):,}"
            for name in ("kept", "dropped", "hashed", "bucketed", "scrubbed")
        )
    )
    _show_anomalies(console, snapshot)
    found_all = _show_schedule(console, ready["schedule"], snapshot.signatures)
    _show_verdict(console, snapshot)
    console.print("\n[bold]Look further[/bold]")
    if options.is_headless:
        console.print("  pages          streamlab ui                 then http://127.0.0.1:8090/streamlab/")
    else:
        console.print(
            f"  pages          http://127.0.0.1:{options.web_port}/streamlab/   (later: streamlab ui)"
        )
    console.print(f"  this run       streamlab runs show {snapshot.run.run[:8]}")
    console.print(f"  verdict in CI  streamlab slo check --run {snapshot.run.run[:8]}")
    console.print(f"  logs           {options.folder}/locust.log, {options.folder}/target.jsonl")
    return found_all


def _show_protocols(console: Console, snapshot: Snapshot) -> None:
    table = Table(title="Requests", title_justify="left", box=None)
    table.add_column("protocol")
    for name in ("requests", "per s", "errors", "interrupted", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(name, justify="right")
    duration = max(snapshot.run.duration_s(time.time()), 0.001)
    for name, one in snapshot.protocols.items():
        rate = one.error_rate
        table.add_row(
            name, f"{one.count:,}", f"{one.count / duration:.1f}",
            f"{one.errors:,} ({(rate or 0) * 100:.1f} %)", f"{one.interrupted:,}",
            _ms(one.p50_ms), _ms(one.p95_ms), _ms(one.p99_ms),
        )  # fmt: skip
    console.print(table)


def _show_anomalies(console: Console, snapshot: Snapshot) -> None:
    console.print("\n[bold]Anomalies[/bold] (rules and statistics), each with the first thing to try")
    started = snapshot.run.started_at
    for one in snapshot.signatures:
        fixes = snapshot.fixes.get(one.id, ())
        style = _SEVERITY_STYLES.get(one.severity, "")
        console.print(
            f"  [{style}]{one.severity:<8}[/{style}] {escape(one.anomaly_type)}  {escape(one.endpoint)}  "
            f"{one.count:,}x  since {max(0.0, one.first_seen - started):.0f} s"
        )
        if fixes:
            console.print(f"           try: {escape(fixes[0].title)} (confidence {fixes[0].confidence:.0%}, "
                          f"risk {escape(fixes[0].risk)})", style="dim")  # fmt: skip


def _show_schedule(
    console: Console, schedule: Sequence[Mapping[str, Any]], signatures: Sequence[queries.Signature]
) -> bool:
    missed = [entry for entry in schedule if not is_found(entry, signatures)]
    found = len(schedule) - len(missed)
    style = "green" if not missed else "bold red"
    console.print(
        f"\n[bold]Schedule[/bold]  [{style}]{found} of {len(schedule)} misbehaviours found[/{style}]"
    )
    for entry in missed:
        console.print(
            f"  missed: {entry['expected_type']} on {entry['endpoint']} ({entry['what']})", style="red"
        )
    return not missed


def _show_verdict(console: Console, snapshot: Snapshot) -> None:
    verdict = snapshot.verdict
    if verdict is None:
        return
    style = _VERDICT_STYLES.get(verdict.verdict, "bold yellow")
    console.print(
        f"[bold]Verdict[/bold]   [{style}]{verdict.verdict}[/{style}] (exit code {verdict.exit_code} in CI)"
    )
    for reason in verdict.body.get("reasons", ()):
        console.print(f"  {escape(str(reason))}")


def _privacy(connection: Connection, run_id: int) -> dict[str, int]:
    total: dict[str, int] = {}
    for text in connection.scalars(
        select(tables.processes.c.privacy).where(tables.processes.c.run_id == run_id)
    ):
        for name, count in json.loads(text).items():
            total[name] = total.get(name, 0) + count
    return total


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
