"""What the commands that change something share: reach the recorder of the configured database."""

from __future__ import annotations

import os
from typing import Any

import click

from streamlab_plugin import config
from streamlab_plugin.link.order import order
from streamlab_plugin.link.place import socket_path
from streamlab_plugin.link.spawn import RecorderStarter
from streamlab_plugin.store.url import absolute_url, fingerprint


def carry_out(name: str, /, *, quiet: bool = False, **arguments: Any) -> dict[str, Any]:
    """Have the recorder carry out the order *name* and return its result; progress goes to standard error.

    Raises:
        StreamlabError: what the recorder refused, or that there is none.
    """
    settings = config.load()
    path = socket_path(fingerprint(settings.database_url))
    environment = {
        "STREAMLAB_DATABASE_URL": absolute_url(settings.database_url),
        "STREAMLAB_KEY_FILE": os.fspath(settings.key_file.absolute()),
    }

    def tell(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    return order(path, RecorderStarter(path, environment), name, arguments, tell)
