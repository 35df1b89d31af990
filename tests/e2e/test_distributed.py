"""Distributed runs on one host: one run id, every request stored, the verdict after all workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from endings import Ended, run_until

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

    def test_the_ledger_balances_and_the_run_is_complete(self, ended: Mapping[str, Ended], case: str) -> None:
        """The verdict came after the last worker's stream."""
        result = ended[case]
        assert result.balanced
        assert ("completed", result.produced) == (result.state, result.stored), result.output
