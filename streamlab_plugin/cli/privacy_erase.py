"""``streamlab privacy erase``."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from streamlab_plugin import config
from streamlab_plugin.cli.actor import actor
from streamlab_plugin.cli.ordering import carry_out
from streamlab_plugin.core.errors import EXIT_INFRASTRUCTURE, ConfigError
from streamlab_plugin.privacy.keyring import Keyring
from streamlab_plugin.privacy.subject import check_pseudonym, pseudonyms_of
from streamlab_plugin.store import erasure, queries
from streamlab_plugin.store.engine import open_store

# An id that is longer was never stored as one.
_MOST_BYTES = 65_536
_PLACES: Mapping[str, str] = {
    "records": "records",
    "occurrences": "occurrences without their evidence",
    "tracks": "tracks of numbered messages",
    "archived_records": "archived records",
    "archived_occurrences": "archived occurrences without their evidence",
    "spooled_records": "records in the spool",
    "spooled_occurrences": "occurrences in the spool without their evidence",
    "spooled_tracks": "tracks in the spool",
}


@click.command("erase")
@click.option(
    "--subject", default=None, metavar="VALUE", help="The id itself; - reads it from standard input."
)
@click.option("--hash", "pseudonym", default=None, metavar="H", help="A pseudonym as it stands in the data.")
@click.option("--resume", is_flag=True, help="Bring every erasure to its end that was interrupted.")
@click.option("--list", "is_list", is_flag=True, help="Show the receipts of all erasures.")
@click.option("--dry-run", is_flag=True, help="Only count what would go.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def erase_command(
    subject: str | None, pseudonym: str | None, resume: bool, is_list: bool, dry_run: bool, as_json: bool
) -> None:
    """Erase one subject: its records, what shows them, the same in archives and spool, under every kept key.

    Anybody on this machine can read the arguments of a command: prefer --subject -.
    """
    if sum((subject is not None, pseudonym is not None, resume, is_list)) != 1:
        raise ConfigError("what is to be done?", remedy="give one of --subject, --hash, --resume and --list")
    if dry_run and (resume or is_list):
        raise ConfigError("--dry-run counts for one subject", remedy="give it with --subject or --hash")
    if is_list:
        _show_list(as_json)
        return
    if resume:
        _resume(as_json)
        return
    pseudonyms, keys = _pseudonyms(subject, pseudonym)
    gone = _runs_without_key(keys) if subject is not None else _need_database()
    answer = carry_out("privacy.erase", quiet=as_json, pseudonyms=pseudonyms, actor=actor(), dry_run=dry_run)
    if as_json:
        click.echo(json.dumps({**answer, "keys": sorted(keys), "unknown_keys": gone}, indent=2))
    else:
        _print_answer(answer, "would go" if dry_run else "erased")
    for ident, runs in gone.items():
        click.echo(
            f"{runs:,} runs were stored under the key {ident}, which is gone: their data cannot be found by "
            "value, only with --hash",
            err=True,
        )
    _end([answer])


def _pseudonyms(subject: str | None, pseudonym: str | None) -> tuple[list[str], Collection[str]]:
    """Return the pseudonyms to look for and the ids of the keys that made them."""
    if pseudonym is not None:
        return [check_pseudonym(pseudonym)], ()
    assert subject is not None
    value = subject
    if subject == "-":
        try:
            value = sys.stdin.buffer.read(_MOST_BYTES).decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise ConfigError("--subject -: what came is not UTF-8", remedy="give the id as text") from None
    if not value:
        raise ConfigError("--subject: an empty id", remedy="give the id whose data shall go")
    by_key = pseudonyms_of(value, Keyring(config.load().key_file))
    return sorted({one for some in by_key.values() for one in some}), by_key


def _need_database() -> dict[str, int]:
    _read(queries.runs_by_epoch)
    return {}


def _runs_without_key(keys: Collection[str]) -> dict[str, int]:
    """Return how many runs were stored under each key that is not among *keys*."""
    runs: dict[str, int] = _read(queries.runs_by_epoch)
    return {ident: count for ident, count in sorted(runs.items()) if ident not in keys}


def _resume(as_json: bool) -> None:
    _need_database()
    receipts = carry_out("privacy.resume", quiet=as_json)["erasures"]
    if as_json:
        click.echo(json.dumps(receipts, indent=2))
    elif not receipts:
        click.echo("no erasure was interrupted")
    else:
        for receipt in receipts:
            _print_answer(receipt, "erased")
    _end(receipts)


def _end(answers: Sequence[Mapping[str, Any]]) -> None:
    skipped = [one for answer in answers for one in answer["skipped"]]
    for one in skipped:
        click.echo(f"not searched: {one}", err=True)
    if skipped:
        click.echo("when that is put right, run: streamlab privacy erase --resume", err=True)
        sys.exit(EXIT_INFRASTRUCTURE)


def _show_list(as_json: bool) -> None:
    found = _read(erasure.listed)
    if as_json:
        click.echo(json.dumps([one.to_dict() for one in found], indent=2))
        return
    table = Table(box=None)
    for name in ("id", "state", "requested (UTC)", "by", "rows", "sha256 of the pseudonyms"):
        table.add_column(name, justify="right" if name in ("id", "rows") else "left", no_wrap=True)
    for one in found:
        at = datetime.fromtimestamp(one.requested_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        digests = " ".join(digest[:12] for digest in one.digests)
        table.add_row(str(one.id), one.state, at, one.actor, f"{sum(one.counts.values()):,}", digests)
    Console(highlight=False, soft_wrap=True).print(table)


def _print_answer(answer: Mapping[str, Any], title: str) -> None:
    counts: Mapping[str, int] = answer["counts"]
    if not counts:
        click.echo("nothing of this subject was found")
    else:
        table = Table(box=None)
        table.add_column("what")
        table.add_column(title, justify="right")
        for place, name in _PLACES.items():
            if counts.get(place):
                table.add_row(name, f"{counts[place]:,}")
        Console(highlight=False, soft_wrap=True).print(table)
    if "id" in answer:
        click.echo(f"receipt {answer['id']}: {answer['state']}, by {answer['actor']}")


def _read(query: Any) -> Any:
    return queries.read(open_store(config.database_url(), read_only=True), query)
