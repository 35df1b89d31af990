"""Where the pages get their data: a query goes in, and runs wherever the host process wants it to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from streamlab_plugin.core.errors import InfrastructureError, StreamlabError
from streamlab_plugin.store import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

T = TypeVar("T")

RunQuery = Callable[[Callable[[], Any]], Any]


class Source:
    """Answer queries from the store.

    Args:
        engine: An engine, or what opens one; it is asked again until it succeeds, since a database may
            appear while the pages are already up.
        run_query: Calls a function outside the event loop and returns its answer.
        current_run: The public id of the run of this process, None if it has none.
        clock: The present, epoch seconds.
        waiting: Says what waits in this host's spool, or nothing.
    """

    def __init__(
        self,
        engine: Callable[[], Engine] | Engine,
        run_query: RunQuery,
        current_run: Callable[[], str | None],
        clock: Callable[[], float],
        waiting: Callable[[], str],
    ) -> None:
        self._open = engine
        self._opened: Engine | None = None
        self._run_query = run_query
        self._current_run = current_run
        self.now = clock
        self._waiting = waiting

    def ask(self, query: Callable[[Connection], T]) -> T:
        """Run *query* on a connection of its own.

        Raises:
            StreamlabError: The database cannot be reached, or the query has no answer.
        """
        return self.ask_with_spool(query)[0]

    def ask_with_spool(self, query: Callable[[Connection], T]) -> tuple[T, str]:
        """Run *query* and return its answer, and what waits in the spool.

        Raises:
            StreamlabError: as `ask`; it says what waits.
        """

        def work() -> tuple[T | None, str, StreamlabError | None]:
            # An error comes back as a value: gevent prints a traceback for what leaves its thread raised.
            waiting = self._waiting()
            try:
                return queries.read(self._engine(), query), waiting, None
            except InfrastructureError as error:
                return None, "", InfrastructureError(f"{error}; {waiting}") if waiting else error
            except StreamlabError as error:
                return None, "", error

        answer, waiting, error = self._run_query(work)
        if error is not None:
            raise error
        return cast("T", answer), waiting

    def run_of_this_process(self) -> str | None:
        """Return the public id of the run that this process owns, if any."""
        return self._current_run()

    def _engine(self) -> Engine:
        if self._opened is None:
            self._opened = self._open() if callable(self._open) else self._open
        return self._opened
