"""However a run ends, every request the target saw has exactly one row and the ledger balances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from endings import Ended, run_until

# The others are among the repetitions of `make faults`.
CASES = [("run-time", 0), ("ctrl-c", 2), ("sigterm", 0), ("sighup", 2), ("stop-button", 0)]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[tuple[str, int], Ended]]:
    """Run all cases, three at a time: the machine is busy, which makes it harder."""
    root: Path = tmp_path_factory.mktemp("endings")
    with ThreadPoolExecutor(3) as pool:
        futures = {case: pool.submit(run_until, root / f"{case[0]}-{case[1]}", *case) for case in CASES}
        yield {case: future.result() for case, future in futures.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}s")
class TestEnding:
    """One way to end, with and without --stop-timeout."""

    def test_the_rows_are_what_the_target_saw(
        self, ended: Mapping[tuple[str, int], Ended], case: tuple[str, int]
    ) -> None:
        """Requests, pushes, publishes and deliveries, one by one."""
        result = ended[case]
        assert [] == result.differences, result.output
        assert result.seen > 250

    def test_the_ledger_balances(self, ended: Mapping[tuple[str, int], Ended], case: tuple[str, int]) -> None:
        """Counted from the rows themselves; nothing was dropped."""
        result = ended[case]
        assert result.balanced
        assert result.produced == result.stored

    def test_the_run_is_completed(
        self, ended: Mapping[tuple[str, int], Ended], case: tuple[str, int]
    ) -> None:
        """It has a verdict, and Locust ended by itself with one of its own codes and no traceback of ours."""
        result = ended[case]
        assert "completed" == result.state
        assert result.exit_code in (0, 1), result.output
        assert "streamlab_plugin/" not in result.output, result.output
