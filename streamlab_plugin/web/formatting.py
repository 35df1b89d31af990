"""How numbers read on the pages, the same at first paint and after every poll.

Each format here has a twin of the same name in ``static/formats.js``; a browser test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

NOTHING = "–"


def count(value: float) -> str:
    """Return a whole number: ``12,345``."""
    return f"{value:,.0f}"


def rate(value: float) -> str:
    """Return a number per second: ``123.4``."""
    return f"{value:,.1f}"


def milliseconds(value: float) -> str:
    """Return a duration in milliseconds: ``8.3 ms``, ``1,310 ms``."""
    return f"{value:,.1f} ms" if value < 100 else f"{value:,.0f} ms"


def percent(value: float) -> str:
    """Return a share 0..1 as ``0.25 %`` or ``12.5 %``."""
    return f"{value * 100:.2f} %" if 0 < value < 0.01 else f"{value * 100:.1f} %"


def share(value: float) -> str:
    """Return a confidence 0..1 as ``80 %``."""
    return f"{value * 100:.0f} %"


def size(value: float) -> str:
    """Return bytes as ``1.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration(value: float) -> str:
    """Return seconds as ``42 s``, ``10 min 0 s`` or ``2 h 5 min``."""
    seconds = int(value)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def when(value: float) -> str:
    """Return an epoch second as date and time; the browser turns it into local time."""
    return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def words(value: object) -> str:
    """Return a name from the database as words: ``not applicable``."""
    return str(value).replace("_", " ")


def text(value: object) -> str:
    """Return *value* as it is."""
    return str(value)


FORMATS: Mapping[str, Callable[[Any], str]] = {
    "count": count,
    "rate": rate,
    "ms": milliseconds,
    "percent": percent,
    "share": share,
    "size": size,
    "duration": duration,
    "time": when,
    "words": words,
    "text": text,
}


def look_up(document: Mapping[str, Any], path: str) -> Any:
    """Return what is at a dotted *path*, None if a step is missing."""
    value: Any = document
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def show(document: Mapping[str, Any], path: str, form: str = "text") -> str:
    """Return the value at *path* in the named format; a dash stands for none."""
    value = look_up(document, path)
    return NOTHING if value is None or value == "" else FORMATS[form](value)


def iso(document: Mapping[str, Any], path: str) -> str:
    """Return the epoch second at *path* for a ``datetime`` attribute, empty if there is none."""
    value = look_up(document, path)
    return "" if value is None else datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds")
