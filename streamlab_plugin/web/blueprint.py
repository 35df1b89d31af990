"""The pages as a Flask blueprint, at home in Locust's application as in our own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Blueprint

from streamlab_plugin import __version__
from streamlab_plugin.web.formatting import iso, look_up, show
from streamlab_plugin.web.protection import Guard, protect
from streamlab_plugin.web.source import RunQuery, Source
from streamlab_plugin.web.views import Views

if TYPE_CHECKING:
    from sqlalchemy import Engine


def create_blueprint(
    engine: Callable[[], Engine] | Engine,
    *,
    guard: Guard | None = None,
    run_query: RunQuery | None = None,
    locust_url: str | None = None,
    current_run: Callable[[], str | None] | None = None,
    clock: Callable[[], float] = time.time,
    waiting: Callable[[], str] | None = None,
    url_prefix: str = "/streamlab",
) -> Blueprint:
    """Return the pages, their API and their static files.

    Args:
        engine: The store, or what opens it (its errors become a 503 with one sentence).
        guard: Called before every request, static files included; what it returns, unless None, is the
            answer. If it raises, the answer is 403.
        run_query: Runs a function outside the event loop and returns its answer; called directly by default.
        locust_url: Where Locust's own page is; no link without it.
        current_run: The public id of the run that this process owns, shown instead of the latest.
        clock: The present, epoch seconds.
        waiting: Says in a few words what waits in this host's spool for the database, or nothing ("").
        url_prefix: Where the pages live.
    """
    blueprint = Blueprint(
        "streamlab",
        __name__,
        url_prefix=url_prefix,
        static_folder="static",
        static_url_path="/static",
        template_folder="templates",
    )
    protect(blueprint, guard)
    source = Source(engine, run_query or _directly, current_run or _no_run, clock, waiting or _nothing)
    Views(source).register(blueprint)

    @blueprint.context_processor
    def _names() -> dict[str, Any]:
        return {
            "show": show,
            "look_up": look_up,
            "iso": iso,
            "locust_url": locust_url,
            "version": __version__,
        }

    return blueprint


def _directly(query: Callable[[], Any]) -> Any:
    return query()


def _nothing() -> str:
    return ""


def _no_run() -> str | None:
    return None
