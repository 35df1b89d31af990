"""The PostgreSQL server for tests: what a client sees when it is stopped, killed or frozen."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from postgres import DEADLINE_S, PostgresServer, shared_server
from proxy import HOST
from psycopg import pq

ASK_FOR_TLS = (8).to_bytes(4) + (80877103).to_bytes(4)  # a server without certificate answers N

ORPHAN = """
import sys, threading
from postgres import PostgresServer
server = PostgresServer()
thread = threading.Thread(target=server.start)
thread.start(); thread.join()
print(server.pid, server.folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of this module's own; each test leaves it running."""
    with shared_server() as server:
        yield server


@pytest.fixture
def url(server: PostgresServer) -> str:
    """A new database with the table `numbers`, which holds one row."""
    url = server.create_database()
    with connect(url) as connection:
        connection.execute("CREATE TABLE numbers AS SELECT 7 AS n")
    return url


def connect(url: str) -> psycopg.Connection:
    """Open a connection."""
    return psycopg.connect(url, connect_timeout=10, autocommit=True)


def numbers(url: str) -> list[tuple[int]]:
    """Read the table `numbers`."""
    with connect(url) as connection:
        return connection.execute("SELECT n FROM numbers").fetchall()


def is_alive(process: psutil.Process) -> bool:
    """Whether *process* is there and not just waiting for somebody to read its exit code."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll *condition*; fail with *what* when it does not come true."""
    give_up = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


class TestServer:
    def test_is_durable_and_speaks_utf8(self) -> None:
        """A test of lost data means nothing on a server that does not sync."""
        with PostgresServer() as server, connect(server.create_database()) as connection:
            shown = [
                connection.execute(f"SHOW {name}").fetchone()
                for name in ("fsync", "synchronous_commit", "server_encoding", "max_connections")
            ]
        assert [("on",), ("on",), ("UTF8",), ("50",)] == shown

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root cannot run the server itself")
    def test_root_hands_it_to_another_user(self, server: PostgresServer) -> None:
        """PostgreSQL refuses to run as root."""
        assert 0 != psutil.Process(server.pid).uids().real

    def test_settings_can_be_overridden(self) -> None:
        """What a test sets wins over the defaults."""
        with (
            PostgresServer(settings={"max_connections": "12"}) as small,
            connect(small.url("postgres")) as connection,
        ):
            assert ("12",) == connection.execute("SHOW max_connections").fetchone()


class TestDatabases:
    def test_each_has_a_name_of_its_own(self, server: PostgresServer) -> None:
        """Tests that share a server share no table."""
        assert server.create_database() != server.create_database()

    def test_a_template_is_copied_with_its_rows(self, server: PostgresServer, url: str) -> None:
        """A prepared database is cheaper than the same migration again."""
        assert [(7,)] == numbers(server.create_database(template=url.rpartition("/")[2]))

    def test_drop_sends_clients_away(self, server: PostgresServer, url: str) -> None:
        """A forgotten connection does not keep the database."""
        with connect(url) as connection:
            server.drop_database(url.rpartition("/")[2])
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            connect(url)


class TestStop:
    @pytest.mark.parametrize("mode", ["fast", "immediate"])
    def test_keeps_port_and_rows(self, server: PostgresServer, url: str, mode: str) -> None:
        """While it is stopped connections are refused; afterwards the same URL leads to the same rows."""
        server.stop(mode)  # type: ignore[arg-type]
        assert not server.is_running
        with pytest.raises(psycopg.OperationalError, match="refused"):
            connect(url)
        server.start()
        assert [(7,)] == numbers(url)

    def test_restart_ends_connections(self, server: PostgresServer, url: str) -> None:
        """A client must connect again."""
        with connect(url) as connection:
            server.restart()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        assert [(7,)] == numbers(url)


class TestKill:
    def test_leaves_no_process_and_every_committed_row(self, server: PostgresServer, url: str) -> None:
        """All processes end at once; the next start recovers what was committed."""
        with connect(url) as connection:
            connection.execute("INSERT INTO numbers VALUES (8)")
            first = psutil.Process(server.pid)
            family = [first, *first.children(recursive=True)]
            assert connection.info.backend_pid in [process.pid for process in family]
            server.kill()
            assert [] == [process for process in family if is_alive(process)]
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        server.start()
        assert [(7,), (8,)] == numbers(url)


class TestFreeze:
    def test_nothing_answers_until_the_thaw(self, server: PostgresServer, url: str) -> None:
        """A query sent to a frozen server is answered after the thaw, on the same connection."""
        with connect(url) as connection:
            server.freeze()
            connection.pgconn.send_query(b"SELECT n FROM numbers")
            assert ([], [], []) == select.select([connection.fileno()], [], [], 0.2)
            assert server.is_running
            server.thaw()
            result = connection.pgconn.get_result()
            assert result is not None
            assert (pq.ExecStatus.TUPLES_OK, b"7") == (result.status, result.get_value(0, 0))
            assert connection.pgconn.get_result() is None

    def test_a_new_connection_hangs(self, server: PostgresServer) -> None:
        """The kernel accepts it, and nobody says a word until the thaw."""
        server.freeze()
        with socket.create_connection((HOST, server.port), timeout=DEADLINE_S) as connection:
            connection.sendall(ASK_FOR_TLS)
            assert ([], [], []) == select.select([connection], [], [], 0.2)
            server.thaw()
            assert b"N" == connection.recv(1)

    def test_a_frozen_server_can_be_stopped(self, server: PostgresServer, url: str) -> None:
        """A test that fails halfway through an outage leaves nothing that hangs."""
        server.freeze()
        server.restart()
        assert [(7,)] == numbers(url)


class TestFolder:
    def test_close_removes_it(self) -> None:
        """Also after a kill, and a second call does nothing."""
        server = PostgresServer()
        server.start()
        server.kill()
        server.close()
        server.close()
        assert not server.folder.exists()

    def test_one_that_holds_something_is_refused(self, tmp_path: Path) -> None:
        """What the server removes at the end must be its own."""
        (tmp_path / "precious").touch()
        with pytest.raises(ValueError, match="not empty"):
            PostgresServer(tmp_path)

    @pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs the server itself")
    def test_one_that_the_servers_user_cannot_reach_is_refused(self, tmp_path: Path) -> None:
        """The message names the user and the folder."""
        tmp_path.chmod(0o700)
        with pytest.raises(ValueError, match=str(tmp_path)):
            PostgresServer(tmp_path / "server")


def test_a_taken_port_is_told_with_the_servers_log(server: PostgresServer) -> None:
    """The reason is in the message, not in a folder that is gone by then."""
    with pytest.raises(RuntimeError, match="Address already in use"), PostgresServer(port=server.port):
        pass


def test_ends_with_the_process_that_started_it() -> None:
    """A killed test run leaves neither server nor folder; the end of the starting thread changes nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, text=True,
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        first = psutil.Process(int(pid))
        parent.kill()
    wait_until(lambda: not is_alive(first), "the server is still there")
    wait_until(lambda: not Path(folder).exists(), "the folder is still there")
