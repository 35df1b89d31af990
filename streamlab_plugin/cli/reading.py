"""What reading commands share: the way to the database, and times as people give them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import click
from sqlalchemy import Connection

from streamlab_plugin import config
from streamlab_plugin.store import queries
from streamlab_plugin.store.engine import open_store

T = TypeVar("T")

_RELATIVE = re.compile(r"-(\d+(?:\.\d+)?)([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LAST_SECOND = 2**31  # what the starts of rollups can hold
_LONGEST_BACK_S = 20 * 366 * 86_400


def read(query: Callable[[Connection], T]) -> T:
    """Run *query* on the configured database, which is never created.

    Raises:
        StreamlabError: it cannot be reached or read, or the query has no answer.
    """
    return queries.read(open_store(config.database_url(), read_only=True), query)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as an option gives it: epoch seconds, or seconds before the end of the run."""

    seconds: float
    is_before_end: bool = False

    def of(self, run: queries.Run, now: float) -> float:
        """Return the time in epoch seconds; while the run goes on its end is *now*."""
        return (run.stopped_at or now) - self.seconds if self.is_before_end else self.seconds


def moment(text: str) -> Moment:
    """Read what an option gives as a time: epoch seconds, ISO 8601 (without a zone: UTC) or ``-5m``."""
    if match := _RELATIVE.fullmatch(text):
        before_s = float(match[1]) * _UNIT_S[match[2]]
        if before_s > _LONGEST_BACK_S:
            raise click.BadParameter(f"{text!r} is longer ago than any run")
        return Moment(before_s, is_before_end=True)
    try:
        at = float(text)
    except ValueError:
        try:
            begun = datetime.fromisoformat(text)
        except ValueError:
            raise click.BadParameter(
                f"{text!r} is no time: give epoch seconds, 2026-01-31T12:00:00 (UTC) or -5m"
            ) from None
        at = (begun if begun.tzinfo else begun.replace(tzinfo=UTC)).timestamp()
    if not abs(at) < _LAST_SECOND:
        raise click.BadParameter(f"{text!r} is no time that can be")
    return Moment(at)


def day_and_time(at: float) -> str:
    """Return an epoch second as date and time, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def time_of_day(at: float) -> str:
    """Return the time of day of an epoch second, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def milliseconds(value: float | None) -> str:
    """Return a latency for people."""
    return "-" if value is None else f"{value:.1f} ms"
