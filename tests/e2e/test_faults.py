"""Long repetitions: `make faults`. Each run is compared with the target's own log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from endings import ENDINGS, Ended, run_until

pytestmark = pytest.mark.faults

REPETITIONS = 5
LAYOUTS: dict[str, dict[str, Any]] = {
    "one process": {},
    "two processes": {"arguments": ("--processes", "2")},
    "master and 2 workers": {"workers_apart": 2},
}


def _check(result: Ended) -> None:
    assert [] == result.differences, result.output
    assert result.balanced
    assert ("completed", result.produced) == (result.state, result.stored), result.output
    assert "streamlab_plugin/" not in result.output, result.output


@pytest.mark.parametrize("repetition", range(REPETITIONS))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_sixty_seconds(tmp_path: Path, layout: str, repetition: int) -> None:
    """The demo's 60 s in every layout."""
    result = run_until(tmp_path, "run-time", 0, duration_s=60, **LAYOUTS[layout])
    _check(result)
    assert result.seen > 5_000


@pytest.mark.parametrize("repetition", range(REPETITIONS))
@pytest.mark.parametrize("stop_timeout_s", [0, 2])
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_ending(tmp_path: Path, layout: str, ending: str, stop_timeout_s: int, repetition: int) -> None:
    """Ctrl-C, SIGTERM, SIGHUP, --run-time and the Stop button, with and without --stop-timeout."""
    _check(run_until(tmp_path, ending, stop_timeout_s, **LAYOUTS[layout]))
