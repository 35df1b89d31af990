"""The disk under the database is full, read-only or broken for a while: the load goes on, nothing is lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from disk_faults import DiskFaultUnavailable, FaultyDisk, fill, free, small_disk
from fault_checks import CalmRate, assert_nothing_happened, assert_same_rate
from fault_run import QUICK_RATE, RATE, FaultRun, wait_until
from fault_stored import stored_so_far

Kind = Literal["full", "all full", "EROFS", "EIO"]
KINDS: tuple[Kind, ...] = ("full", "all full", "EROFS", "EIO")
FAULT_S = 15.0
QUICK_FAULT_S = 2.0
LEAD_S = 1.0
RESUMED_S = 5.0
SMALL_MB = 64


class Disk(NamedTuple):
    """A disk that can be broken and healed; ``struck`` says whether a fault met anybody."""

    folder: Path
    variables: dict[str, str]
    break_it: Callable[[], object]
    heal: Callable[[], object]
    struck: Callable[[], bool]


@contextlib.contextmanager
def a_disk(folder: Path, kind: Kind) -> Iterator[Disk]:
    """Make a disk; with ``all full`` the spool is on it as well.

    It skips the test where the machine cannot make the fault.
    """
    try:
        if kind in ("EROFS", "EIO"):
            folder.mkdir()
            faulty = FaultyDisk(folder)
            yield Disk(
                folder,
                faulty.environment(),
                lambda: faulty.fail(kind),
                faulty.heal,
                lambda: faulty.struck > 0,
            )
            return
        with small_disk(folder, SMALL_MB):
            variables = {"XDG_STATE_HOME": str(folder / "state")} if kind == "all full" else {}
            yield Disk(folder, variables, lambda: fill(folder), lambda: free(folder), lambda: True)
    except DiskFaultUnavailable as missing:
        pytest.skip(str(missing))


def break_and_compare(tmp_path: Path, kind: Kind, rate: int, fault_s: float, after_s: float) -> FaultRun:
    """Break the disk in mid-run and heal it; return the run, whose rows are what the target saw."""
    with a_disk(tmp_path / "disk", kind) as disk:
        url = f"sqlite:///{disk.folder / 'streamlab.db'}"
        with FaultRun(
            tmp_path / "run", url, rate=rate, seconds=LEAD_S + fault_s + after_s,
            variables=disk.variables,
        ) as run:  # fmt: skip
            run.wait_running(seconds=LEAD_S)
            disk.break_it()
            time.sleep(fault_s)
            before = stored_so_far(url)
            disk.heal()
            healed_at = time.monotonic()
            wait_until(lambda: stored_so_far(url) > before, "recording resumes", RESUMED_S)
            print(f"{kind}: recording resumed after {time.monotonic() - healed_at:.1f} s")
            assert disk.struck()
            assert 0 == run.finish()
            assert_nothing_happened(run)
        return run


@pytest.mark.parametrize("kind", ["all full", pytest.param("EIO", marks=pytest.mark.faults)])
def test_a_short_fault(tmp_path: Path, kind: Kind) -> None:
    """No room for database and spool; a database that cannot be written."""
    break_and_compare(tmp_path, kind, QUICK_RATE, QUICK_FAULT_S, after_s=3)


@pytest.mark.faults
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_under_full_load(tmp_path: Path, calm_rate: CalmRate, kind: Kind) -> None:
    """The load does not notice it."""
    run = break_and_compare(tmp_path, kind, RATE, FAULT_S, after_s=8)
    assert_same_rate(run.seen().rate(), calm_rate(RATE, 10.0))
