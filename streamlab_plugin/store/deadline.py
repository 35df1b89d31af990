"""A PostgreSQL connection that never waits without a bound.

Timeouts of the server do not help when the server itself is stopped or the network swallows packets: the
socket stays open and silent. psycopg drives every exchange through `Connection.wait`; here each of them has a
deadline, after which the connection is given up as broken.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

# Whoever has patience with a long statement has none with a server that does not even answer.
CONNECT_S = 3


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection whose single waits are bounded by ``patience_s`` seconds.

    Raises:
        psycopg.OperationalError: from any method, when the server did not answer in time.
    """

    patience_s = 3.0

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Drive *gen* to its end as psycopg asks for, with the deadline."""
        deadline = time.monotonic() + self.patience_s
        try:
            return super().wait(gen, interval, self.patience_s if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if timeout is not None or time.monotonic() < deadline:
                raise
            # A half-finished exchange can never be used again.
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the server did not answer within {self.patience_s:g} s"
            ) from error


def connect(conninfo: str, name: str, *, read_only: bool, patience_s: float) -> DeadlineConnection:
    """Connect within *patience_s*; *name* is what ``pg_stat_activity`` shows.

    Raises:
        psycopg.OperationalError: the server is out of reach or refuses.
    """
    # The server gives up a little before we do, so that it says why.
    timeout_ms = max(100, int(patience_s * 1000) - 200)
    options = f"-c statement_timeout={timeout_ms} -c lock_timeout={timeout_ms}"
    if read_only:
        options += " -c default_transaction_read_only=on"
    given = conninfo_to_dict(conninfo).get("options") or ""
    connection = DeadlineConnection.connect(
        conninfo,
        application_name=name,
        connect_timeout=max(2, min(int(patience_s), CONNECT_S)),
        options=f"{given} {options}".strip(),
        prepare_threshold=None,  # a pooler may hand each transaction to another server process
    )
    connection.patience_s = patience_s
    return connection
