"""Somebody removes the SQLite file during a test: what comes after that is in a new one."""

from __future__ import annotations

import time
from pathlib import Path

from fault_run import QUICK_RATE, FaultRun

LEAD_S = 2.0
SECONDS = 8.0
# It is looked for once a second; the next recorder needs a moment to begin, more on a machine at work.
NOTICED_S = 5.0


def test_recording_goes_on_in_a_new_file(tmp_path: Path) -> None:
    """What the old one held is gone with it, and the verdict does not pretend anything else."""
    folder = tmp_path / "run"
    with FaultRun(folder, f"sqlite:///{folder / 'streamlab.db'}", rate=QUICK_RATE, seconds=SECONDS) as run:
        run.wait_running(seconds=LEAD_S)
        for path in folder.glob("streamlab.db*"):
            path.unlink()
        removed_at = time.time()
        assert 0 == run.finish()
        seen, stored = run.seen(), run.stored()
        lost = [seen.moments[one] - removed_at for one in stored.lost(seen)]
        assert max(lost) < NOTICED_S
        assert (0, 0) == (stored.twice(), stored.ghosts(seen))
        assert stored.ledger.stored > 0
        assert not stored.ledger.is_balanced
        assert "verdict inconclusive" in run.output()
