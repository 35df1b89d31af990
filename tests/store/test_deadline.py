"""A PostgreSQL server that stands still, or a network that swallows everything, never holds us for long."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from postgres import PostgresServer
from proxy import Proxy

from streamlab_plugin.store.deadline import DeadlineConnection, connect

PATIENCE_S = 0.5


@pytest.fixture
def frozen(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """Return the server, which thaws at the end whatever happens."""
    yield postgres
    postgres.thaw()


def connected(port: int, patience_s: float = PATIENCE_S) -> DeadlineConnection:
    """Return a connection to the server's own database."""
    url = f"postgresql://streamlab@127.0.0.1:{port}/postgres"
    return connect(url, "streamlab test", read_only=False, patience_s=patience_s)


def copy_in(connection: DeadlineConnection) -> None:
    """Send 100 MB, more than fits on the way."""
    with connection.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
        for _ in range(2000):
            copy.write("x" * 50_000 + "\n")


class TestDeadline:
    """`connect` and `DeadlineConnection`."""

    def test_a_statement_of_a_frozen_server_fails(self, frozen: PostgresServer) -> None:
        """With a line that says how long was waited; the connection is of no more use."""
        with connected(frozen.port) as connection:
            connection.execute("SELECT 1")
            frozen.freeze()
            with pytest.raises(psycopg.OperationalError, match=r"did not answer within 0\.5 s"):
                connection.execute("SELECT 1")
            assert connection.closed
            with pytest.raises(psycopg.OperationalError, match="closed"):
                connection.execute("SELECT 1")

    def test_a_frozen_server_cannot_be_connected_to(self, frozen: PostgresServer) -> None:
        """Though the kernel accepts the connection."""
        frozen.freeze()
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            connected(frozen.port)

    def test_a_copy_into_silence_fails(self, postgres: PostgresServer) -> None:
        """Also where the network takes some of the data and then no more."""
        with Proxy(postgres.port) as proxy, connected(proxy.port) as connection:
            connection.execute("CREATE TEMPORARY TABLE t (a text)")
            proxy.hold()
            with pytest.raises(psycopg.OperationalError, match="did not answer"):
                copy_in(connection)
            proxy.release()

    def test_a_slow_statement_is_ended_by_the_server(self, postgres: PostgresServer) -> None:
        """A little earlier, so that the reason is the server's own and the connection stays usable."""
        with connected(postgres.port, 1.0) as connection:
            with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
                connection.execute("SELECT pg_sleep(10)")
            connection.rollback()
            assert (1,) == connection.execute("SELECT 1").fetchone()

    def test_the_server_can_tell_who_is_connected(self, postgres: PostgresServer) -> None:
        """By the application's name; a reader cannot write."""
        url = postgres.url("postgres")
        with connect(url, "streamlab reader", read_only=True, patience_s=3.0) as connection:
            assert ("streamlab reader",) == connection.execute("SHOW application_name").fetchone()
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                connection.execute("CREATE TABLE x (a int)")
