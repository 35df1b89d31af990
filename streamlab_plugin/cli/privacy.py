"""``streamlab privacy audit|canary|erase|explain|key|test``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Connection

from streamlab_plugin import config
from streamlab_plugin.cli.printable import printable
from streamlab_plugin.cli.privacy_canary import canary_command
from streamlab_plugin.cli.privacy_erase import erase_command
from streamlab_plugin.core.errors import ConfigError, InfrastructureError
from streamlab_plugin.privacy.example import Example, Outcome, parse_examples, try_example
from streamlab_plugin.privacy.explain import Line, explain
from streamlab_plugin.privacy.form import decode_body
from streamlab_plugin.privacy.keyring import Keyring
from streamlab_plugin.privacy.policy import ALLOW_UNSAFE, Action, Decision, parse_policy
from streamlab_plugin.privacy.pseudonym import Pseudonyms, key_id, load_key
from streamlab_plugin.privacy.treatment import decision_at
from streamlab_plugin.store import queries
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.key_queries import ELEMENT, KeyPath, stored_keys

# Above the largest frame of the link: what is larger never reaches redaction.
MOST_BYTES = 16 * 1024 * 1024
EXAMPLES_SUFFIX = ".examples.yaml"
_PIPED_WIDTH = 1_000

_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
_UNSAFE = click.option(
    "--allow-unsafe", is_flag=True, help="Let the policy keep what is always removed, as in a test."
)
_POLICY = click.option(
    "--policy", "chosen", default=None, metavar="FILE", type=click.Path(path_type=Path),
    help="Privacy policy (YAML) instead of the configured one.",
)  # fmt: skip


@click.group()
def privacy() -> None:
    """Show and test what may be stored of payloads, and erase."""


privacy.add_command(canary_command)
privacy.add_command(erase_command)


@privacy.command("explain")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--endpoint", default="", metavar="E", help="Endpoint or topic whose rules apply.")
@_POLICY
@_UNSAFE
@_JSON
def explain_command(
    file: Path, endpoint: str, chosen: Path | None, allow_unsafe: bool, as_json: bool
) -> None:
    """Say of each field of a payload in FILE (- is standard input) what happens to it, and why."""
    settings = config.load({"privacy": chosen, ALLOW_UNSAFE: allow_unsafe})
    policy = parse_policy(settings.documents["privacy"]).at(endpoint)
    raw = _bytes(file)
    try:
        payload = decode_body(raw)
    except (ValueError, RecursionError):
        if as_json:
            click.echo(json.dumps({"policy": policy.title, "is_read": False, "fields": []}, indent=2))
        else:
            click.echo(
                f"{file} is neither JSON nor a form: nothing of it is stored but size, times and outcome"
            )
        return
    lines = explain(payload, policy, Pseudonyms(load_key(settings.key_file)))
    if as_json:
        body = {"policy": policy.title, "is_read": True, "fields": [line._asdict() for line in lines]}
        click.echo(json.dumps(body, indent=2, ensure_ascii=False))
        return
    click.echo(f"what counts is {policy.title} ({settings.sources['privacy']})")
    _print_lines(lines)


@privacy.command("test")
@click.option(
    "--examples", "file", default=None, metavar="FILE", type=click.Path(path_type=Path),
    help="Examples (YAML) instead of those beside the policy.",
)  # fmt: skip
@_POLICY
@_UNSAFE
@_JSON
def test_command(file: Path | None, chosen: Path | None, allow_unsafe: bool, as_json: bool) -> None:
    """Redact the examples kept beside the policy; exit code 1 if one is stored otherwise than it says."""
    settings = config.load({"privacy": chosen, ALLOW_UNSAFE: allow_unsafe})
    source = settings.sources["privacy"]
    path = file or source.with_name(source.stem + EXAMPLES_SUFFIX)
    examples = config.read_document(path, parse_examples)
    policy = parse_policy(settings.documents["privacy"])
    outcomes = [try_example(example, policy) for example in examples]
    if as_json:
        click.echo(json.dumps([_plain(*pair) for pair in zip(examples, outcomes, strict=True)], indent=2))
    else:
        for example, outcome in zip(examples, outcomes, strict=True):
            _print_outcome(example, outcome)
        failed = sum(not outcome.is_as_expected for outcome in outcomes)
        click.echo(f"{len(examples) - failed} of {len(examples)} examples are stored as {path} says")
    sys.exit(int(not all(outcome.is_as_expected for outcome in outcomes)))


@privacy.command("audit")
@click.option("--run", default=None, metavar="ID", help="One run: an id, the beginning of one, or 'latest'.")
@_POLICY
@_UNSAFE
@_JSON
def audit_command(run: str | None, chosen: Path | None, allow_unsafe: bool, as_json: bool) -> None:
    """List every key that is stored, endpoint by endpoint; exit code 1 if the policy does not name one."""
    settings = config.load({"privacy": chosen, ALLOW_UNSAFE: allow_unsafe})
    policy = parse_policy(settings.documents["privacy"])

    def query(connection: Connection) -> Mapping[str, Counter[KeyPath]]:
        run_id = None if run is None else queries.find_run(connection, run).id
        return stored_keys(connection, run_id)

    found = queries.read(open_store(settings.database_url, read_only=True), query)
    rows = [
        (endpoint, _joined(path), count, decision_at(policy.at(endpoint), path))
        for endpoint, counts in sorted(found.items())
        for path, count in sorted(counts.items())
    ]
    unnamed = [row for row in rows if row[3].action in (Action.DROP, Action.REMOVE)]
    if as_json:
        keys = [
            {"endpoint": endpoint, "key": key, "records": count, "action": decision.action.value,
             "is_named": decision.action not in (Action.DROP, Action.REMOVE)}
            for endpoint, key, count, decision in rows
        ]  # fmt: skip
        click.echo(json.dumps({"keys": keys, "unnamed": len(unnamed)}, indent=2, ensure_ascii=False))
    else:
        _print_keys(rows)
        click.echo(f"{len(rows)} keys are stored; the policy does not name {len(unnamed)} of them")
    sys.exit(int(bool(unnamed)))


@privacy.group("key")
def key_group() -> None:
    """Show, replace and destroy the keys of pseudonyms."""


@key_group.command("show")
@_JSON
def show_key_command(as_json: bool) -> None:
    """Show the ids of today's key and of the kept ones, and how many runs were stored under each."""
    settings = config.load()
    keyring = Keyring(settings.key_file)
    current, runs = key_id(keyring.current()), _runs_by_epoch(settings.database_url)
    idents = [current, *keyring.kept(), *sorted(set(runs) - {current, *keyring.kept()})]
    states = {ident: "today's" if ident == current else "kept" for ident in [*keyring.kept(), current]}
    if as_json:
        keys = [
            {"id": ident, "state": states.get(ident, "gone"), "runs": runs.get(ident, 0)} for ident in idents
        ]
        click.echo(json.dumps({"file": str(settings.key_file), "keys": keys}, indent=2))
        return
    table = Table(box=None)
    for name in ("key", "state", "runs"):
        table.add_column(name, justify="right" if name == "runs" else "left")
    for ident in idents:
        table.add_row(ident, states.get(ident, "gone"), f"{runs.get(ident, 0):,}")
    _console().print(table)
    click.echo(f"today's key is in {settings.key_file}")


