"""Put the pages on Locust's own web UI, behind its login, with a link there and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from gevent import get_hub
from gevent.threadpool import ThreadPool

from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.spool_status import waiting_text
from streamlab_plugin.web.blueprint import create_blueprint

T = TypeVar("T")

_LINK = (
    '<a href="{href}" style="position:fixed;right:16px;bottom:16px;z-index:1300;padding:8px 14px;'
    "border-radius:18px;background:#0b6e4f;color:#fff;font:600 14px system-ui,sans-serif;"
    'text-decoration:none;box-shadow:0 1px 4px rgba(0,0,0,.4)">Streamlab: anomalies &amp; verdict</a>'
)


def attach(web_ui: Any, database_url: str, current_run: Callable[[], str | None]) -> None:
    """Register the pages on *web_ui*, Locust's ``WebUI``; honours its base path and login.

    Queries run in a native thread of their own, never on the event loop.
    """
    options = web_ui.environment.parsed_options
    base = (getattr(options, "web_base_path", None) or "").rstrip("/")
    threads = ThreadPool(1, hub=get_hub())
    blueprint = create_blueprint(
        partial(open_store, database_url, read_only=True, keeps=True),
        guard=web_ui.auth_required_if_enabled(lambda: None),
        run_query=threads.apply,
        locust_url=f"{base}/",
        current_run=current_run,
        waiting=partial(waiting_text, database_url),
    )
    web_ui.app.register_blueprint(blueprint, url_prefix=f"{base}/streamlab")
    web_ui.app.after_request(partial(_add_link, f"{base}/streamlab/"))


def _add_link(href: str, response: Any) -> Any:
    """Add a link to the pages to Locust's index page."""
    from flask import request

    if request.endpoint == "locust.index" and response.status_code == 200 and response.is_sequence:
        html = response.get_data(as_text=True)
        response.set_data(html.replace("</body>", _LINK.format(href=href) + "</body>", 1))
    return response
