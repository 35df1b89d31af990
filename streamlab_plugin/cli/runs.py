"""``streamlab runs list|show|export|stop|tag|reconcile``."""

from __future__ import annotations

import json
import time
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Connection

from streamlab_plugin.cli.printable import printable
from streamlab_plugin.cli.reading import Moment, day_and_time, moment, read
from streamlab_plugin.cli.run_export import export_command
from streamlab_plugin.cli.run_orders import parse_tag, reconcile_command, stop_command, tag_command
from streamlab_plugin.cli.run_view import Shown, shown_dict, shown_lines
from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.store import queries

STATES = ("running", "completed", "degraded", "aborted", "failed")
MOST_ERRORS = 5


@click.group()
def runs() -> None:
    """List, show, export, stop, tag and reconcile recorded runs."""


for _command in (export_command, stop_command, tag_command, reconcile_command):
    runs.add_command(_command)


@runs.command("list")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most this many runs."
)
@click.option("--state", type=click.Choice(STATES), default=None, help="Only runs in this state.")
@click.option(
    "--tag", "tags", multiple=True, metavar="NAME=VALUE", help="Only runs with this tag; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def list_command(limit: int, state: str | None, tags: tuple[str, ...], as_json: bool) -> None:
    """List the newest runs, newest first."""
    wanted = dict(parse_tag(one) for one in tags)
    found = read(lambda connection: queries.list_runs(connection, limit, state=state, tags=wanted))
    now = time.time()
    if as_json:
        click.echo(json.dumps([run_dict(run, now) for run in found], indent=2))
        return
    if not found:
        click.echo(
            "No such run." if state or wanted else "No run recorded yet. Start one with: streamlab demo"
        )
        return
    table = Table(box=None)
    has_tags = any(run.tags for run in found)
    columns = ("run", "name", "state", "started (UTC)", "duration", "verdict", "tags")
    for name in columns if has_tags else columns[:-1]:
        table.add_column(name, justify="right" if name == "duration" else "left", no_wrap=True)
    for run in found:
        tags_cell = (escape(_tags(run)),) if has_tags else ()
        table.add_row(run.run[:8], escape(printable(run.name)), run.state, day_and_time(run.started_at),
                      f"{run.duration_s(now):.0f} s", run.verdict or "-", *tags_cell)  # fmt: skip
    console = Console(highlight=False, soft_wrap=True)
    # A pipe counts as 80 columns wide: what is read by a program must not be cut.
    console.width = max(console.width, console.measure(table).maximum)
    console.print(table)


@runs.command("show")
@click.argument("run", default=queries.LATEST)
@click.option(
    "--since",
    type=moment,
    metavar="TIME",
    default=None,
    help="Only from here on: epoch seconds, ISO 8601 or -5m.",
)
@click.option("--until", type=moment, metavar="TIME", default=None, help="Only up to here.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def show_command(run: str, since: Moment | None, until: Moment | None, as_json: bool) -> None:
    """Show one RUN: an id, the beginning of one, or 'latest'."""
    now = time.time()
    shown = read(lambda connection: _shown(connection, run, since, until, now))
    if as_json:
        click.echo(json.dumps({**run_dict(shown.run, now), **shown_dict(shown)}, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    for line in shown_lines(shown, now):
        console.print(line)


def run_dict(run: queries.Run, now: float) -> dict[str, Any]:
    """Return what every JSON answer says about a run."""
    return {
        "id": run.run, "name": run.name, "state": run.state, "started_at": run.started_at,
        "stopped_at": run.stopped_at, "duration_s": run.duration_s(now), "host": run.host,
        "verdict": run.verdict, "exit_code": run.exit_code, "tags": dict(run.tags),
        "degradations": list(run.degradations), "stop_requested_at": run.stop_requested_at,
    }  # fmt: skip


def _shown(conn: Connection, wanted: str, since: Moment | None, until: Moment | None, now: float) -> Shown:
    run = queries.find_run(conn, wanted)
    window = None
    if since is None and until is None:
        protocols = queries.run_summary(conn, run.id).protocols
    else:
        begin = int(run.started_at if since is None else since.of(run, now))
        # Exchanges that were in flight when the test stopped end a little later.
        end = int(now) + 1 if until is None else int(until.of(run, now))
        if begin >= end:
            raise ConfigError("--since is not before --until", remedy="give an earlier --since")
        window = queries.range_summary(conn, run, begin, end)
        protocols = window.summary.protocols
    bounds = (None, None) if window is None else (window.since, window.until)
    errors, seen = queries.frequent_errors(conn, run, MOST_ERRORS, *bounds)
    return Shown(
        run=run,
        window=window,
        protocols=protocols,
        ledger=queries.run_ledger(conn, run.id),
        privacy=queries.run_privacy(conn, run.id),
        arrivals=queries.run_arrivals(conn, run.id),
        deliveries=queries.run_deliveries(conn, run.id),
        verdict=queries.run_verdict(conn, run.id),
        signatures=queries.list_signatures(conn, queries.SignatureFilter(run_id=run.id)),
        processes=queries.run_processes(conn, run.id),
        quarantined=queries.quarantine_reasons(conn, run.id),
        errors=errors,
        errors_seen=seen,
        users_before=[queries.users_at(conn, run.id, int(one["since"]) - 1) for one in run.degradations],
    )


def _tags(run: queries.Run) -> str:
    return printable(" ".join(f"{name}={value}" for name, value in run.tags.items()))
