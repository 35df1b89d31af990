"""What ``streamlab demo`` shows: the schedule, the progress, the summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamlab_plugin.cli.live_bar import live_bar
from streamlab_plugin.cli.snapshot import Snapshot
from streamlab_plugin.cli.snapshot_view import show_anomalies, show_ledger, show_protocols, show_verdict
from streamlab_plugin.store import queries

if TYPE_CHECKING:
    from streamlab_plugin.cli.demo_processes import DemoOptions


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
    last = float("-inf")
    with live_bar(console, duration_s) as show_live:

        def show(snapshot: Snapshot, schedule: Sequence[Mapping[str, Any]]) -> None:
            nonlocal last
            elapsed = min(float(duration_s), max(0.0, time.time() - snapshot.run.started_at))
            requests = sum(totals.count for totals in snapshot.protocols.values())
            errors = sum(totals.errors for totals in snapshot.protocols.values())
            found = sum(is_found(entry, snapshot.signatures) for entry in schedule)
            text = (
                f"{requests:,} requests · {errors:,} errors · {found} of {len(schedule)} misbehaviours found"
            )
            if not show_live(text, elapsed) and time.monotonic() - last >= 10:
                last = time.monotonic()
                console.print(f"{time.monotonic() - started:5.0f} s  {text}")

        yield show


def show_summary(
    console: Console, options: DemoOptions, ready: Mapping[str, Any], snapshot: Snapshot
) -> bool:
    """Print the summary and return whether every scheduled misbehaviour was found."""
    show_protocols(console, snapshot)
    show_ledger(console, snapshot)
    show_anomalies(console, snapshot)
    found_all = _show_schedule(console, ready["schedule"], snapshot.signatures)
    show_verdict(console, snapshot)
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
