"""``streamlab runs export``: the results file of a run, or all its records as CSV."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

import click
from sqlalchemy import Connection

from streamlab_plugin.cli.reading import read
from streamlab_plugin.slo.results import RunHeader, results_dict
from streamlab_plugin.store import queries
from streamlab_plugin.store.facts import run_facts, run_problems


@click.command("export")
@click.argument("run", default=queries.LATEST)
@click.option(
    "--json", "as_json", is_flag=True, help="The results file that 'streamlab slo check FILE' reads."
)
@click.option("--csv", "as_csv", is_flag=True, help="Every record, one line each.")
@click.option("--output", type=click.Path(dir_okay=False), help="Write here instead of standard output.")
def export_command(run: str, as_json: bool, as_csv: bool, output: str | None) -> None:
    """Export one RUN (an id, the beginning of one, or 'latest'): its totals, or its records."""
    if as_json == as_csv:
        raise click.UsageError("name one format: --json or --csv")
    if as_json:
        export_results(run, output)
    else:
        _deliver(output, lambda file: read(lambda connection: write_csv(connection, run, file)))


def export_results(run: str, output: str | None) -> None:
    """Write the results file of *run* to *output*, to standard output without one."""
    text = json.dumps(read(lambda connection: _results(connection, run)), indent=2) + "\n"
    _deliver(output, lambda file: file.write(text))


def _results(conn: Connection, wanted: str) -> dict[str, Any]:
    """Return the results file's document, with the run's tags, degradations and deliveries."""
    run = queries.find_run(conn, wanted)
    facts = run_facts(conn, run.id, run_problems(conn, run.id))
    document = results_dict(RunHeader(run.run, run.name, run.started_at, run.stopped_at), facts)
    deliveries = queries.run_deliveries(conn, run.id)
    document["deliveries"] = None if deliveries is None else deliveries.to_dict()
    document["run"] |= {"tags": dict(run.tags), "degradations": list(run.degradations)}
    return document


def write_csv(conn: Connection, wanted: str, file: TextIO) -> None:
    """Write the run's records chunk by chunk, each process by its numbers; columns as in ``records_flat``."""
    run = queries.find_run(conn, wanted)
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(queries.Record._fields)
    rows.writerows(queries.added(conn, run.id, {}))


def _deliver(output: str | None, write: Callable[[TextIO], object]) -> None:
    if output is None:
        write(sys.stdout)
        return
    # Under its name the file is complete or not there: half an export must not be taken for a whole one.
    unfinished = f"{output}.unfinished"
    try:
        with open(unfinished, "w", encoding="utf-8", newline="") as file:
            write(file)
        os.replace(unfinished, output)
    except OSError as error:
        raise click.UsageError(f"--output {output}: {error.strerror}") from error
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
