"""The body of an answer as it arrives: both clients' own ways of reading wait until a block is full."""

from __future__ import annotations

import socket
from typing import Any

from geventhttpclient.response import HTTPConnectionClosed
from urllib3.exceptions import ProtocolError

_READ_BYTES = 64 * 1024


class FastBody:
    """A body that geventhttpclient receives.

    Args:
        response: Locust's response, asked for with ``stream``.
        idle_timeout_s: The longest wait for the next bytes.
    """

    def __init__(self, response: Any, idle_timeout_s: float) -> None:
        self._response = response._response  # None if there was no answer
        self._idle_timeout_s = idle_timeout_s

    def read(self) -> bytes:
        """Wait until something has arrived and return it; nothing at the end of the body.

        Raises:
            OSError: The connection was lost, or nothing came in time (TimeoutError).
            HTTPParseError: What came is no HTTP, or ended too early.
        """
        response = self._response
        arrived = response._body_buffer
        while not arrived:
            if response.message_complete:
                return b""
            self._receive()
        data = bytes(arrived)
        arrived.clear()
        return data

    def _receive(self) -> None:
        sock = self._response._sock
        if sock is None:
            raise HTTPConnectionClosed("connection closed.")
        usual_s = sock.gettimeout()
        sock.settimeout(self._idle_timeout_s)
        try:
            data = sock.recv(_READ_BYTES)
        finally:
            sock.settimeout(usual_s)  # first: at the end of the body the connection goes back to the pool
        self._response.feed(data)
        if not data and not self._response.message_complete:
            raise HTTPConnectionClosed("connection closed.")

    def abort(self) -> None:
        """Shut the connection down; a greenlet in `read` then sees the end."""
        sock = self._response._sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self) -> None:
        """Give the connection back, or close it where the body has not been read to its end."""
        if self._response is not None:
            self._response.release()


class RequestsBody:
    """A body that urllib3 receives; the longest wait is the request's timeout.

    Args:
        response: What requests answered, asked for with ``stream``.
    """

    def __init__(self, response: Any) -> None:
        self._response = response

    def read(self) -> bytes:
        """Wait until something has arrived and return it; nothing at the end of the body.

        Raises:
            OSError: The connection was lost.
            http.client.HTTPException: What came is no HTTP, or ended too early.
            urllib3.exceptions.HTTPError: Nothing came in time (ReadTimeoutError), or something else.
        """
        try:
            data: bytes = self._response.raw.read1(_READ_BYTES)
        except ProtocolError as error:
            raise error.__context__ or error from None  # the cause, as Locust shows it for requests
        return data

    def abort(self) -> None:
        """Shut the connection down; a greenlet in `read` then sees the end."""
        try:
            self._response.raw.shutdown()
        except (OSError, ValueError, RuntimeError):
            pass  # over already

    def close(self) -> None:
        """Give the connection back, or close it where the body has not been read to its end."""
        if self._response.raw is not None:
            self._response.close()