@key_group.command("rotate")
@click.option("--keep-old/--destroy-old", default=True, help="What becomes of today's key; it is kept.")
def rotate_key_command(keep_old: bool) -> None:
    """Begin a new epoch: a new key from the next run on."""
    done = Keyring(config.load().key_file).rotate(keep=keep_old)
    old = "kept: what it hashed can still be erased by value" if done.is_kept else "destroyed"
    click.echo(f"the key is {done.new} from the next run on; {done.old} is {old}")


@key_group.command("destroy")
@click.argument("ident", metavar="ID")
def destroy_key_command(ident: str) -> None:
    """Delete a kept key: what was stored under it can never be linked to anybody again."""
    Keyring(config.load().key_file).destroy(ident)
    click.echo(f"{ident} is destroyed")


def _runs_by_epoch(url: str) -> Mapping[str, int]:
    try:
        return queries.read(open_store(url, read_only=True), queries.runs_by_epoch)
    except InfrastructureError:
        return {}  # there is a key before there is a database


def _console() -> Console:
    """Return what tables are printed on: as wide as the terminal, or as long lines for another program."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def _joined(path: KeyPath) -> str:
    return ".".join(path).replace(f".{ELEMENT}", ELEMENT)


def _print_keys(rows: list[tuple[str, str, int, Decision]]) -> None:
    table = Table(box=None)
    for name in ("endpoint", "key", "records", "policy says"):
        table.add_column(name, justify="right" if name == "records" else "left", overflow="fold")
    for endpoint, key, count, decision in rows:
        is_named = decision.action not in (Action.DROP, Action.REMOVE)
        said = decision.action.value if is_named else f"NOT NAMED ({decision.reason})"
        table.add_row(escape(printable(endpoint)), escape(printable(key)), f"{count:,}", escape(said))
    _console().print(table)


def _bytes(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read(MOST_BYTES)
    try:
        with file.open("rb") as stream:
            return stream.read(MOST_BYTES)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from None


def _print_lines(lines: list[Line]) -> None:
    table = Table(box=None)
    for name in ("field", "type", "is", "stored", "because"):
        table.add_column(name, overflow="fold")
    for line in lines:
        stored = json.dumps(line.stored, ensure_ascii=False) if line.is_stored else "-"
        cells = (line.path, line.kind, line.outcome, stored, line.reason)
        table.add_row(*(escape(printable(cell)) for cell in cells))
    _console().print(table)
    count = sum(line.is_stored for line in lines)
    click.echo(f"{count} of {len(lines)} fields are stored")


def _print_outcome(example: Example, outcome: Outcome) -> None:
    click.echo(f"{'ok' if outcome.is_as_expected else 'DIFFERS'}  {printable(example.title)}")
    if not outcome.is_as_expected:
        click.echo(f"    expected {json.dumps(example.stored, ensure_ascii=False)}")
        click.echo(f"    stored   {json.dumps(outcome.stored, ensure_ascii=False)}")


def _plain(example: Example, outcome: Outcome) -> dict[str, Any]:
    return {
        "title": example.title, "endpoint": example.endpoint, "is_as_expected": outcome.is_as_expected,
        "expected": example.stored, "stored": outcome.stored,
    }  # fmt: skip
