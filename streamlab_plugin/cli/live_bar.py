"""The live line of a command that follows a run on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def live_bar(console: Console, duration_s: float) -> Iterator[Callable[[str, float], bool]]:
    """Yield a function that shows a text and how many of *duration_s* seconds have passed.

    It answers False, and shows nothing, where there is no terminal.
    """
    if not console.is_terminal:
        yield lambda _text, _elapsed_s: False
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task("starting", total=duration_s)

    def show(text: str, elapsed_s: float) -> bool:
        bar.update(task, description=text, completed=elapsed_s)
        return True

    with bar:
        yield show
