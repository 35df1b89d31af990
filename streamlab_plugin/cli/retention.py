"""``streamlab retention show|set|run``."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamlab_plugin import config
from streamlab_plugin.cli.actor import actor
from streamlab_plugin.cli.ordering import carry_out
from streamlab_plugin.store import queries
from streamlab_plugin.store.archive import SUFFIX, archive_folder
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.retention import KINDS, Policy, check_policy, due, policies

_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


@click.group()
def retention() -> None:
    """Show and change how long history is kept, and clean up."""


@retention.command("show")
@_JSON
def show_command(as_json: bool) -> None:
    """Show for how many days each kind is kept, and the archive."""
    found: dict[str, Policy] = _read(policies)
    folder = archive_folder(config.database_url())
    files, size_bytes = _held(folder)
    if as_json:
        archive = {"folder": str(folder), "files": files, "size_bytes": size_bytes}
        body = {"kinds": [_plain(policy) for policy in found.values()], "archive": archive}
        click.echo(json.dumps(body, indent=2))
        return
    table = Table(box=None)
    for name in ("kind", "days", "bounds", "archived first", "set by", "last cleanup (UTC)"):
        table.add_column(name, justify="right" if name in ("days", "bounds") else "left", no_wrap=True)
    for kind, policy in found.items():
        archived = ("yes" if policy.archive else "no") if KINDS[kind].archivable else "-"
        table.add_row(kind, str(policy.days), f"1-{KINDS[kind].longest}", archived,
                      "default" if policy.is_default else "you", _clock(policy.last_run_at))  # fmt: skip
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f"archive: {files:,} files, {size_bytes:,} bytes in {escape(str(folder))}")


@retention.command("set")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("--days", type=int, help="Keep it for so many days.")
@click.option("--archive/--no-archive", default=None, help="Whether rows are archived before they go.")
@_JSON
def set_command(kind: str, days: int | None, archive: bool | None, as_json: bool) -> None:
    """Change for how many days a KIND is kept."""
    check_policy(kind, days, archive)
    _read(policies)  # a recorder would make a database where there is none
    answer = carry_out("retention.set", quiet=as_json, kind=kind, days=days, archive=archive, actor=actor())
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    archived = ", archived first" if answer["archive"] else ""
    click.echo(f"{kind} is kept for {answer['days']} days{archived}")


@retention.command("run")
@click.option("--dry-run", is_flag=True, help="Only count what would go.")
@_JSON
def run_command(dry_run: bool, as_json: bool) -> None:
    """Delete what is too old, and archive first what is to be archived."""
    if dry_run:
        counts: dict[str, int] = _read(lambda connection: due(connection, time.time()))
        if as_json:
            click.echo(json.dumps({"due": counts}, indent=2))
        else:
            _print_counts("would go", counts)
        return
    _read(policies)
    report = carry_out("retention.run", quiet=as_json)
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    _print_counts("deleted", report["deleted"])
    rows = sum(report["archived"].values())
    click.echo(f"archived {rows:,} rows in {report['files_made']:,} files")
    for one in report["skipped"]:
        click.echo(f"skipped {one['kind']} {one['unit']}: {one['reason']}", err=True)


def _print_counts(title: str, counts: Mapping[str, int]) -> None:
    table = Table(box=None)
    table.add_column("kind")
    table.add_column(title, justify="right")
    for kind, count in counts.items():
        table.add_row(kind, f"{count:,} files" if kind == "archives" else f"{count:,} rows")
    Console(highlight=False, soft_wrap=True).print(table)


def _held(folder: Path) -> tuple[int, int]:
    """Return how many archives the folder has, and their size in bytes."""
    sizes = [os.stat(path).st_size for path in folder.rglob(f"*{SUFFIX}")]
    return len(sizes), sum(sizes)


def _read(query: Any) -> Any:
    return queries.read(open_store(config.database_url(), read_only=True), query)


def _plain(policy: Policy) -> dict[str, Any]:
    fixed = KINDS[policy.kind]
    return {
        "kind": policy.kind, "days": policy.days, "shortest": 1, "longest": fixed.longest,
        "archivable": fixed.archivable, "archive": policy.archive, "is_default": policy.is_default,
        "last_run_at": policy.last_run_at,
    }  # fmt: skip


def _clock(at: float | None) -> str:
    return "never" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
