"""How far a run is: a live line on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streamlab_plugin.cli.snapshot import Snapshot

LINE_EVERY_S = 5.0


@contextmanager
def progress(console: Console, duration_s: float) -> Iterator[Callable[[Snapshot], None]]:
    """Yield a function that shows a snapshot of a run of *duration_s* seconds."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task("starting", total=duration_s)
    line_at = 0.0

    def show(snapshot: Snapshot) -> None:
        nonlocal line_at
        elapsed_s = min(duration_s, max(0.0, time.time() - snapshot.run.started_at))
        text = _text(snapshot)
        if console.is_terminal:
            bar.update(task, description=text, completed=elapsed_s)
        elif elapsed_s >= line_at:
            line_at = elapsed_s - elapsed_s % LINE_EVERY_S + LINE_EVERY_S
            console.print(f"{elapsed_s:5.0f} s  {text}")

    if not console.is_terminal:
        yield show
        return
    with bar:
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
