"""``streamlab scenario generate|validate|list|show|schema``."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from streamlab_plugin import config
from streamlab_plugin.core.errors import ConfigError, DocumentError
from streamlab_plugin.core.wording import choices, shown
from streamlab_plugin.scenario.distribution import Distribution
from streamlab_plugin.scenario.document import json_schema
from streamlab_plugin.scenario.scenario import Scenario

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
# The packaged scenarios, in the order in which they are listed and generated.
TYPES = (
    "websocket", "mqtt", "http", "mixed", "spike", "soak", "stress", "reconnect-storm", "fan-in", "fan-out",
    "backlog-drain",
)  # fmt: skip
_SUFFIXES = (".yaml", ".yml", ".json")
_SEED = re.compile(r"\bseed: \d+")


@click.group()
def scenario() -> None:
    """Generate, check and show scenarios."""


@scenario.command("generate")
@click.option("--type", "kind", type=click.Choice(["all", *TYPES]), required=True, help="Which one, or all.")
@click.option(
    "--output", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Folder to write to."
)
@click.option("--seed", type=click.IntRange(0, 2**53), help="Seed of people, payloads and faults; 7.")
def generate_command(kind: str, output: Path, seed: int | None) -> None:
    """Write example scenarios to a folder, the same bytes each time."""
    texts = {output / f"{name}.yaml": _with_seed(name, seed) for name in (TYPES if kind == "all" else [kind])}
    try:
        output.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            if path.exists() and path.read_bytes() != text.encode():
                raise ConfigError(
                    f"{path}: there is another file of this name",
                    remedy="remove it or choose another --output",
                )
        for path, text in texts.items():
            path.write_bytes(text.encode())
            click.echo(path)
    except OSError as error:
        raise ConfigError(
            f"{output}: cannot be written ({error.strerror})", remedy="choose another --output"
        ) from None


@scenario.command("validate")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
def validate_command(files: tuple[Path, ...]) -> None:
    """Check scenario files: a line for each problem, and exit code 2 if there is one."""
    is_valid = True
    for path in files:
        try:
            found = config.read_scenario(path)
        except ConfigError as error:
            click.echo(str(error), err=True)
            is_valid = False
        else:
            click.echo(f"{path}: valid ({found.name})")
    if not is_valid:
        sys.exit(2)


@scenario.command("list")
@click.argument("folder", required=False, metavar="[DIR]", type=click.Path(path_type=Path))
@_JSON
def list_command(folder: Path | None, as_json: bool) -> None:
    """List the scenarios of a folder, or the packaged ones."""
    found, broken = list[tuple[Path, Scenario]](), list[ConfigError]()
    for path in _files(folder):
        try:
            found.append((path, config.read_scenario(path)))
        except ConfigError as error:
            broken.append(error)
    if as_json:
        click.echo(json.dumps([{**_summary(one), "file": str(path)} for path, one in found], indent=2))
    else:
        _print_table([one for _path, one in found])
    if broken:  # the others are listed all the same
        raise DocumentError(broken)


def _print_table(found: Sequence[Scenario]) -> None:
    table = Table(box=None)
    for name in ("name", "protocol", "seconds", "connections", "messages/s"):
        table.add_column(name, justify="left" if name in ("name", "protocol") else "right", no_wrap=True)
    for one in found:
        table.add_row(
            one.name,
            "+".join(one.protocols),
            f"{one.duration_seconds:,g}",
            f"{one.connections:,}",
            _rate(one),
        )
    Console(highlight=False, soft_wrap=True).print(table)


@scenario.command("show")
@click.argument("which", metavar="NAME|FILE")
@_JSON
def show_command(which: str, as_json: bool) -> None:
    """Show a packaged scenario by its name, or a file's, with every default filled in."""
    found = config.read_scenario(packaged_or_file(which))
    if as_json:
        click.echo(json.dumps(_plain(found), indent=2))
        return
    click.echo(f"{found.name}: {found.description}" if found.description else found.name)
    for line in describe(found):
        click.echo(f"  {line}")


