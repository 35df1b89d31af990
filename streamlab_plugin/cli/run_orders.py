"""``streamlab runs stop|tag|reconcile``: what a recorder is asked to change about runs."""

from __future__ import annotations

import json

import click

from streamlab_plugin.cli.ordering import carry_out
from streamlab_plugin.cli.printable import printable
from streamlab_plugin.cli.reading import read
from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.store import queries
from streamlab_plugin.store.run_changes import check_tag_name, check_tag_value


def parse_tag(given: str) -> tuple[str, str]:
    """Return name and value of ``NAME=VALUE``.

    Raises:
        ConfigError: it is not of this form, or a tag may not be called so or have this value.
    """
    name, equals, value = given.partition("=")
    if not equals:
        raise ConfigError(f"tag {given[:40]!r} has no value", remedy="write NAME=VALUE")
    return check_tag_name(name), check_tag_value(name, value)


@click.command("stop")
@click.argument("run", default=queries.LATEST)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def stop_command(run: str, as_json: bool) -> None:
    """End the test of one RUN: an id, the beginning of one, or 'latest'."""
    done = carry_out("runs.stop", run=_resolved(run))
    click.echo(json.dumps(done) if as_json else f"{done['run'][:8]}: {done['state']}")


@click.command("tag")
@click.argument("run")
@click.argument("tags", nargs=-1, metavar="NAME=VALUE...")
@click.option("--remove", multiple=True, metavar="NAME", help="Remove this tag; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def tag_command(run: str, tags: tuple[str, ...], remove: tuple[str, ...], as_json: bool) -> None:
    """Set tags of one RUN (an id, the beginning of one, or 'latest'), or remove them."""
    if not tags and not remove:
        raise click.UsageError("name a tag: NAME=VALUE, or --remove NAME")
    added = dict(parse_tag(one) for one in tags)
    removed = [check_tag_name(name) for name in remove]
    if both := sorted(added.keys() & set(removed)):
        raise click.UsageError(f"tag {both[0]!r} is to be set and removed")
    done = carry_out("runs.tag", run=_resolved(run), set=added, remove=removed)
    if as_json:
        click.echo(json.dumps(done))
        return
    text = " ".join(f"{name}={value}" for name, value in done["tags"].items())
    click.echo(f"{done['run'][:8]}: {printable(text) or 'no tags'}")


@click.command("reconcile")
@click.option(
    "--quiet-s",
    type=click.FloatRange(1, 86_400),
    default=60,
    show_default=True,
    help="Runs from which nothing came for so many seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def reconcile_command(quiet_s: float, as_json: bool) -> None:
    """Finish runs whose Locust processes are gone."""
    # Only a database that exists can have such runs.
    read(lambda connection: queries.list_runs(connection, 1))
    done = carry_out("runs.reconcile", quiet_s=quiet_s)
    if as_json:
        click.echo(json.dumps(done["runs"], indent=2))
        return
    for one in done["runs"]:
        click.echo(f"{one['run'][:8]}: {one['state']}, verdict {one['verdict'] or 'none'}")
    if not done["runs"]:
        click.echo("Nothing to reconcile.")


def _resolved(run: str) -> str:
    return read(lambda connection: queries.find_run(connection, run)).run
