"""Ask a recorder for a change of the database, from a command: plain blocking sockets, no gevent.

SQLite stands one writer only, and on PostgreSQL too every write goes through a recorder; so a command starts
one if none serves the database, says what it wants and waits for the answer.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from streamlab_plugin.core.errors import InfrastructureError, StreamlabError
from streamlab_plugin.link.framing import Unframer, frame
from streamlab_plugin.link.message import (
    LINK_VERSION,
    Downlink,
    Hello,
    Order,
    OrderDone,
    Progress,
    Refused,
    decode_downlink,
    encode,
)
from streamlab_plugin.link.spawn import RecorderStarter

CONNECT_TIMEOUT_S = 20.0
# A recorder that works on an order says something at least this often.
SILENCE_LIMIT_S = 60.0
_RETRY_S = 0.05
_ENDED = "the recorder ended before it had answered; look at its log and try again"


class OrderRefusedError(StreamlabError):
    """The recorder did not carry out an order; carries the exit code it named."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def order(
    path: Path,
    start_recorder: RecorderStarter,
    name: str,
    arguments: Mapping[str, Any],
    on_progress: Callable[[str], None],
) -> dict[str, Any]:
    """Have the recorder behind the socket *path* carry out an order, and return its result.

    Raises:
        OrderRefusedError: it says why not, with its exit code.
        InfrastructureError: no recorder, or it went away before the answer.
    """
    with _connected(path, start_recorder) as sock:
        try:
            sock.sendall(frame(encode(Hello(LINK_VERSION, os.getpid(), "command"))))
            sock.sendall(frame(encode(Order(name, json.dumps(arguments).encode()))))
        except OSError as error:
            raise InfrastructureError(_ENDED) from error
        for message in _heard(sock):
            match message:
                case Refused():
                    raise OrderRefusedError(message.message, message.exit_code)
                case Progress():
                    on_progress(message.text)
                case OrderDone():
                    result: dict[str, Any] = json.loads(message.result)
                    return result
    raise InfrastructureError(_ENDED)


def _connected(path: Path, start_recorder: RecorderStarter) -> socket.socket:
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(str(path))
        except OSError as error:
            sock.close()
            if time.monotonic() > deadline:
                raise InfrastructureError(
                    f"no recorder on {path} within {CONNECT_TIMEOUT_S:.0f} s ({error})"
                ) from error
            start_recorder()
            time.sleep(_RETRY_S)
        else:
            sock.settimeout(SILENCE_LIMIT_S)
            return sock


def _heard(sock: socket.socket) -> Iterator[Downlink]:
    unframer = Unframer()
    try:
        while data := sock.recv(65536):
            for body in unframer.feed(data):
                yield decode_downlink(body)
    except TimeoutError as error:
        raise InfrastructureError(f"the recorder said nothing for {SILENCE_LIMIT_S:.0f} s") from error
    except OSError:
        return
