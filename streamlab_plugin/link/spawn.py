"""Start the recorder process beside a Locust process.

`os.posix_spawn` neither forks gevent's hub nor waits. The recorder runs in its own process group, so that
Ctrl-C in the terminal does not reach it, but not in its own session: that would put it into another
scheduling group and starve one side on a small machine.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

RESTART_INTERVAL_S = 1.0
LOG_LIMIT_BYTES = 1024 * 1024


class RecorderStarter:
    """Start a recorder at most once a second; a second one on the same socket ends by itself.

    Args:
        path: The socket it shall listen on; its error output goes to ``<path>.log``.
        environment: Environment variables for it (the database URL travels here, never in the arguments).
    """

    def __init__(self, path: Path, environment: dict[str, str]) -> None:
        self._path = path
        self._environment = environment
        self._started_at = float("-inf")
        self._pid: int | None = None

    def __call__(self) -> None:
        """Start a recorder unless the last one was started just now."""
        now = time.monotonic()
        if now - self._started_at < RESTART_INTERVAL_S or self._is_starting(now):
            return
        self._started_at = now
        log = os.fspath(self._path) + ".log"
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _anew(log), 0o600),
        ]
        arguments = [sys.executable, "-m", "streamlab_plugin.recorder", "--socket", os.fspath(self._path)]
        self._pid = os.posix_spawn(
            sys.executable,
            arguments,
            {**os.environ, **self._environment},
            file_actions=actions,
            setpgroup=0,
            setsigmask=[],
        )

    def _is_starting(self, now: float) -> bool:
        """Whether the last recorder lives and may still be opening its socket; reaps it when it is gone."""
        if self._pid is None:
            return False
        try:
            pid, _status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:
            pid = self._pid
        if pid:
            self._pid = None
            return False
        return now - self._started_at < 10.0


def _anew(log: str) -> int:
    """Return the flag that empties a log which has grown too large."""
    try:
        return os.O_TRUNC if os.stat(log).st_size > LOG_LIMIT_BYTES else 0
    except OSError:
        return 0
