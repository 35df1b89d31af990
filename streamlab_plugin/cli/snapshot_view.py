"""How a run looks on a terminal: requests, ledger, privacy, anomalies, verdict."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamlab_plugin.cli.snapshot import Snapshot
from streamlab_plugin.privacy.tally import tally_text

_SEVERITY_STYLES = {"critical": "bold red", "error": "red", "warning": "yellow", "info": "cyan"}
_VERDICT_STYLES = {"met": "bold green", "breached": "bold red"}


def show_protocols(console: Console, snapshot: Snapshot) -> None:
    """Print a line for each protocol."""
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


def show_ledger(console: Console, snapshot: Snapshot) -> None:
    """Print what became of records and of payload fields."""
    console.print(f"\n[bold]Ledger[/bold]   {snapshot.ledger.text()}")
    if snapshot.deliveries is not None:
        console.print(f"[bold]Messages[/bold] {snapshot.deliveries.everything.text()}")
    console.print(f"[bold]Privacy[/bold]  {tally_text(snapshot.privacy)}")


def show_anomalies(console: Console, snapshot: Snapshot) -> None:
    """Print the anomalies, each with its first fix suggestion."""
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


def show_verdict(console: Console, snapshot: Snapshot) -> None:
    """Print the verdict with its reasons."""
    verdict = snapshot.verdict
    if verdict is None:
        return
    style = _VERDICT_STYLES.get(verdict.verdict, "bold yellow")
    console.print(
        f"[bold]Verdict[/bold]   [{style}]{verdict.verdict}[/{style}] (exit code {verdict.exit_code} in CI)"
    )
    for reason in verdict.body.get("reasons", ()):
        console.print(f"  {escape(str(reason))}")


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
