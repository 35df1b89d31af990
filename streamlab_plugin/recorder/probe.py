"""Whether a database that failed is worth another try, without making the recorder wait for the answer.

A PostgreSQL server that is stopped or cut off lets every attempt run into its time limit. So a thread of its
own knocks; it does nothing else, and the recorder's own connection stays with the recorder.
"""

from __future__ import annotations

import threading
import time

from streamlab_plugin.core.errors import StreamlabError
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.failure import DATABASE_ERRORS
from streamlab_plugin.store.url import is_sqlite

RETRY_S = 0.5


class Probe:
    """Decide when to try again.

    Args:
        database_url: The database that may be out of reach.
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._knocks = not is_sqlite(database_url)
        self._failed_at = float("-inf")
        self._pause_s = RETRY_S
        self._thread: threading.Thread | None = None
        self._answered = threading.Event()
        self._began_at = 0.0

    def failed(self) -> None:
        """Take note of a failure; what costs much time to fail is tried less often."""
        now = time.monotonic()
        self._answered.clear()
        self._pause_s = max(RETRY_S, 2 * (now - self._began_at)) if self._began_at else RETRY_S
        self._pause_s = min(self._pause_s, 5.0)
        self._failed_at, self._began_at = now, 0.0

    def is_worth_trying(self) -> bool:
        """Whether the caller should try now; it reports a failure by `failed`."""
        if time.monotonic() - self._failed_at < self._pause_s:
            return False
        if self._knocks and not self._answered.is_set():
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._knock, name="streamlab-probe", daemon=True)
                self._thread.start()
            return False
        self._began_at = time.monotonic()
        return True

    def close(self) -> None:
        """Do not wait for an answer any more."""
        self._thread = None

    def _knock(self) -> None:
        try:
            with open_store(self._url, read_only=True, patience_s=2.0).connect() as connection:
                connection.exec_driver_sql("SELECT 1")
        except (*DATABASE_ERRORS, StreamlabError):
            self._failed_at = time.monotonic()
        else:
            self._answered.set()
