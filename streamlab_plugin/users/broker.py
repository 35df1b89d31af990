"""Where an MQTT broker is and how its connection is secured: a URL and TLS options, checked once."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
# Where brokers that care about the path of a WebSocket expect MQTT.
_PATH = "/mqtt"


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker; ``path`` is set for MQTT over WebSocket, ``tls`` where the connection is encrypted."""

    host: str
    port: int
    path: str | None
    tls: ssl.SSLContext | None


# One TLS context for all users of a class: loading the system's certificates takes 30 ms and 0.9 MB.
@lru_cache(maxsize=64)
def broker_at(
    url: str,
    *,
    ca_file: str | None = None,
    cert_file: str | None = None,
    key_file: str | None = None,
    verify: bool = True,
) -> Broker:
    """Return the broker at *url*.

    Args:
        url: ``mqtt://``, ``mqtts://``, ``ws://`` or ``wss://``.
        ca_file: PEM file of the authorities to trust; None: those of the system.
        cert_file: PEM file of the client's own certificate.
        key_file: PEM file of its key; None: it stands in *cert_file*.
        verify: Whether the broker's certificate and its host name are checked.

    Raises:
        ValueError: The URL is none of these, an option needs TLS, or a file cannot be used; the text is
            one line that begins with the name of the attribute of `MqttUser`.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"host must be a mqtt://, mqtts://, ws:// or wss:// URL, got {url!r}")
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise ValueError(f"host must have a port from 1 to 65535, got {url!r}") from None
    is_web = parts.scheme in ("ws", "wss")
    path = (parts.path or _PATH) + (f"?{parts.query}" if parts.query else "") if is_web else None
    if parts.scheme in ("mqtts", "wss"):
        return Broker(parts.hostname, port, path, _tls(ca_file, cert_file, key_file, verify=verify))
    for name, value in (("tls_ca_file", ca_file), ("tls_cert_file", cert_file), ("tls_key_file", key_file)):
        if value is not None:
            raise ValueError(f"{name} needs a mqtts:// or wss:// host, got {url!r}")
    return Broker(parts.hostname, port, path, None)


def _tls(ca_file: str | None, cert_file: str | None, key_file: str | None, *, verify: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValueError(f"tls_ca_file {ca_file!r} cannot be used: {_reason(error)}") from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert_file is not None:
        try:
            # Without a password callback OpenSSL would ask on the terminal.
            context.load_cert_chain(cert_file, key_file, password=lambda: "")
        except OSError as error:
            files = f"tls_cert_file {cert_file!r}" + (f" with tls_key_file {key_file!r}" if key_file else "")
            raise ValueError(f"{files} cannot be used: {_reason(error)}") from None
    elif key_file is not None:
        raise ValueError(f"tls_key_file {key_file!r} needs a tls_cert_file")
    return context


def _reason(error: OSError) -> str:
    return error.strerror or error.args[-1]
