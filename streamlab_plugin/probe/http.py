"""Does an HTTP target answer with the status that is wanted?"""

from __future__ import annotations

import http
from http.client import HTTPConnection, HTTPException, HTTPResponse
from time import perf_counter

from streamlab_plugin import __version__
from streamlab_plugin.probe.address import HTTP
from streamlab_plugin.probe.answer import BAD_STATUS, NOT_AUTHORISED, PROTOCOL, Failure
from streamlab_plugin.probe.attempt import Attempt
from streamlab_plugin.probe.dial import dial

MOST_BODY_BYTES = 1 << 20
REFUSALS = (401, 403)
_VERSIONS = {9: "0.9", 10: "1.0", 11: "1.1"}


def probe(attempt: Attempt, expected: int | None = None) -> None:
    """GET the address, follow no redirect; read a good answer's body (at most 1 MiB, no event stream).

    Args:
        attempt: Where to, and how long.
        expected: The only status that is ok; None: any from 200 to 399.

    Raises:
        Failure: anything else came.
        TimeoutError: it took too long.
    """
    address = attempt.address
    connection = HTTPConnection(address.host, address.port)
    connection.sock = dial(attempt)
    headers = {"User-Agent": f"streamlab/{__version__}", "Accept": "*/*", "Connection": "close"}
    if authorization := address.authorization():
        headers["Authorization"] = authorization
    if address.port == HTTP[address.scheme]:
        headers["Host"] = address.place.rpartition(":")[0]
    connection.response_class = _Response
    try:
        with attempt.phase("first_byte"):
            began = perf_counter()
            connection.request("GET", address.path, headers=headers)
            response = connection.getresponse()
        assert isinstance(response, _Response)
        attempt.timings_ms["first_byte"] = (response.first_byte_at - began) * 1e3
        attempt.facts["http_version"] = _VERSIONS.get(response.version, "?")
        attempt.facts["status"] = response.status
        _judge(response.status, expected)
        attempt.phase_name = "body"
        if not (response.getheader("Content-Type") or "").startswith("text/event-stream"):
            _read_body(attempt, response)
    except ConnectionError:
        raise Failure(PROTOCOL, f"the connection was closed in phase {attempt.phase_name}") from None
    except HTTPException:
        raise Failure(PROTOCOL, "what came is no answer in HTTP") from None


def _read_body(attempt: Attempt, response: HTTPResponse) -> None:
    body = response.read(MOST_BODY_BYTES)
    attempt.facts["size_bytes"] = len(body)
    attempt.remaining_s()  # a body that is cut at the deadline looks like a short one
    if response.length and len(body) < MOST_BODY_BYTES:
        raise Failure(PROTOCOL, f"the body ended {response.length} bytes too early")


def _judge(status: int, expected: int | None) -> None:
    """Raise a Failure unless *status* is the expected one, or from 200 to 399 where none is expected."""
    if status == expected or (expected is None and 200 <= status <= 399):
        return
    outcome = NOT_AUTHORISED if status in REFUSALS else BAD_STATUS
    wanted = "" if expected is None else f" instead of {expected}"
    raise Failure(outcome, f"the answer was {status_text(status)}{wanted}")


def status_text(status: int) -> str:
    """Return a status with its name in the standard; the server's own words are not repeated."""
    try:
        return f"HTTP {status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


class _Response(HTTPResponse):
    """A response that knows when its first byte came."""

    first_byte_at = 0.0

    def begin(self) -> None:
        self.fp.peek(1)
        self.first_byte_at = perf_counter()
        super().begin()
