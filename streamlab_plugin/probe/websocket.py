"""Does a WebSocket target shake hands, and how fast does it answer a ping or a message?"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Collection

from websocket import (
    ABNF,
    STATUS_NORMAL,
    WebSocket,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketTimeoutException,
)

from streamlab_plugin.probe.answer import BAD_STATUS, NOT_AUTHORISED, PROTOCOL, Failure
from streamlab_plugin.probe.attempt import Attempt
from streamlab_plugin.probe.dial import dial
from streamlab_plugin.probe.http import REFUSALS, status_text

HEARTBEAT = "heartbeat"
# IANA's "unauthorized" and "forbidden", and the customary private codes for the same.
_REFUSING_CLOSES = (3000, 3003, 4401, 4403)
_NO_CODE = 1005
_MESSAGES = (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY)


def probe(attempt: Attempt, message: str | None = None, expects_reply: bool = False) -> None:
    """Shake hands, ping, and send *message* if there is one.

    Args:
        attempt: Where to, and how long.
        message: A text; ``heartbeat`` is sent as a JSON object of this type with an id of its own.
        expects_reply: Wait for the first message that comes after ours.

    Raises:
        Failure: the target does not do as it should.
        TimeoutError: it took too long.
    """
    connection = dial(attempt)
    client = WebSocket()
    try:
        with attempt.phase("handshake"):
            _shake_hands(attempt, client, connection)
        with attempt.phase("ping"):
            payload = os.urandom(8)
            client.ping(payload)
            _wait(client, attempt, (ABNF.OPCODE_PONG,), payload)
        if message is not None:
            with attempt.phase("reply" if expects_reply else "send"):
                client.send(_text(message))
                if expects_reply:
                    _wait(client, attempt, _MESSAGES)
        client.send_close(STATUS_NORMAL)
    except WebSocketTimeoutException:
        raise TimeoutError from None
    except (WebSocketConnectionClosedException, ConnectionError):
        raise Failure(PROTOCOL, f"the connection was closed in phase {attempt.phase_name}") from None
    except WebSocketException:
        raise Failure(PROTOCOL, f"what came in phase {attempt.phase_name} is no WebSocket") from None


def _shake_hands(attempt: Attempt, client: WebSocket, connection: object) -> None:
    authorization = attempt.address.authorization()
    header = [] if authorization is None else [f"Authorization: {authorization}"]
    status = None
    try:
        client.connect(  # type: ignore[no-untyped-call]
            attempt.address.url, socket=connection, header=header, redirect_limit=0
        )
    except WebSocketBadStatusException as error:
        status = error.status_code
    except WebSocketException:
        # A redirect is an exception like any other here; only what was read tells it apart.
        if client.handshake_response is None:
            raise
        status = client.handshake_response.status
    attempt.facts["status"] = 101 if status is None else status
    if status is not None:
        outcome = NOT_AUTHORISED if status in REFUSALS else BAD_STATUS
        raise Failure(outcome, f"the handshake was refused with {status_text(status)}")


def _wait(
    client: WebSocket, attempt: Attempt, opcodes: Collection[int], payload: bytes | None = None
) -> None:
    """Wait for one of *opcodes*, and for *payload* if there is one."""
    assert client.sock is not None
    while True:
        client.sock.settimeout(attempt.remaining_s())
        opcode, frame = client.recv_data_frame(control_frame=True)
        if opcode == ABNF.OPCODE_CLOSE:
            raise _closed(attempt, frame.data)
        if opcode in opcodes and payload in (None, frame.data):
            return


def _closed(attempt: Attempt, data: bytes) -> Failure:
    code = int.from_bytes(data[:2], "big") if len(data) > 1 else _NO_CODE
    attempt.facts["close_code"] = code
    outcome = NOT_AUTHORISED if code in _REFUSING_CLOSES else PROTOCOL
    return Failure(
        outcome, f"the target closed the connection with code {code}, in phase {attempt.phase_name}"
    )


def _text(message: str) -> str:
    if message != HEARTBEAT:
        return message
    return json.dumps({"type": HEARTBEAT, "correlation_id": str(uuid.uuid4())})
