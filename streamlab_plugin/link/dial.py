"""Reach a recorder and be welcomed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gevent import socket

from streamlab_plugin.core.errors import StreamlabError
from streamlab_plugin.link.framing import Unframer, frame
from streamlab_plugin.link.message import Downlink, Refused, Welcome, decode_downlink


class RefusedError(StreamlabError):
    """The recorder does not serve this process; carries the exit code it named."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def dial(path: Path, hello: bytes, answer_s: float) -> Any:
    """Return a connected gevent socket on which *hello* (an encoded `Hello`) was answered by a welcome.

    The answer may take *answer_s* seconds.

    Raises:
        OSError: nobody serves the socket, or not in time.
        RefusedError: the recorder refuses (link version, database).
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(answer_s)
        sock.connect(str(path))
        sock.sendall(frame(hello))
        answer = _first_message(sock)
        if isinstance(answer, Refused):
            raise RefusedError(answer.message, answer.exit_code)
        if not isinstance(answer, Welcome):
            raise ConnectionResetError("the recorder did not welcome this process")
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock


def _first_message(sock: Any) -> Downlink:
    unframer = Unframer()
    while True:
        data = sock.recv(65536)
        if not data:
            raise ConnectionResetError("the recorder hung up")
        for body in unframer.feed(data):
            first: Downlink = decode_downlink(body)
            return first
