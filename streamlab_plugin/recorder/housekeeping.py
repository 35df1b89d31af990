"""What a recorder does on its own account: end abandoned runs and delete what is too old, once a day.

In small steps, one a second while records come in, so that nobody notices.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from typing import TYPE_CHECKING

from streamlab_plugin.core.errors import StreamlabError
from streamlab_plugin.recorder import reconcile
from streamlab_plugin.recorder.watch import due
from streamlab_plugin.store import retention
from streamlab_plugin.store.archive import archive_folder
from streamlab_plugin.store.failure import DATABASE_ERRORS, reason
from streamlab_plugin.store.upkeep import upkeep

if TYPE_CHECKING:
    from streamlab_plugin.recorder.desk import Desk
    from streamlab_plugin.recorder.storage import Storage

logger = logging.getLogger(__name__)

EVERY_S = 24 * 3600.0
# The first look comes this long after the start, when the opening rush is over.
FIRST_AFTER_S = 0.5
LOOK_EVERY_S = 600.0
BUSY_PAUSE_S = 1.0
# A run of which nothing was heard for so long is over, whatever became of its host; sooner if its test had
# stopped, since then only the verdict is missing.
QUIET_S = 300.0
STOPPED_QUIET_S = 60.0


class Housekeeping:
    """Bounded steps of upkeep for one recorder."""

    def __init__(self, desk: Desk, storage: Storage) -> None:
        self._desk = desk
        self._storage = storage
        self._steps: Generator[str, None, None] | None = None
        self._look_at = time.monotonic() + FIRST_AFTER_S
        self._stepped_at = 0.0

    @property
    def is_done(self) -> bool:
        """Whether nothing is under way."""
        return self._steps is None

    def abandon(self) -> None:
        """Give up what is under way; the next look goes on from there."""
        if self._steps is not None:
            self._steps.close()
            self._steps = None
            self._look_at = time.monotonic() + FIRST_AFTER_S

    def step(self) -> None:
        """Do a piece of work if one is due; what goes wrong is logged and tried again later."""
        now = time.monotonic()
        if not self._storage.is_drained or (self._steps is None and now < self._look_at):
            return
        if self._desk.streams and not due(self._stepped_at, BUSY_PAUSE_S):
            return
        self._stepped_at = now
        try:
            if self._steps is None:
                self._look_at = now + LOOK_EVERY_S
                self._steps = self._work()
            next(self._steps)
        except StopIteration:
            self._steps = None
        except DATABASE_ERRORS as error:
            self._steps = None
            self._storage.failed(error)
        except (StreamlabError, OSError) as error:
            self._steps = None
            logger.error("upkeep failed: %s", reason(error))
        except Exception:  # guard line: upkeep must not end a recorder
            self._steps = None
            logger.exception("upkeep failed")

    def _work(self) -> Generator[str, None, None]:
        connection = self._storage.open().connection
        now = time.time()
        for run in reconcile.abandoned(connection, now, STOPPED_QUIET_S, set(self._desk.runs)):
            if run.stopped_at is None and now - run.seen_at < QUIET_S:
                continue
            settled = reconcile.settle(connection, run)
            logger.info("run %s, of which nothing was heard any more, is %s", run.run, settled["state"])
            yield settled["state"]
        if retention.last_run_at(connection) > time.time() - EVERY_S:
            return
        yield from upkeep(connection, archive_folder(self._desk.database_url), time.time())
