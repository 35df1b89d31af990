"""How far a run is: a live line on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from streamlab_plugin.cli.live_bar import live_bar
from streamlab_plugin.cli.snapshot import Snapshot

LINE_EVERY_S = 5.0


@contextmanager
def progress(console: Console, duration_s: float) -> Iterator[Callable[[Snapshot], None]]:
    """Yield a function that shows a snapshot of a run of *duration_s* seconds."""
    line_at = 0.0
    with live_bar(console, duration_s) as show_live:

        def show(snapshot: Snapshot) -> None:
            nonlocal line_at
            elapsed_s = min(duration_s, max(0.0, time.time() - snapshot.run.started_at))
            text = _text(snapshot)
            if not show_live(text, elapsed_s) and elapsed_s >= line_at:
                line_at = elapsed_s - elapsed_s % LINE_EVERY_S + LINE_EVERY_S
                console.print(f"{elapsed_s:5.0f} s  {text}")

        yield show


def _text(snapshot: Snapshot) -> str:
    totals = snapshot.protocols.values()
    requests, errors = sum(one.count for one in totals), sum(one.errors for one in totals)
    parts = [f"{requests:,} requests", f"{errors:,} errors"]
    slowest_ms = max((one.p95_ms for one in totals if one.p95_ms is not None), default=None)
    if slowest_ms is not None:
        parts.append(f"p95 {slowest_ms:.1f} ms")
    if found := len(snapshot.signatures):
        parts.append("1 anomaly" if found == 1 else f"{found} anomalies")
    return " · ".join(parts)
