"""The ``streamlab`` command: groups are imported on use, so that each call loads only what it needs."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from streamlab_plugin import __version__
from streamlab_plugin.core.errors import StreamlabError

# name -> (module, attribute, one line for --help)
_COMMANDS = {
    "db": ("streamlab_plugin.cli.db", "db", "Look after the database."),
    "demo": ("streamlab_plugin.cli.demo", "demo", "Run the demo: a misbehaving target under a mixed load."),
    "events": ("streamlab_plugin.cli.events", "events", "Show recorded requests."),
    "locust": ("streamlab_plugin.cli.locust", "locust", "Run Locust with Streamlab on any locustfile."),
    "privacy": ("streamlab_plugin.cli.privacy", "privacy", "Show and test what may be stored of payloads."),
    "probe": ("streamlab_plugin.cli.probe", "probe", "Ask a target whether it is there and lets us in."),
    "retention": ("streamlab_plugin.cli.retention", "retention", "Show, set and apply retention."),
    "run": ("streamlab_plugin.cli.run", "run", "Make the load of a scenario, and judge the target."),
    "runs": ("streamlab_plugin.cli.runs", "runs", "List, show, export, stop, tag and reconcile runs."),
    "scenario": ("streamlab_plugin.cli.scenario", "scenario", "Generate, check and show scenarios."),
    "slo": ("streamlab_plugin.cli.slo", "slo", "Check a run against its objectives."),
    "ui": ("streamlab_plugin.cli.ui", "ui", "Serve the pages without Locust."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    # ruff: noqa: ARG002 - click's signatures

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; a reader that has seen enough (``| head``) is no failure of it."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # What is still buffered has nowhere to go; Python would complain about it at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command names in order."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _text = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, text) for name, (_module, _attribute, text) in sorted(_COMMANDS.items())]
            )


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="streamlab")
def cli() -> None:
    """Streamlab: record, redact, judge and explain Locust load tests."""


def main() -> None:
    """Run the command; a user's mistake becomes one line and a documented exit code."""
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code if error.exit_code != 1 else 2)
    except click.Abort:
        sys.exit(130)
    except StreamlabError as error:
        click.echo(f"streamlab: {error}", err=True)
        sys.exit(error.exit_code)
