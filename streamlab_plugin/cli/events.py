"""``streamlab events tail|query``: single exchanges as they were recorded."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy import Connection

from streamlab_plugin.cli.printable import printable
from streamlab_plugin.cli.reading import Moment, moment, read
from streamlab_plugin.core.record import OUTCOMES, PROTOCOLS
from streamlab_plugin.store import queries
from streamlab_plugin.store.record_queries import RecordFilter
from streamlab_plugin.store.record_spans import FAILURE

POLL_S = 0.5


@click.group()
def events() -> None:
    """Show recorded exchanges."""


@events.command("tail")
@click.option(
    "-n", "--lines", type=click.IntRange(0, 10_000), default=10, show_default=True, help="Begin with so many."
)
@click.option("--run", default=queries.LATEST, show_default=True, help="An id, or the beginning of one.")
@click.option("--follow", is_flag=True, help="Go on with what is recorded until the run is over.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line instead of text.")
def tail_command(lines: int, run: str, follow: bool, as_json: bool) -> None:
    """Show the newest exchanges of a run, the newest last."""

    def begin(connection: Connection) -> tuple[queries.Run, dict[str, int], list[queries.Record]]:
        found = queries.find_run(connection, run)
        reached = queries.reached(connection, found.id)
        # What is stored meanwhile comes with what follows.
        newest = queries.newest(connection, found.id, lines)
        return found, reached, [one for one in newest if one.seq <= reached.get(one.process, 0)]

    found, reached, records = read(begin)
    _print(reversed(records), as_json=as_json)

    def go_on(connection: Connection) -> bool:
        # Whether it is over is asked first, so that nothing of its end is missed.
        is_over = queries.find_run(connection, found.run).state != queries.RUNNING
        _print(_noted(queries.added(connection, found.id, reached), reached), as_json=as_json)
        return not is_over

    while follow and read(go_on):
        sys.stdout.flush()
        time.sleep(POLL_S)


@events.command("query")
@click.option("--run", default=queries.LATEST, show_default=True, help="An id, or the beginning of one.")
@click.option("--protocol", type=click.Choice(PROTOCOLS), default=None, help="Only this protocol.")
@click.option("--operation", default=None, help="Only this operation, e.g. GET or publish.")
@click.option("--endpoint", default=None, help="Only endpoints like this; * and ? are wildcards.")
@click.option("--user-class", default=None, help="Only from users of this class.")
@click.option(
    "--outcome",
    type=click.Choice((*OUTCOMES, FAILURE)),
    default=None,
    help="Only this outcome; failure: error or timeout.",
)
@click.option(
    "--status",
    type=click.IntRange(-(2**31), 2**31 - 1),
    default=None,
    help="Only this status, close or reason code.",
)
@click.option("--error", default=None, help="Only failures whose error class or text contains this.")
@click.option("--finding", default=None, help="Only what this rule found.")
@click.option(
    "--min-latency-ms", type=click.FloatRange(min=0), default=None, help="Only this slow or slower."
)
@click.option(
    "--since",
    type=moment,
    metavar="TIME",
    default=None,
    help="Ended from here on: epoch seconds, ISO 8601 or -5m.",
)
@click.option("--until", type=moment, metavar="TIME", default=None, help="Ended before this.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="At most so many."
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV instead of text.")
def query_command(
    run: str,
    since: Moment | None,
    until: Moment | None,
    limit: int,
    as_json: bool,
    as_csv: bool,
    **wanted: Any,
) -> None:
    """Find exchanges of a run, the newest first."""
    if as_json and as_csv:
        raise click.UsageError("--json or --csv, not both")
    now = time.time()

    def query(connection: Connection) -> None:
        found = queries.find_run(connection, run)
        begin = None if since is None else since.of(found, now)
        end = None if until is None else until.of(found, now)
        meant = RecordFilter(**wanted, since=begin, until=end)
        records = queries.find_records(connection, found, meant, limit)
        if as_csv:
            rows = csv.writer(sys.stdout, lineterminator="\n")
            rows.writerow(queries.Record._fields)
            rows.writerows(records)
        elif as_json:
            click.echo(json.dumps([_plain(record) for record in records], indent=2))
        else:
            _print(records, as_json=False)

    read(query)


def event_line(record: queries.Record) -> str:
    """Return a record as one line; the time is when the exchange ended, UTC."""
    at = datetime.fromtimestamp(record.ended_at, UTC)
    status = "" if record.status is None else f" {record.status}"
    latency = "-" if record.latency_ms is None else f"{record.latency_ms:.1f} ms"
    parts = [
        f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}",
        f"{record.protocol} {record.operation} {record.endpoint}",
        f"{record.outcome}{status}",
        latency,
    ]
    if record.error_type:
        parts.append(
            f"{record.error_type}: {record.error_message}" if record.error_message else record.error_type
        )
    if record.findings:
        parts.append(f"[{record.findings.replace(',', ', ')}]")
    return printable("  ".join(parts))


def _print(records: Iterable[queries.Record], *, as_json: bool) -> None:
    for record in records:
        click.echo(json.dumps(_plain(record)) if as_json else event_line(record))


def _noted(records: Iterable[queries.Record], reached: dict[str, int]) -> Iterator[queries.Record]:
    for record in records:
        reached[record.process] = record.seq
        yield record


def _plain(record: queries.Record) -> dict[str, Any]:
    payload = None if record.payload is None else json.loads(record.payload)
    findings = record.findings.split(",") if record.findings else []
    return {**record._asdict(), "ended_at": record.ended_at, "payload": payload, "findings": findings}
