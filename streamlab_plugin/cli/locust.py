"""``streamlab locust …``: Locust with Streamlab, no edit to a locustfile needed."""

from __future__ import annotations

import os
import sys

import click


@click.command(
    "locust",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def locust(arguments: tuple[str, ...]) -> None:
    """Run Locust with Streamlab switched on; all ARGUMENTS are Locust's."""
    os.execv(sys.executable, [sys.executable, "-m", "streamlab_plugin.launch", *arguments])  # noqa: S606
