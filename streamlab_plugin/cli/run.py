"""``streamlab run``: the load of a scenario, made by Locust; what was seen; the verdict as exit code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from streamlab_plugin import config
from streamlab_plugin.cli.demo_processes import locust_complaint, stop
from streamlab_plugin.cli.run_export import export_results
from streamlab_plugin.cli.run_plan import Changes, Plan, from_file, from_options, write_plan
from streamlab_plugin.cli.run_progress import progress
from streamlab_plugin.cli.scenario import describe, packaged_or_file
from streamlab_plugin.cli.snapshot import Snapshot, read_snapshot
from streamlab_plugin.cli.snapshot_view import show_anomalies, show_ledger, show_protocols, show_verdict
from streamlab_plugin.core.errors import InfrastructureError

FOLDER = Path(".streamlab-run")
# After the run's own time: starting, draining, the verdict.
EXTRA_S = 90.0


@click.command("run")
@click.option("--scenario", "which", metavar="FILE", help="A scenario file, or the name of a packaged one.")
@click.option("--protocol", type=click.Choice(["websocket", "mqtt", "http"]), help="Instead of a scenario.")
@click.option("--endpoint", "endpoints", multiple=True, metavar="URL",
              help="The target, for the parts of the protocol of the URL; may be repeated.")  # fmt: skip
@click.option("--duration", "duration_s", type=click.FloatRange(0, min_open=True), help="Seconds; 60.")
@click.option("--connections", type=click.IntRange(1), help="Connections at full load; 10.")
@click.option("--rate", type=click.FloatRange(0), help="Messages per second of each connection; 1.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Locust workers.")
@click.option("--slo", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Objectives instead of those that the scenario expects.")  # fmt: skip
@click.option("--allow-unsafe", is_flag=True,
              help="Let policy and scenario keep what is always removed; recorded in the run.")  # fmt: skip
@click.option("--output", metavar="FILE", type=click.Path(dir_okay=False),
              help="Write the results file of the run here.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check everything, say what would be done, and do nothing.")
def run(
    which: str | None,
    protocol: str | None,
    endpoints: tuple[str, ...],
    duration_s: float | None,
    connections: int | None,
    rate: float | None,
    processes: int,
    slo: Path | None,
    allow_unsafe: bool,
    output: str | None,
    dry_run: bool,
) -> None:
    """Make the load of a scenario and judge the target.

    Exit codes: 0 met, 1 breached, 2 usage or configuration, 3 no verdict, 4 infrastructure.
    """
    if (which is None) == (protocol is None):
        raise click.UsageError("give --scenario FILE, or --protocol with --endpoint")
    changes = Changes(endpoints, duration_s, connections, rate, allow_unsafe)
    if protocol is not None:
        document = from_options(protocol, changes)
    else:
        document = from_file(packaged_or_file(which or ""), changes)
    plan = write_plan(document, FOLDER, slo, allow_unsafe=allow_unsafe)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{plan.scenario.name}[/bold]")
    for line in describe(plan.scenario):
        console.print(f"  {line}", markup=False)
    if dry_run:
        console.print("\nNothing was done (--dry-run).")
        return
    url = config.database_url()
    started_at = time.time()
    locust = _start(plan, url, processes)
    try:
        snapshot = _follow(console, plan, locust, url, started_at)
        code = locust.wait(EXTRA_S)
    except KeyboardInterrupt:
        console.print("\nEnding …")
        sys.exit(130)
    finally:
        stop(locust)
    _summarise(console, snapshot)
    if output is not None:
        export_results(snapshot.run.run, output)
    sys.exit(code)


def _start(plan: Plan, url: str, processes: int) -> subprocess.Popen[bytes]:
    arguments = [
        sys.executable, "-m", "streamlab_plugin.launch", "-f",
        str(config.packaged("locustfiles") / "scenario.py"),
        "--headless", "--only-summary", "--streamlab-slo", str(plan.slo),
    ]  # fmt: skip
    if plan.privacy is not None:
        arguments += ["--streamlab-privacy", str(plan.privacy)]
    if plan.allows_unsafe:
        arguments.append("--streamlab-allow-unsafe")
    if processes > 1:
        # A port of its own: workers of another test on this machine would join this one.
        port = str(_free_port())
        arguments += ["--processes", str(processes), "--master-bind-port", port, "--master-port", port]
    environment = {
        **os.environ,
        "STREAMLAB_SCENARIO": str(plan.scenario_file),
        "STREAMLAB_DATABASE_URL": url,
    }
    with open(plan.folder / "locust.log", "wb") as log:
        return subprocess.Popen(
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _follow(
    console: Console, plan: Plan, locust: subprocess.Popen[bytes], url: str, started_at: float
) -> Snapshot:
    """Show the progress until the run has its verdict, and return what is known then.

    Raises:
        InfrastructureError: Locust ended without a run, or the run did not end.
    """
    deadline = time.monotonic() + plan.scenario.duration_seconds + EXTRA_S
    with progress(console, plan.scenario.duration_seconds) as show:
        while time.monotonic() < deadline:
            has_ended = locust.poll() is not None
            snapshot = read_snapshot(url, started_at)
            if snapshot is not None:
                show(snapshot)
                if snapshot.verdict is not None or has_ended:
                    return snapshot
            elif has_ended:
                raise InfrastructureError(
                    f"Locust ended with exit code {locust.returncode} before the run began:"
                    f" {locust_complaint(plan.folder)} (see {plan.folder / 'locust.log'})"
                )
            time.sleep(0.5)
    raise InfrastructureError(f"the run did not end in time; see {plan.folder / 'locust.log'}")


def _summarise(console: Console, snapshot: Snapshot) -> None:
    show_protocols(console, snapshot)
    show_ledger(console, snapshot)
    if snapshot.signatures:
        show_anomalies(console, snapshot)
    show_verdict(console, snapshot)
    console.print(f"[bold]Run[/bold]       streamlab runs show {snapshot.run.run[:8]}   pages: streamlab ui")
