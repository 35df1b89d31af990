"""Where the spool of a database is, how large it may become, and what waits in it; for everybody to read."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.store.url import fingerprint

CAPACITY_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """What waits in a spool; times are epoch seconds, None without batches."""

    path: str
    batches: int
    records: int
    evicted: int
    size_bytes: int
    capacity_bytes: int
    oldest_at: float | None

    def text(self, now: float) -> str:
        """Return the status as one line for people."""
        if not self.batches:
            return "empty"
        age_s = max(0.0, now - (self.oldest_at or now))
        line = f"{self.records:,} records wait, {self.size_bytes / 1e6:.1f} MB, for {age_s:,.0f} s"
        return f"{line}; {self.evicted:,} raw records had to go" if self.evicted else line


def spool_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of this user's spools."""
    state = environment.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    return Path(state) / "streamlab"


def spool_path(url: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the spool for a database is; it need not exist."""
    return spool_folder(environment) / f"{fingerprint(url)}.spool"


def spool_capacity_bytes(environment: Mapping[str, str] = os.environ) -> int:
    """Return how large a spool may become: ``STREAMLAB_SPOOL_MB`` megabytes, or 1 GB.

    Raises:
        ConfigError: it is no whole number from 1 on.
    """
    chosen = environment.get("STREAMLAB_SPOOL_MB")
    if not chosen:
        return CAPACITY_BYTES
    if not chosen.isdecimal() or int(chosen) < 1:
        raise ConfigError(f"STREAMLAB_SPOOL_MB is {chosen!r}", remedy="give a whole number of megabytes")
    return int(chosen) * 1_000_000


def spool_status(path: Path, capacity_bytes: int = CAPACITY_BYTES) -> SpoolStatus:
    """Return what waits in the spool at *path*, which is not created."""
    nothing = SpoolStatus(str(path), 0, 0, 0, 0, capacity_bytes, None)
    if not path.is_file():
        return nothing
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1)) as connection:
            batches, records, gone, oldest = connection.execute(
                "SELECT count(*), coalesce(sum(CASE WHEN records IS NULL THEN 0 ELSE count END), 0),"
                " coalesce(sum(CASE WHEN records IS NULL THEN count ELSE 0 END), 0), min(spooled_at)"
                " FROM batches"
            ).fetchone()
    except sqlite3.Error:
        return nothing
    return SpoolStatus(str(path), batches, records, gone, _file_bytes(path), capacity_bytes, oldest)


def waiting_text(url: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return what waits on this host for the database, as a few words; nothing waits: an empty text."""
    status = spool_status(spool_path(url, environment))
    return f"{status.text(time.time())}, in the spool of this host" if status.batches else ""


def _file_bytes(path: Path) -> int:
    size = 0
    for name in (path, Path(f"{path}-wal")):
        with contextlib.suppress(OSError):
            size += name.stat().st_size
    return size
