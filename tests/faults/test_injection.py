"""Whatever raises inside Streamlab, the test itself does not notice: exit code, load and console stay."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import fault_injection as injection
import pytest
from fault_run import QUICK_RATE, FaultRun, moments

SECONDS = 60.0
QUICK_SECONDS = 4.0
RARE_SECONDS = 2.0
LINES_EVERY_S = 10.0
LEAST_SHARE = 0.9
# Of the load asked for; other tests use the machine at the same time. A load that ended would still show.
LEAST_QUICK_SHARE = 0.2
HOT = (*injection.LOCUST_HOOKS, *injection.RECORDER_HOOKS)
RARE = (*injection.RARE_LOCUST_HOOKS, *injection.RARE_RECORDER_HOOKS)
_OURS = re.compile(r"^\[(\S+ \S+)\] \S+?/\w+/(streamlab_plugin\.\S+): (.*)$", re.MULTILINE)


def crowded(output: str) -> list[str]:
    """Return our loggers that said the same thing twice within 10 s."""
    said: dict[tuple[str, str], float] = {}
    found = []
    for at, logger, text in _OURS.findall(output):
        moment = datetime.strptime(at, "%Y-%m-%d %H:%M:%S,%f").timestamp()
        kind = (logger, text[:40])
        if moment - said.get(kind, 0.0) < LINES_EVERY_S:
            found.append(f"{logger}: {text}")
        said[kind] = moment
    return found


@contextlib.contextmanager
def run_injected(
    folder: Path,
    url: str,
    hooks: Iterable[str],
    seconds: float,
    probability: float = 1.0,
    once: bool = False,
    least_share: float = LEAST_SHARE,
) -> Iterator[FaultRun]:
    """Run to the end with *hooks* that raise, and check what must hold in any case."""
    seed = moments("injected exceptions").randrange(10**6)
    variables = injection.variables(folder, seed, hooks, probability, once)
    variables["FAULT_TASK_ERRORS"] = "1"
    with FaultRun(folder, url, rate=QUICK_RATE, seconds=seconds, variables=variables) as run:
        assert 1 == run.finish(), "Locust's own code for exceptions in tasks"
        found = injection.injected(folder)
        print(f"{found.total()} injected: {dict(found)}")
        assert len(run.seen()) >= least_share * QUICK_RATE * (seconds - 0.5)
        assert "streamlab_plugin/" not in run.output(), "a traceback of ours on the console"
        assert [] == crowded(run.output())
        yield run


def assert_accounted(run: FaultRun) -> None:
    """What is not stored was counted, and the run came to an end."""
    seen, stored = run.seen(), run.stored()
    print(f"{len(seen)} seen; {stored.state}; {stored.ledger.text()}")
    assert (0, 0) == (stored.twice(), stored.ghosts(seen))
    assert 0 == stored.missing()
    assert len(stored.lost(seen)) <= stored.ledger.quarantined + stored.dropped().total()
    assert "running" != stored.state


def test_hooks_exist() -> None:
    """What is to raise is still there: most of it does so only in the long tests."""
    command = [sys.executable, injection.__file__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_some_exceptions_everywhere(tmp_path: Path) -> None:
    """A hundred in a short run."""
    folder, url = tmp_path / "run", f"sqlite:///{tmp_path / 'streamlab.db'}"
    with run_injected(folder, url, HOT, QUICK_SECONDS, 0.1, least_share=LEAST_QUICK_SHARE) as run:
        assert_accounted(run)
        assert injection.injected(folder).total() >= 100


@pytest.mark.faults
def test_ten_thousand_exceptions(tmp_path: Path, database_url: str) -> None:
    """In a longer run."""
    folder = tmp_path / "run"
    with run_injected(folder, database_url, HOT, SECONDS, probability=0.2) as run:
        assert_accounted(run)
        assert injection.injected(folder).total() >= 10_000


@pytest.mark.faults
@pytest.mark.parametrize("hook", HOT)
def test_one_hook_again_and_again(tmp_path: Path, hook: str) -> None:
    """Each hook by itself raises in one call of five."""
    url = f"sqlite:///{tmp_path / 'streamlab.db'}"
    with run_injected(tmp_path / "run", url, [hook], QUICK_SECONDS, probability=0.2) as run:
        assert_accounted(run)


@pytest.mark.faults
@pytest.mark.parametrize("hook", RARE)
def test_one_hook_once(tmp_path: Path, hook: str) -> None:
    """What runs seldom raises the first time."""
    url = f"sqlite:///{tmp_path / 'streamlab.db'}"
    with run_injected(tmp_path / "run", url, [hook], RARE_SECONDS, once=True) as run:
        assert_accounted(run)


@pytest.mark.faults
@pytest.mark.parametrize("hook", injection.OPENING_HOOKS)
def test_a_beginning_that_fails(tmp_path: Path, hook: str) -> None:
    """Then the test goes on unrecorded, and one line says so."""
    url = f"sqlite:///{tmp_path / 'streamlab.db'}"
    with run_injected(tmp_path / "run", url, [hook], RARE_SECONDS, once=True) as run:
        assert 1 == run.output().count("on_test_start failed")


@pytest.mark.parametrize("hook", injection.INIT_HOOKS)
def test_a_start_that_fails(tmp_path: Path, hook: str) -> None:
    """Then too, the test goes on unrecorded, and one line says so."""
    url = f"sqlite:///{tmp_path / 'streamlab.db'}"
    least = LEAST_QUICK_SHARE
    with run_injected(tmp_path / "run", url, [hook], RARE_SECONDS, once=True, least_share=least) as run:
        assert 1 == run.output().count("on_init failed")
        assert "goes on unrecorded" in run.output()
