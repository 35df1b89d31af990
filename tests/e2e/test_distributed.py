"""Distributed runs on one host: one run id, every request stored, the verdict after all workers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from endings import Ended, run_until
from harness import Place, free_port

# The other endings are among the repetitions of `make faults`.
CASES: dict[str, dict[str, Any]] = {
    "processes, run-time": {"ending": "run-time", "arguments": ("--processes", "2")},
    "processes, hang-up": {"ending": "sighup", "arguments": ("--processes", "2")},
    "master and 2 workers, ctrl-c to the master": {"ending": "ctrl-c", "workers_apart": 2},
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Ended]]:
    """Run all cases, two at a time."""
    root: Path = tmp_path_factory.mktemp("distributed")
    with ThreadPoolExecutor(2) as pool:
        futures = {
            name: pool.submit(run_until, root / str(number), stop_timeout_s=0, **case)
            for number, (name, case) in enumerate(CASES.items())
        }
        yield {name: future.result() for name, future in futures.items()}


@pytest.mark.parametrize("case", CASES)
class TestDistributed:
    """One distributed run."""

    def test_the_rows_are_what_the_target_saw(self, ended: Mapping[str, Ended], case: str) -> None:
        """Over all workers, in one run."""
        assert [] == ended[case].differences, ended[case].output
        assert ended[case].seen > 250

    def test_both_workers_recorded(self, ended: Mapping[str, Ended], case: str) -> None:
        """And the master did not."""
        assert 2 == ended[case].recording

    def test_their_clocks_are_the_masters(self, ended: Mapping[str, Ended], case: str) -> None:
        """On one machine there is one clock; the estimate says so within its own uncertainty."""
        assert 2 == len(ended[case].clocks)
        assert all(abs(offset) <= uncertainty for offset, uncertainty in ended[case].clocks)

    def test_the_ledger_balances_and_the_run_is_complete(self, ended: Mapping[str, Ended], case: str) -> None:
        """The verdict came after the last worker's stream."""
        result = ended[case]
        assert result.balanced
        assert ("completed", result.produced) == (result.state, result.stored), result.output


AHEAD = """
import locust
from streamlab_plugin import install
from streamlab_plugin.users import clock
install()

@locust.events.init.add_listener
def put_the_clock_forward(runner, **_arguments):
    if isinstance(runner, locust.runners.WorkerRunner):
        clock._OFFSET_S += 3.0

class Idle(locust.User):
    @locust.task
    def rest(self):
        self.environment.events.request.fire(
            request_type="X", name="x", response_time=1, response_length=0, exception=None, context={}
        )
        __import__("gevent").sleep(0.2)
"""


@pytest.mark.faults
def test_a_clock_that_is_ahead(tmp_path: Path) -> None:
    """Three seconds, found within the uncertainty and shown with it."""
    place = Place(tmp_path)
    (tmp_path / "locustfile.py").write_text(AHEAD)
    bus = str(free_port())
    result = place.locust(
        "--headless", "-u", "2", "-r", "2", "-t", "3s", "--processes", "2", "--master-bind-port", bus,
        "--master-port", bus,
    )  # fmt: skip
    shown = place.streamlab("runs", "show").stdout
    clocks = [json.loads(row[0]) for row in place.query("SELECT clock FROM processes WHERE role = 'worker'")]
    assert 2 == len(clocks), result.stdout
    for offset_ms, uncertainty_ms in clocks:
        assert abs(offset_ms + 3000.0) <= uncertainty_ms < 500.0
        assert f"clock {offset_ms:+.2f} ± {uncertainty_ms:.2f} ms" in shown
