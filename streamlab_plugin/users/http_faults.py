"""What injected faults do to an HTTP request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from locust.contrib.fasthttp import ErrorResponse

from streamlab_plugin.scenario.injection import delay_s
from streamlab_plugin.users.closing import closers
from streamlab_plugin.users.injector import ConnectionDroppedError, Strike

_Send = Callable[..., Any]


def send(session: Any, strike: Strike, transmit: _Send, method: str, url: str, kwargs: dict[str, Any]) -> Any:
    """Send a request as the fault wants it, and return the answer.

    Args:
        transmit: Sends a request and returns the answer, whatever happens; *kwargs* are its own.
    """
    payload = kwargs.get("payload")
    if isinstance(payload, str):
        payload = payload.encode()
    if payload is None or isinstance(payload, bytes):
        # Forms and files are read where they are sent; nothing here can change them.
        kwargs = {**kwargs, "payload": strike.body(payload or b"") or None}
    else:
        strike.has_struck = strike.fault.kind in ("delay", "slow_consumer")
    if not strike.has_struck:
        return transmit(method, url, **kwargs)
    kind = strike.fault.kind
    if kind == "drop_connection":
        return _drop(session.client, strike, method, url, kwargs)
    if kind == "duplicate":
        for _ in range(strike.fault.parameters["copies"]):
            closers(session.user.environment).spawn(_repeat, transmit, method, url, kwargs)
    response = transmit(method, url, **kwargs)
    if kind == "slow_consumer":
        # The head has come; what follows fills the server's buffers meanwhile.
        gevent.sleep(delay_s(strike.fault, strike.dice))
    return response


def _repeat(transmit: _Send, method: str, url: str, kwargs: dict[str, Any]) -> None:
    """Send the request once more; nobody looks at the answer."""
    response = transmit(method, url, **kwargs)
    if not isinstance(response, ErrorResponse):
        response.release()


def _drop(agent: Any, strike: Strike, method: str, url: str, kwargs: dict[str, Any]) -> ErrorResponse:
    """Close a connection to the server where its request, or its answer, should be."""
    names = ("headers", "payload", "params")
    request = agent._make_request(url, method=method, **{name: kwargs.get(name) for name in names})
    client = agent.clientpool.get_client(request.url_split)
    pool = client._connection_pool
    error: Exception = ConnectionDroppedError()
    try:
        sock = pool.get_socket()
        try:
            if strike.fault.parameters["when"] == "after":
                body = request.payload or b""
                target = request.url_split.request_uri
                head = client._build_request(method, target, body=body, headers=request.headers)
                sock.sendall(head.encode("latin-1") + body)
        finally:
            pool.release_socket(sock)  # which closes it
    except OSError as failure:
        error = failure
    return ErrorResponse(request, error)
