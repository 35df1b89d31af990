"""The Locust side of the link, in a process of its own; the recorder's side is the real server."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from streamlab_plugin.link.message import (
    LINK_VERSION,
    Ack,
    CloseProcess,
    Frame,
    Hello,
    OpenProcess,
    Unrecorded,
    Uplink,
    Welcome,
)
from streamlab_plugin.link.server import Connection, Server

SCRIPT = Path(__file__).with_name("client_of_two_runs.py")
WAIT_S = 20.0


def answer(connection: Connection, message: Uplink) -> None:
    """Answer as a recorder that does not know the first run."""
    match message:
        case Hello():
            connection.send(Welcome(LINK_VERSION, 1))
        case OpenProcess(process="unrecorded"):
            connection.send(Unrecorded(message.process, "run run-1 is not in this recorder's database"))
        case Frame() | CloseProcess():
            connection.send(Ack(message.process, message.number))


def test_an_unrecorded_run_leaves_nothing_to_the_next_one(tmp_path: Path) -> None:
    """Its requests are in no stream, least of all in the one that comes after it."""
    server = Server(tmp_path / "s.sock")
    heard: list[Uplink] = []
    with subprocess.Popen([sys.executable, SCRIPT, tmp_path / "s.sock"]) as process:
        deadline = time.monotonic() + WAIT_S
        while process.poll() is None and time.monotonic() < deadline:
            for connection, message in server.poll(0.05):
                if message is not None:
                    heard.append(message)
                    answer(connection, message)
        process.kill()
    assert 0 == process.returncode
    frames = [one for one in heard if isinstance(one, Frame)]
    sent = [(frame.process, record.endpoint) for frame in frames for record in frame.records]
    assert [("recorded", "/second")] == sent
