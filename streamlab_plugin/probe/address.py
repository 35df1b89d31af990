"""Addresses of targets: read strictly, and shown without the secrets that they may hold."""

from __future__ import annotations

import base64
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from streamlab_plugin.core.errors import ConfigError

WEBSOCKET = {"ws": 80, "wss": 443}
MQTT = {"mqtt": 1883, "mqtts": 8883}
HTTP = {"http": 80, "https": 443}
TLS = {"tls": 443, "https": 443, "wss": 443, "mqtts": 8883}
ANY = {**WEBSOCKET, **MQTT, **HTTP}
_ENCRYPTED = frozenset(TLS)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a target is; *path* begins with a slash and includes the query."""

    scheme: str
    host: str
    port: int
    path: str = field(default="/", repr=False)
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def is_encrypted(self) -> bool:
        """Whether the scheme asks for TLS."""
        return self.scheme in _ENCRYPTED

    @property
    def place(self) -> str:
        """``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL without user and password."""
        return f"{self.scheme}://{self.place}{self.path}"

    @property
    def shown(self) -> str:
        """The URL as it may be printed: no user info, and the query's values left out."""
        path, mark, query = self.path.partition("?")
        if not mark:
            return f"{self.scheme}://{self.place}{path}"
        named = (part.partition("=") for part in query.split("&"))
        return f"{self.scheme}://{self.place}{path}?" + "&".join(
            f"{name}=…" if sign else "…" for name, sign, _value in named
        )

    def authorization(self) -> str | None:
        """Return the value of a header ``Authorization``, or None where no user is given."""
        if self.user is None:
            return None
        secret = f"{self.user}:{self.password or ''}".encode()
        return f"Basic {base64.b64encode(secret).decode()}"


def parse_address(text: str, schemes: Mapping[str, int]) -> Address:
    """Read a URL that has one of *schemes* (scheme to default port).

    Raises:
        ConfigError: it is none; the message repeats neither user info nor query.
    """
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"{harmless(text)!r} is no URL", remedy=f"give {wanted}HOST:PORT") from None
    if scheme not in schemes or not host or any(one.isspace() for one in host):
        raise ConfigError(f"{harmless(text)!r} is no URL that can be probed here",
                          remedy=f"give {wanted}HOST:PORT")  # fmt: skip
    if port == 0:
        raise ConfigError(f"{harmless(text)!r} has no port that can be", remedy="give one from 1 to 65535")
    try:
        host = host.encode("idna").decode()
    except UnicodeError:
        raise ConfigError(f"{host!r} is no host name") from None
    path = parts.path or "/"
    if parts.query:
        path += f"?{parts.query}"
    return Address(
        scheme, host, port or schemes[scheme],
        quote(path, safe=string.punctuation),
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
    )  # fmt: skip


def harmless(text: str) -> str:
    """Return what may be shown of a *text* that is no URL."""
    # A text that cannot be read may hold a password anywhere before an @ and behind a ? or #.
    rest = text.rpartition("@")[2]
    return rest.partition("?")[0].partition("#")[0][:100]
