"""``streamlab demo``: a misbehaving target under a mixed load, and what Streamlab makes of it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from streamlab_plugin import config
from streamlab_plugin.cli import demo_view
from streamlab_plugin.cli.demo_processes import (
    DemoOptions,
    check_port,
    locust_complaint,
    start_locust,
    start_target,
    stop,
)
from streamlab_plugin.cli.snapshot import Snapshot, read_snapshot
from streamlab_plugin.core.errors import EXIT_BREACHED, EXIT_MET, InfrastructureError
from streamlab_plugin.store.url import database_path

# After the run's own time: spawning, draining, the verdict.
EXTRA_S = 60.0


@click.command()
@click.option("--headless", "is_headless", is_flag=True, help="Without the web UI.")
@click.option("--duration", "duration_s", type=click.IntRange(15, 3600), default=60, show_default=True,
              help="Length of the run in seconds.")  # fmt: skip
@click.option("--web-port", type=click.IntRange(1, 65535), default=8089, show_default=True,
              help="Port of the web UI on 127.0.0.1.")  # fmt: skip
@click.option("--users", type=click.IntRange(3, 1000), default=20, show_default=True, help="Simulated users.")
@click.option("--seed", type=int, default=7, show_default=True, help="Decides schedule and people.")
@click.option("--exit", "exits", is_flag=True, help="End after the summary, also on a terminal.")
def demo(is_headless: bool, duration_s: int, web_port: int, users: int, seed: int, exits: bool) -> None:
    """Run the demo: exit code 0 when every scheduled misbehaviour was found, 1 when one was missed."""
    folder = Path(".streamlab-demo")
    folder.mkdir(exist_ok=True)
    options = DemoOptions(is_headless, duration_s, web_port, users, seed, folder)
    if not is_headless:
        check_port(web_port)
    url = config.load().database_url
    console = Console(highlight=False, soft_wrap=True)
    target, ready = start_target(options)
    locust: subprocess.Popen[bytes] | None = None
    try:
        demo_view.show_start(console, options, ready, database_path(url))
        started_at = time.time()
        locust = start_locust(options, ready, url)
        snapshot = _follow(console, options, ready, locust, url, started_at)
        found_all = demo_view.show_summary(console, options, ready, snapshot)
        if not (is_headless or exits) and sys.stdout.isatty():
            console.print("\nThe web UI stays up. Press Ctrl-C to end.")
            locust.wait()
    except KeyboardInterrupt:
        console.print("\nEnding …")
        found_all = True
    finally:
        if locust is not None:
            stop(locust)
        stop(target)
    sys.exit(EXIT_MET if found_all else EXIT_BREACHED)


def _follow(
    console: Console,
    options: DemoOptions,
    ready: dict[str, Any],
    locust: subprocess.Popen[bytes],
    url: str,
    started_at: float,
) -> Snapshot:
    """Show the progress until the run has its verdict, and return what is known then.

    Raises:
        InfrastructureError: Locust ended early or the run did not end.
    """
    deadline = time.monotonic() + options.duration_s + EXTRA_S
    with demo_view.progress(console, options.duration_s) as show:
        while time.monotonic() < deadline:
            snapshot = read_snapshot(url, started_at)
            if snapshot is not None:
                show(snapshot, ready["schedule"])
                if snapshot.verdict is not None:
                    return snapshot
            if locust.poll() is not None and (snapshot is None or snapshot.verdict is None):
                time.sleep(2.0)
                snapshot = read_snapshot(url, started_at)
                if snapshot is not None and snapshot.verdict is not None:
                    return snapshot
                raise InfrastructureError(
                    f"Locust ended with exit code {locust.returncode} before the verdict: "
                    f"{locust_complaint(options.folder)} (see {options.folder / 'locust.log'})"
                )
            time.sleep(1.0)
    raise InfrastructureError(
        f"the run did not end within {options.duration_s + EXTRA_S:.0f} s; see {options.folder}/locust.log"
    )
