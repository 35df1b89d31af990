"""``streamlab ui``: the pages without Locust, read-only."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import click
from flask import Flask, redirect, url_for
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from streamlab_plugin import config
from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.spool_status import waiting_text
from streamlab_plugin.web.blueprint import create_blueprint

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from werkzeug.wrappers import Response

DEFAULT_PORT = 8090
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command("ui")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=DEFAULT_PORT, show_default=True, type=click.IntRange(0, 65535), help="0: any free port."
)
def ui(host: str, port: int) -> None:
    """Serve the pages on what has been recorded, without Locust; Ctrl-C ends it.

    The database is the configured one (STREAMLAB_DATABASE_URL, streamlab.yaml or ./streamlab.db); it is
    never created or changed.
    """
    engine = open_store(config.database_url(), read_only=True, keeps=True)
    server = make_ui_server(engine, host, port, partial(waiting_text, config.database_url()))
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"Streamlab is at http://{shown}:{server.port}/streamlab/ (Ctrl-C to end)")
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo("")
    finally:
        server.server_close()


def make_ui_server(
    engine: Engine, host: str, port: int, waiting: Callable[[], str] | None = None
) -> BaseWSGIServer:
    """Return a server for the pages, bound and not yet serving; *waiting* as for `create_blueprint`.

    Raises:
        InfrastructureError: *host* is no address of this machine, or the port is taken.
    """
    # Bound here, because werkzeug answers a taken port by ending the process.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise InfrastructureError(
            f"cannot listen on {host} port {port}: {reason}; choose another with --port or --host"
        ) from error
    with listener:
        return make_server(
            host,
            listener.getsockname()[1],
            _application(engine, host, waiting),
            threaded=True,
            request_handler=_QuietHandler,
            fd=listener.fileno(),
        )


def _application(engine: Engine, host: str, waiting: Callable[[], str] | None) -> Flask:
    app = Flask("streamlab")
    if host in _LOOPBACK:
        # A foreign name that resolves to this machine must not become a way in.
        app.config["TRUSTED_HOSTS"] = ["127.0.0.1", "localhost", "[::1]"]
    app.register_blueprint(create_blueprint(engine, waiting=waiting))

    @app.get("/")
    def home() -> Response:
        return redirect(url_for("streamlab.overview"))

    return app


class _QuietHandler(WSGIRequestHandler):
    """A page that polls would fill the terminal with a line per second."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing about answers; errors are still logged."""
