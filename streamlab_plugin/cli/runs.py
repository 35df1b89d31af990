"""``streamlab runs list|show|export``."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Connection

from streamlab_plugin import config
from streamlab_plugin.slo.results import RunHeader, results_dict
from streamlab_plugin.store import queries
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.facts import run_facts, run_problems


@click.group()
def runs() -> None:
    """List, show and export recorded runs."""


@runs.command("list")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most this many runs."
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def list_command(limit: int, as_json: bool) -> None:
    """List the newest runs, newest first."""
    found = _read(lambda connection: queries.list_runs(connection, limit))
    now = time.time()
    if as_json:
        click.echo(json.dumps([_plain(run, now) for run in found], indent=2))
        return
    if not found:
        click.echo("No run recorded yet. Start one with: streamlab demo")
        return
    table = Table(box=None)
    for name in ("run", "name", "state", "started (UTC)", "duration", "verdict"):
        table.add_column(name, justify="right" if name == "duration" else "left", no_wrap=True)
    for run in found:
        table.add_row(run.run[:8], escape(run.name), run.state, _clock(run.started_at),
                      f"{run.duration_s(now):.0f} s", run.verdict or "-")  # fmt: skip
    Console(highlight=False, soft_wrap=True).print(table)


@runs.command("show")
@click.argument("run", default=queries.LATEST)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def show_command(run: str, as_json: bool) -> None:
    """Show one RUN: an id, the beginning of one, or 'latest'."""

    def query(connection: Connection) -> tuple[Any, ...]:
        found = queries.find_run(connection, run)
        return (
            found,
            queries.run_protocol_totals(connection, found.id),
            queries.run_ledger(connection, found.id),
            queries.run_verdict(connection, found.id),
            queries.list_signatures(connection, queries.SignatureFilter(run_id=found.id)),
        )

    found, protocols, ledger, verdict, signatures = _read(query)
    now = time.time()
    if as_json:
        body = {
            **_plain(found, now),
            "protocols": {
                name: {"count": one.count, "errors": one.errors, "p50_ms": one.p50_ms, "p95_ms": one.p95_ms,
                       "p99_ms": one.p99_ms}
                for name, one in protocols.items()
            },
            "ledger": ledger.text(),
            "verdict_details": None if verdict is None else dict(verdict.body),
            "anomalies": [
                {"type": one.anomaly_type, "endpoint": one.endpoint, "severity": one.severity,
                 "count": one.count}
                for one in signatures
            ],
        }  # fmt: skip
        click.echo(json.dumps(body, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(found.name)}[/bold]  {found.run}")
    console.print(f"  {found.state}, started {_clock(found.started_at)} UTC, {found.duration_s(now):.0f} s"
                  f"{', target ' + escape(found.host) if found.host else ''}")  # fmt: skip
    for name, one in protocols.items():
        console.print(f"  {name:<10} {one.count:>8,} requests  {one.errors:>6,} errors  "
                      f"p50 {_ms(one.p50_ms)}  p95 {_ms(one.p95_ms)}  p99 {_ms(one.p99_ms)}")  # fmt: skip
    console.print(f"  ledger: {ledger.text()}")
    for one in signatures:
        console.print(
            f"  {one.severity:<8} {escape(one.anomaly_type)}  {escape(one.endpoint)}  {one.count:,}x"
        )
    if verdict is None:
        console.print("  no verdict: the run was aborted" if found.state == "aborted" else "  no verdict yet")
        return
    console.print(f"  verdict: {verdict.verdict} (exit code {verdict.exit_code})")
    for reason in verdict.body.get("reasons", ()):
        console.print(f"    {escape(str(reason))}")


@runs.command("export")
@click.argument("run", default=queries.LATEST)
@click.option(
    "--json", "as_json", is_flag=True, help="The results file that 'streamlab slo check FILE' reads."
)
@click.option("--output", type=click.Path(dir_okay=False), help="Write here instead of standard output.")
def export_command(run: str, as_json: bool, output: str | None) -> None:
    """Export the totals of one RUN: an id, the beginning of one, or 'latest'."""
    if not as_json:
        raise click.UsageError("name a format: --json")

    def query(connection: Connection) -> dict[str, Any]:
        found = queries.find_run(connection, run)
        facts = run_facts(connection, found.id, run_problems(connection, found.id))
        return results_dict(RunHeader(found.run, found.name, found.started_at, found.stopped_at), facts)

    text = json.dumps(_read(query), indent=2) + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    try:
        with open(output, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise click.UsageError(f"--output {output}: {error.strerror}") from error


def _read(query: Any) -> Any:
    return queries.read(open_store(config.database_url(), read_only=True), query)


def _plain(run: queries.Run, now: float) -> dict[str, Any]:
    return {
        "id": run.run, "name": run.name, "state": run.state, "started_at": run.started_at,
        "stopped_at": run.stopped_at, "duration_s": run.duration_s(now), "host": run.host,
        "verdict": run.verdict, "exit_code": run.exit_code,
    }  # fmt: skip


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
