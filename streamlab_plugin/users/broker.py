"""Where an MQTT broker is and how its connection is secured: a URL and TLS options, checked once."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from streamlab_plugin.probe.address import harmless
from streamlab_plugin.users.tls import Tls

_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
# Where brokers that care about the path of a WebSocket expect MQTT.
_PATH = "/mqtt"


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker; ``path`` is set for MQTT over WebSocket, ``context`` where the connection is encrypted."""

    host: str
    port: int
    path: str | None
    context: ssl.SSLContext | None
    certified: str  # the host that the certificate must name


def broker_at(url: str, tls: Tls) -> Broker:
    """Return the broker at *url*: ``mqtt://``, ``mqtts://``, ``ws://`` or ``wss://``.

    Raises:
        ValueError: The URL is none of these, or a file of *tls* cannot be used; the text is one line that
            begins with the name of the attribute of `MqttUser`.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError
    except ValueError:
        wanted = "a mqtt://, mqtts://, ws:// or wss:// URL"
        raise ValueError(f"host must be {wanted}, got {harmless(url)!r}") from None
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise ValueError(f"host must have a port from 1 to 65535, got {harmless(url)!r}") from None
    is_web, is_tls = parts.scheme in ("ws", "wss"), parts.scheme in ("mqtts", "wss")
    path = (parts.path or _PATH) + (f"?{parts.query}" if parts.query else "") if is_web else None
    context = _context(tls) if is_tls else None
    return Broker(parts.hostname, port, path, context, tls.server_name or parts.hostname)


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        return tls.context()
    except OSError as error:
        files = f"ca_file {tls.ca_file!r}, cert_file {tls.cert_file!r}, key_file {tls.key_file!r}"
        raise ValueError(f"tls cannot be used ({files}): {error.strerror or error.args[-1]}") from None
