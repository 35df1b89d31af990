"""Figures for people (a table) and for machines (JSON)."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import postgres
from benchmarks.figure import Figure

HEADINGS = ("row", "what", "measured", "min … max", "must", "moonshot", "verdict", "peer")


def table(figures: Sequence[Figure]) -> str:
    """Return *figures* as aligned text, one line each under the headings."""
    lines = [HEADINGS, *(_cells(figure) for figure in figures)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    rule = "  ".join("-" * width for width in widths)
    texts = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    below = [[], *([_below(figure)] if figure.details else [] for figure in figures)]
    shown = [line for text, more in zip(texts, below, strict=True) for line in (text, *more)]
    return "\n".join([shown[0], rule, *shown[1:]])


def _below(figure: Figure) -> str:
    parts = [
        f"{name} {value if isinstance(value, str) else number(value)}"
        for name, value in figure.details.items()
    ]
    return "     " + " · ".join(parts)


def _cells(figure: Figure) -> tuple[str, ...]:
    sign = "≤" if figure.is_ceiling else "≥"
    peer = figure.peer
    return (
        str(figure.row),
        figure.name,
        f"{number(figure.median)} {figure.unit}".rstrip(),
        f"{number(min(figure.values))} … {number(max(figure.values))}",
        "" if figure.must is None else f"{sign} {number(figure.must)}",
        _moonshot(figure, sign),
        figure.verdict,
        "" if peer is None else f"{peer.name} {number(peer.median)}",
    )


def _moonshot(figure: Figure, sign: str) -> str:
    if figure.moonshot is None:
        return ""
    return f"{sign} {number(figure.moonshot)}" + (", < peer" if figure.beats_peer else "")


def number(value: float) -> str:
    """Return *value* with three significant digits below 100, else whole with thousands separators."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def machine() -> dict[str, Any]:
    """Say where and when the figures were measured."""
    return {
        "cores": os.cpu_count(),
        "platform": platform.platform(terse=True),
        "python": platform.python_version(),
        "locust": version("locust"),
        "gevent": version("gevent"),
        "sqlite": sqlite3.sqlite_version,
        "postgresql": postgres.version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def document(figures: Sequence[Figure], where: dict[str, Any]) -> dict[str, Any]:
    """Return everything measured as JSON-ready values."""
    return {"machine": where, "figures": [_entry(figure) for figure in figures]}


def _entry(figure: Figure) -> dict[str, Any]:
    peer = figure.peer
    return {
        "row": figure.row,
        "name": figure.name,
        "unit": figure.unit,
        **_spread(figure.values),
        "limit": "at most" if figure.is_ceiling else "at least",
        "must": figure.must,
        "moonshot": figure.moonshot,
        "verdict": figure.verdict,
        "peer": None if peer is None else {"name": peer.name, **_spread(peer.values)},
        "details": dict(figure.details),
    }


def _spread(values: Sequence[float]) -> dict[str, Any]:
    ordered = sorted(values)
    return {
        "min": ordered[0],
        "median": median(ordered),
        "max": ordered[-1],
        "repetitions": len(ordered),
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write *content* so that a reader never finds half of it."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(path)
