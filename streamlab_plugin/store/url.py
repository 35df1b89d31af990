"""What a database URL says, without the tools that open it: every Locust process asks, few open a database.

Passwords stay in `DatabaseUrl.conninfo`; everything else may be shown.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

from streamlab_plugin.core.errors import ConfigError

_REMEDY = "use sqlite:///PATH, e.g. sqlite:///streamlab.db, or postgresql://USER:PASSWORD@HOST/NAME"
_POSTGRESQL = frozenset({"postgresql", "postgres", "postgresql+psycopg"})
_SQLITE = frozenset({"sqlite", "sqlite+pysqlite"})
_URL = re.compile(
    r"(?P<scheme>[\w+]+)://"
    r"(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?:(?:\[(?P<v6>[^/?]+)\]|(?P<name>[^/:?]+))?(?::(?P<port>\d+))?)?"
    r"(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A URL that was checked; ``database`` is a path or a name, ``conninfo`` what libpq takes."""

    is_sqlite: bool
    database: str
    host: str = ""
    port: int | None = None
    conninfo: str = field(default="", repr=False)

    @property
    def path(self) -> Path:
        """The absolute path of a SQLite file."""
        return Path(self.database).expanduser().resolve()

    @property
    def place(self) -> str:
        """Where it is, for people: a path, or a URL without user and password."""
        if self.is_sqlite:
            return str(self.path)
        port = f":{self.port}" if self.port else ""
        return f"postgresql://{self.host}{port}/{self.database}"


def parse_url(url: str) -> DatabaseUrl:
    """Check a database URL.

    Raises:
        ConfigError: it cannot be parsed or names a database that is not supported. The URL itself is not
            repeated: it may hold a password.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigError("the database URL cannot be parsed", remedy=_REMEDY)
    scheme, database = found["scheme"], unquote(found["database"] or "")
    if scheme in _POSTGRESQL:
        return _postgresql(found, database)
    if scheme not in _SQLITE:
        raise ConfigError(f"database {scheme!r} is not supported", remedy=_REMEDY)
    if not database or database == ":memory:":
        raise ConfigError("an in-memory database cannot be shared between processes", remedy=_REMEDY)
    return DatabaseUrl(True, database)


def is_sqlite(url: str) -> bool:
    """Whether the database is a SQLite file, which serves one host only."""
    return parse_url(url).is_sqlite


def absolute_url(url: str) -> str:
    """Return *url* so that it means the same from every directory; it may hold a password."""
    parsed = parse_url(url)
    return f"sqlite:///{quote(str(parsed.path))}" if parsed.is_sqlite else url


def place(url: str) -> str:
    """Return where the database is, for people."""
    return parse_url(url).place


def database_path(url: str) -> Path:
    """Return the absolute path of a SQLite file."""
    return parse_url(url).path


def fingerprint(url: str) -> str:
    """Return what identifies the database, without user and password; safe to show and to send to workers."""
    parsed = parse_url(url)
    kind = "sqlite" if parsed.is_sqlite else "postgresql"
    return f"{kind}-{hashlib.sha256(parsed.place.encode()).hexdigest()[:16]}"


def _postgresql(found: re.Match[str], database: str) -> DatabaseUrl:
    if not database:
        raise ConfigError("the PostgreSQL URL names no database", remedy=_REMEDY)
    name = found["v6"] or found["name"] or ""
    if "@" in f"{name}{database}":
        # What stands before it is a part of the password.
        raise ConfigError(
            "the PostgreSQL URL has more than one @",
            remedy="write special characters of the password in percent-encoding, @ as %40 and / as %2F",
        )
    query = found["query"] or ""
    port = found["port"]
    # libpq takes a socket's folder as the host, also from the query.
    host = name or next(iter(parse_qs(query).get("host", ())), "localhost")
    address = f"[{name}]" if found["v6"] else name
    conninfo = (
        f"postgresql://{_login(found)}{address}{f':{port}' if port else ''}/{quote(database)}"
        f"{f'?{query}' if query else ''}"
    )
    return DatabaseUrl(False, database, host, int(port) if port else None, conninfo)


def _login(found: re.Match[str]) -> str:
    """Return user and password as libpq wants them, encoded whether they were or not."""
    if found["user"] is None:
        return ""
    parts = [found["user"]] if found["password"] is None else [found["user"], found["password"]]
    return ":".join(quote(unquote(part), safe="") for part in parts) + "@"
