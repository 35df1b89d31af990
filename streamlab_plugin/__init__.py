"""Streamlab: record, redact, judge and explain Locust load tests of streaming backends.

The public names are resolved on first use: importing this package starts nothing and imports neither
Locust nor gevent.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamlab_plugin.plugin import install as install
    from streamlab_plugin.scenario.injection import Faults as Faults
    from streamlab_plugin.users.http import HttpUser as HttpUser
    from streamlab_plugin.users.http_requests import RequestsUser as RequestsUser
    from streamlab_plugin.users.mqtt import MqttUser as MqttUser
    from streamlab_plugin.users.pacing import arrivals as arrivals
    from streamlab_plugin.users.websocket import WebSocketUser as WebSocketUser

__version__ = "0.1.0"
__all__ = ["Faults", "HttpUser", "MqttUser", "RequestsUser", "WebSocketUser", "arrivals", "install"]

_HOMES = {
    "arrivals": "streamlab_plugin.users.pacing",
    "install": "streamlab_plugin.plugin",
    "Faults": "streamlab_plugin.scenario.injection",
    "HttpUser": "streamlab_plugin.users.http",
    "MqttUser": "streamlab_plugin.users.mqtt",
    "RequestsUser": "streamlab_plugin.users.http_requests",
    "WebSocketUser": "streamlab_plugin.users.websocket",
}


def __getattr__(name: str) -> object:
    """Import a public name from its home on first use."""
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
