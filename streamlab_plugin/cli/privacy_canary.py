"""``streamlab privacy canary``: synthetic people through a real load, and a search of all it left behind."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamlab_plugin import config
from streamlab_plugin.core.errors import ConfigError

if TYPE_CHECKING:
    from streamlab_plugin.canary.outcome import Outcome

_MOST_LINES = 40


@click.command("canary")
@click.option("--people", type=click.IntRange(1, 100_000), default=1_000, show_default=True,
              help="Synthetic people on each protocol.")  # fmt: skip
@click.option("--seed", type=int, default=7, show_default=True, help="Decides who they are.")
@click.option("--keep", "kept", default=None, metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
              help="Leave everything in this folder, which must be new or empty.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def canary_command(people: int, seed: int, kept: Path | None, as_json: bool) -> None:
    """Plant synthetic people in a load of its own, and search every sink for them; exit code 1 for a hit."""
    try:
        from streamlab_plugin.canary.outcome import find_canaries
        from streamlab_plugin.canary.target_mqtt import Broker as _broker  # noqa: F401, N813 - is it there?
    except ModuleNotFoundError as error:
        package = (error.name or "faker").partition(".")[0]
        raise ConfigError(f"{package} is missing", remedy="pip install 'locust-streamlab[demo]'") from None
    if kept is not None and kept.exists() and any(kept.iterdir()):
        raise ConfigError(f"the folder {str(kept)!r} is not empty", remedy="give a new one with --keep")
    outcome = find_canaries(people, seed, kept, config.vocabulary(), _say)
    if as_json:
        click.echo(json.dumps(outcome.to_dict(), indent=2))
    else:
        _print(outcome)
    sys.exit(outcome.exit_code)


def _say(line: str) -> None:
    click.echo(f"canary: {line}", err=True)


def _print(outcome: Outcome) -> None:
    trial = outcome.trial
    click.echo(
        f"planted {trial.planted:,} times ({trial.people:,} people on each of three protocols); "
        f"the target saw {trial.seen:,} of {trial.on_wire:,}; {trial.ledger.text()}"
    )
    width = max(len(sink.name) for sink in trial.sinks)
    for sink in trial.sinks:
        click.echo(f"{sink.name:<{width}}  {sink.size_bytes:>13,} bytes  {outcome.hits(sink.name):>7,} hits")
    groups = outcome.groups()
    for find, count in groups[:_MOST_LINES]:
        undone = f" in {find.decoding}" if find.decoding else ""
        click.echo(
            f"  {find.field}{undone} in {find.sink}: {count:,} planted by {find.planting.protocol}, "
            f"{find.planting.label}"
        )
    if len(groups) > _MOST_LINES:
        click.echo(f"  and {len(groups) - _MOST_LINES:,} more; --json lists them")
    if outcome.coincidences:
        click.echo(f"{outcome.coincidences:,} values do not count: a load with other people has them, too")
    click.echo(outcome.verdict())