@scenario.command("schema")
def schema_command() -> None:
    """Print the JSON schema (draft 2020-12) of scenario files."""
    click.echo(json.dumps(json_schema(), indent=1, ensure_ascii=False))


def packaged_or_file(which: str) -> Path:
    """Return the file of a packaged scenario's name, or *which* as a path.

    Raises:
        ConfigError: There is neither such a name nor such a file.
    """
    path = Path(which)
    if which in TYPES and not path.is_file():
        return _packaged(which)
    if not path.suffix and not path.exists():
        raise ConfigError(f"there is no scenario and no file {shown(which)}", remedy=choices(which, TYPES))
    return path


def _packaged(name: str) -> Path:
    return config.packaged("rules") / "scenarios" / f"{name}.yaml"


def _with_seed(name: str, seed: int | None) -> str:
    text = _packaged(name).read_text(encoding="utf-8")
    return text if seed is None else _SEED.sub(f"seed: {seed}", text)


def _files(folder: Path | None) -> list[Path]:
    if folder is None:
        return [_packaged(name) for name in TYPES]
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder", remedy="name one that holds scenario files")
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read ({error.strerror})") from None


def _rate(one: Scenario) -> str:
    rate = one.total_messages_per_second
    return "think time" if rate is None else f"{rate:,g}"


def _summary(one: Scenario) -> dict[str, Any]:
    return {
        "name": one.name, "protocol": one.protocol, "protocols": list(one.protocols),
        "duration_seconds": one.duration_seconds, "connections": one.connections,
        "messages_per_second": one.total_messages_per_second, "criticality": one.criticality,
        "tags": list(one.tags),
    }  # fmt: skip


def describe(one: Scenario) -> list[str]:
    """Return what a scenario does, in lines for people."""
    lines = [
        f"{one.connections:,} connections for {one.duration_seconds:,g} s,"
        f" ramps {one.ramp_up_seconds:g} s up and {one.ramp_down_seconds:g} s down",
        f"messages per second: {_rate(one)}",
    ]
    for part in one.parts:
        pace = (
            "as think time says"
            if part.messages_per_second is None
            else f"{part.messages_per_second:g}/s each"
        )
        lines.append(
            f"{part.protocol} {part.endpoint}: weight {part.weight:g}, {pace}, {part.payload.generator}"
        )
    if one.think_time:
        lines.append(f"think time in seconds: {_words(one.think_time)}")
    if one.burst:
        lines.append(_words(one.burst))
    for fault in one.failure_injection.faults:
        until = "the end" if fault.until_s == math.inf else f"{fault.until_s:g} s"
        lines.append(f"fault {fault.kind}: probability {fault.probability:g}, {fault.from_s:g} s to {until}")
    if one.expected_p95_latency_ms is not None:
        lines.append(f"expected p95 latency: {one.expected_p95_latency_ms:g} ms")
    if one.expected_error_rate is not None:
        lines.append(f"expected error rate: {one.expected_error_rate:g}")
    lines.append(f"criticality: {one.criticality}")
    return [*lines, f"tags: {', '.join(one.tags)}"] if one.tags else lines


def _words(value: DataclassInstance) -> str:
    """Return ``Lognormal(median=0.8, sigma=0.5)`` as ``lognormal, median 0.8, sigma 0.5``."""
    parts = [f"{name.replace('_', ' ')} {one:g}" for name, one in asdict(value).items()]
    return ", ".join([type(value).__name__.lower(), *parts])


def _plain(value: Any) -> Any:
    """Return *value* for JSON: a distribution with its name, and no end as null, for JSON has no infinity."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if is_dataclass(value):
        named = {"distribution": type(value).__name__.lower()} if isinstance(value, Distribution) else {}
        return {**named, **{key.name: _plain(getattr(value, key.name)) for key in fields(value)}}
    return None if value == math.inf else value
