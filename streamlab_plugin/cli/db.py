"""``streamlab db status|check|migrate|replay|vacuum``."""

from __future__ import annotations

import json
import socket
import sys
import time
from dataclasses import asdict
from itertools import chain
from typing import Any

import click
from sqlalchemy import Connection, Engine

from streamlab_plugin import config
from streamlab_plugin.cli.ordering import carry_out
from streamlab_plugin.cli.printable import printable
from streamlab_plugin.cli.reading import day_and_time
from streamlab_plugin.core.errors import EXIT_INFRASTRUCTURE, InfrastructureError
from streamlab_plugin.link.place import socket_path
from streamlab_plugin.store import health_queries, queries
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import newer, schema_of
from streamlab_plugin.store.reading import older
from streamlab_plugin.store.spool_status import SpoolStatus, spool_capacity_bytes, spool_path, spool_status
from streamlab_plugin.store.url import fingerprint, is_sqlite, place

_KNOCK_S = 1.0
_UNITS = ("B", "kB", "MB", "GB", "TB")


@click.group()
def db() -> None:
    """Look after the database."""


@db.command("status")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def status_command(as_json: bool) -> None:
    """Show where the database is, what is in it, who uses it and what waits for it."""
    url = config.database_url()
    engine = open_store(url, read_only=True)
    status: dict[str, Any] = {
        "engine": "sqlite" if is_sqlite(url) else "postgresql",
        "place": place(url),
        "recorder": {"is_alive": _is_recorder_alive(url)},
        "spool": asdict(spool_status(spool_path(url), spool_capacity_bytes())),
    }
    trouble = None
    try:
        schema = schema_of(engine)
        status["schema"] = {
            "found": schema.found, "wanted": schema.wanted, "is_current": schema.is_current,
        }  # fmt: skip
        if schema.is_current:
            status |= queries.read(engine, _contents)
    except InfrastructureError as error:
        # What waits is worth knowing above all while the database is away.
        trouble = status["trouble"] = str(error)
    click.echo(json.dumps(status, indent=2) if as_json else "\n".join(_lines(status)))
    sys.exit(EXIT_INFRASTRUCTURE if trouble else 0)


@db.command("check")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def check_command(as_json: bool) -> None:
    """Check the file and whether every finished run adds up; exit code 4 when anything is wrong."""
    engine = _current_store()
    now = time.time()
    runs: list[queries.Run] = []

    def look(connection: Connection) -> list[str]:
        # What a damaged file says about runs means nothing.
        if damage := list(health_queries.file_problems(connection)):
            return damage
        runs.extend(health_queries.finished_runs(connection))
        found = (health_queries.run_problems(connection, run, now) for run in runs)
        return list(chain.from_iterable(found))

    problems = queries.read(engine, look)
    if as_json:
        click.echo(json.dumps({"runs": len(runs), "problems": problems}, indent=2))
    else:
        for problem in problems:
            click.echo(printable(problem))
        click.echo(f"{_counted(len(runs), 'finished run')} checked, {_counted(len(problems), 'problem')}")
    sys.exit(EXIT_INFRASTRUCTURE if problems else 0)


@db.command("migrate")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def migrate_command(as_json: bool) -> None:
    """Bring the database to the schema of this version."""
    _existing()
    done = carry_out("db.migrate")
    if as_json:
        click.echo(json.dumps(done))
    elif done["from"] == done["to"]:
        click.echo(f"The schema is {done['to']} already.")
    else:
        click.echo(f"Schema {done['from'] or '(none)'} is now {done['to']}.")


@db.command("replay")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def replay_command(as_json: bool) -> None:
    """Store what waits in this host's spool; exit code 4 when something is left in it."""
    done = carry_out("db.replay")
    if as_json:
        click.echo(json.dumps(done))
    else:
        click.echo(
            f"{done['batches']:,} batches with {done['records']:,} records stored, {done['left']:,} left"
        )
    sys.exit(EXIT_INFRASTRUCTURE if done["left"] else 0)


@db.command("vacuum")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def vacuum_command(as_json: bool) -> None:
    """Give the space of deleted rows back to the disk."""
    _existing()
    done = carry_out("db.vacuum")
    before, after = done["before_bytes"], done["after_bytes"]
    click.echo(json.dumps(done) if as_json else f"{_bytes(before)} before, {_bytes(after)} now")


def _existing() -> Engine:
    # Its own error says that there is no database; a recorder would make one.
    return open_store(config.database_url(), read_only=True)


def _current_store() -> Engine:
    """Return the database if this version can read it."""
    engine = _existing()
    schema = schema_of(engine)
    if schema.is_newer:
        raise newer(schema)
    if schema.found is None:
        raise InfrastructureError("this is not a Streamlab database: it has no schema")
    if not schema.is_current:
        raise older(schema)
    return engine


def _contents(conn: Connection) -> dict[str, Any]:
    newest = queries.list_runs(conn, 1)
    return {
        "size_bytes": health_queries.size_bytes(conn),
        "rows": {name: asdict(count) for name, count in health_queries.row_counts(conn).items()},
        "connections": health_queries.connections(conn),
        "newest_run": {
            "id": newest[0].run, "name": newest[0].name, "state": newest[0].state,
            "started_at": newest[0].started_at,
        } if newest else None,
    }  # fmt: skip


def _is_recorder_alive(url: str) -> bool:
    """Whether a recorder of this host serves the database."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        knock.settimeout(_KNOCK_S)
        try:
            knock.connect(str(socket_path(fingerprint(url))))
        except OSError:
            return False
        return True


def _lines(status: dict[str, Any]) -> list[str]:
    lines = [f"database   {status['engine']} at {printable(status['place'])}"]
    if "trouble" in status:
        lines.append(f"trouble    {printable(status['trouble'])}")
    if schema := status.get("schema"):
        wanted = "" if schema["is_current"] else f", this Streamlab wants {schema['wanted']}"
        lines.append(f"schema     {schema['found'] or 'none'}{wanted}")
    if "rows" in status:
        lines.append(f"size       {_bytes(status['size_bytes'])}")
        signs = {"exact": "", "estimate": "about ", "at_least": "more than "}
        rows = [
            f"{name} {signs[count['kind']]}{count['rows']:,}"
            for name, count in status["rows"].items()
            if count["rows"]
        ]
        lines.append(f"rows       {', '.join(rows) or 'none'}")
        used = status["connections"]
        if used is not None:
            lines.append(
                f"clients    {', '.join(f'{printable(name)} {count}' for name, count in used.items())}"
            )
        run = status["newest_run"]
        newest = (
            f"{run['id'][:8]} {printable(run['name'])}, {run['state']},"
            f" started {day_and_time(run['started_at'])} UTC"
            if run
            else "none"
        )
        lines.append(f"newest run {newest}")
    lines.append(f"recorder   {'alive' if status['recorder']['is_alive'] else 'none on this host'}")
    lines.append(f"spool      {SpoolStatus(**status['spool']).text(time.time())}")
    return lines


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def _bytes(size: float) -> str:
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {_UNITS[-1]}"
