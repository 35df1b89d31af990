"""Where the Timescale listener of locust-plugins runs; ``python -m benchmarks.peer_setup`` makes it.

It has one of its own, ``.bench-peer/``, because Locust imports that package wherever it is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.process import progress

FOLDER = Path(__file__).parents[1] / ".bench-peer"
PYTHON = FOLDER / "bin" / "python"
_READY = FOLDER / "ready"
_SCHEMA = "lib/*/site-packages/locust_plugins/dashboards/locust-timescale/timescale_schema.sql"
_INSTALL_S = 300.0
# The statements of its schema that plain PostgreSQL knows.
_KEPT = ("CREATE TABLE", "CREATE INDEX", "ALTER TABLE ONLY")


def is_ready() -> bool:
    """Whether the environment is there, complete."""
    return _READY.exists()


def make() -> None:
    """Make the environment, with the Locust version of this one."""
    if is_ready():
        return
    progress(f"making {FOLDER}")
    shutil.rmtree(FOLDER, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True, timeout=_INSTALL_S)
    wanted = [f"locust=={version('locust')}", "locust-plugins[dashboards]>=5,<6"]
    done = subprocess.run(
        [PYTHON, "-m", "pip", "install", "-q", *wanted], capture_output=True, text=True, timeout=_INSTALL_S
    )
    if done.returncode:
        raise RuntimeError(f"locust-plugins cannot be installed: {done.stderr[-2000:]}")
    _READY.touch()


def schema() -> list[str]:
    """Return what makes the listener's tables, as its package has it, without the TimescaleDB extension."""
    (path,) = FOLDER.glob(_SCHEMA)
    lines = [line for line in path.read_text().splitlines() if not line.startswith("--")]
    statements = [statement.strip() for statement in "\n".join(lines).split(";")]
    return [statement for statement in statements if statement.startswith(_KEPT)]


if __name__ == "__main__":
    make()
