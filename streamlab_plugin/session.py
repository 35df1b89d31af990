"""One Locust process's way to its recorder: gate, handover, link and the run that is open."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

import locust

from streamlab_plugin import __version__
from streamlab_plugin.config import Settings
from streamlab_plugin.core.errors import EXIT_NO_VERDICT
from streamlab_plugin.core.handover import Handover
from streamlab_plugin.gate import Gate
from streamlab_plugin.link.client import Client
from streamlab_plugin.link.message import OpenProcess, OpenRun, StopRun, encode_into
from streamlab_plugin.link.place import socket_path
from streamlab_plugin.link.spawn import RecorderStarter
from streamlab_plugin.privacy.target import target
from streamlab_plugin.store.url import absolute_url, fingerprint, is_sqlite

logger = logging.getLogger(__name__)

# Bounds of every wait; all of them are cooperative and outside the users' time.
OPEN_S = 5.0
ACKNOWLEDGE_S = 15.0
VERDICT_S = 40.0


class Session:
    """Everything between Locust's events and the recorder, for one process.

    Args:
        settings: The effective settings; only the owner's travel with the run.
        role: ``standalone``, ``master`` or ``worker``.
        users: Returns the number of simulated users now.
        stop: Ends the test; called when somebody asked for it.
    """

    def __init__(
        self, settings: Settings, role: str, users: Callable[[], int], stop: Callable[[], None]
    ) -> None:
        self.settings = settings
        self.role = role
        self.run: str | None = None
        self._handover = Handover(encode_into)
        self.gate = Gate(self._handover, settings.error_reducer())
        self._database = fingerprint(settings.database_url)
        path = socket_path(self._database)
        # The recorder may be started from another directory: it gets absolute places.
        environment = {
            "STREAMLAB_DATABASE_URL": absolute_url(settings.database_url),
            "STREAMLAB_KEY_FILE": os.fspath(settings.key_file.absolute()),
        }
        self._stop = stop
        self._client = Client(
            path, role, os.getpid(), self._handover, RecorderStarter(path, environment),
            lambda: self.gate.produced, self.gate.arrival_counts, users, self._stop_requested,
        )  # fmt: skip
        self._is_open = False
        self._final: tuple[int, dict[str, int], float] | None = None  # produced, dropped, when
        self._stopped_at = 0.0
        self._workers: set[str] = set()
        self.clock: Callable[[], tuple[float, float] | None] = lambda: None  # see users/clock_offset.py

    @property
    def is_owner(self) -> bool:
        """Whether this process owns runs: it is not a worker."""
        return self.role != "worker"

    def connect(self) -> None:
        """Reach or start the recorder.

        Raises:
            StreamlabError: the recorder or its database cannot be used.
        """
        self._client.connect()

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def open_run(self, name: str | None, host: str, locustfile: str, workers: Iterable[str]) -> str:
        """Open a run with this process's stream and return its public id (owner).

        Without a *name* it has that of the locustfile. *workers* are Locust's ids of the workers that are
        connected; each must record a stream.
        """
        self.end_run()
        run, now = str(uuid4()), time.time()
        self._workers = set(workers)
        name = name or os.path.basename(locustfile).removesuffix(".py") or "run"
        versions = {
            "streamlab": __version__,
            "locust": locust.__version__,
            "python": platform.python_version(),
        }
        self._client.open_run(
            OpenRun(run, name, now, target(host), os.path.basename(locustfile), len(self._workers),
                    self.settings.body(), versions)
        )  # fmt: skip
        self.run = run
        self._open_stream(run, now)
        if self.role == "master" and not self._client.wait_run_opened(run, OPEN_S):
            logger.error(
                "Streamlab: the run is not in the database after %d s; workers may not find it", OPEN_S
            )
        return run

    def join_run(self, run: Any, database: Any) -> None:
        """Open this worker's stream in the master's run, or say in one line why it goes unrecorded."""
        self.end_run()
        if not isinstance(run, str):
            logger.error("Streamlab: the master runs without Streamlab; this worker goes on unrecorded")
            return
        # Hosts may reach one PostgreSQL under different names; there the recorder looks for the run itself.
        if database != self._database and (
            is_sqlite(self.settings.database_url) or not str(database).startswith("postgresql-")
        ):
            logger.error(
                "Streamlab: this worker's database is not the master's; set STREAMLAB_DATABASE_URL to the "
                "same one on both; this worker goes on unrecorded"
            )
            return
        self.run = run
        self._open_stream(run, time.time())

    def worker_joined(self, client_id: str, **_arguments: Any) -> None:
        """Expect a stream of this worker in the open run (master); it may join more than once."""
        if self._is_open:
            self._workers.add(client_id)

    def _stop_requested(self, run: str) -> None:
        if self._is_open and run == self.run:
            logger.info("Streamlab: the run is stopped on request")
            self._stop()

    def end_run(self) -> None:
        """Close this process's stream; the owner says that the test has stopped. Repeating it is harmless."""
        if not self._is_open or self.run is None:
            return
        # Should something fail on the way, the next call goes on with the same totals.
        if self._final is None:
            self._final = (*self.gate.close(), time.time())
        produced, dropped, now = self._final
        self._client.close_process(produced, dropped, now, self.clock())
        if self.is_owner:
            self._client.stop_run(StopRun(self.run, now, len(self._workers)))
        self._is_open, self._final = False, None

    def call_off(self) -> None:
        """End a run that no worker has been told of, so that none is missing (owner)."""
        self._workers.clear()
        self.end_run()

    def wait_end(self) -> int | None:
        """Wait until the last run is finalised and return its exit code (owner), or None without a run."""
        if self.run is None:
            return None
        if not self.is_owner:
            if not self._client.wait_acknowledged(ACKNOWLEDGE_S):
                logger.error("Streamlab: the recorder did not confirm everything within %d s", ACKNOWLEDGE_S)
            return None
        verdict = self._client.wait_verdict(self.run, VERDICT_S)
        if verdict is None:
            logger.error(
                "Streamlab: no verdict within %d s; look with: streamlab runs show %s", VERDICT_S, self.run
            )
            return EXIT_NO_VERDICT
        for line in verdict.text.splitlines():
            logger.info(line)
        return verdict.exit_code

    def _open_stream(self, run: str, now: float) -> None:
        self._is_open = True
        self._client.open_process(OpenProcess(run, str(uuid4()), self.role, os.getpid(), now))
        if self.role != "master":
            self.gate.open()
