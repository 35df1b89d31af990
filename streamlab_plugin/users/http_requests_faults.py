"""What injected faults do to a request of requests, between its preparation and its transmission."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from requests import ConnectionError as RequestsConnectionError
from requests import PreparedRequest, RequestException, Response
from urllib3.exceptions import HTTPError

from streamlab_plugin.scenario.injection import delay_s
from streamlab_plugin.users.closing import closers
from streamlab_plugin.users.injector import ConnectionDroppedError, Strike

_Send = Callable[..., Response]


def send(
    session: Any, strike: Strike, transmit: _Send, request: PreparedRequest, options: dict[str, Any]
) -> Response:
    """Send a request as the fault wants it, and return the answer.

    Args:
        transmit: Sends a prepared request and follows redirects; *options* are its own.

    Raises:
        requests.RequestException: As *transmit* does, and for a connection that was dropped.
    """
    _change(strike, request)
    if not strike.has_struck:
        return transmit(request, **options)
    kind = strike.fault.kind
    if kind == "drop_connection":
        _drop(session, strike, request, options)
    if kind == "duplicate":
        for _ in range(strike.fault.parameters["copies"]):
            closers(session.user.environment).spawn(_repeat, transmit, request.copy(), options)
    if kind != "slow_consumer":
        return transmit(request, **options)
    response = transmit(request, **{**options, "stream": True})
    # The head has come; what follows fills the server's buffers meanwhile.
    gevent.sleep(delay_s(strike.fault, strike.dice))
    if not options["stream"]:
        _ = response.content
    return response


def _change(strike: Strike, request: PreparedRequest) -> None:
    """Put into *request* the body that the fault makes of its own."""
    body = request.body
    if isinstance(body, str):
        body = body.encode()
    if body is not None and not isinstance(body, bytes):
        # A file or a generator is read where it is sent; nothing here can change it.
        strike.has_struck = strike.fault.kind in ("delay", "slow_consumer")
        return
    changed = strike.body(body or b"")
    if changed != (body or b""):
        request.body = changed
        request.headers["Content-Length"] = str(len(changed))


def _repeat(transmit: _Send, request: PreparedRequest, options: dict[str, Any]) -> None:
    """Send the request once more; nobody looks at the answer."""
    try:
        transmit(request, **{**options, "stream": True}).close()
    except RequestException:
        pass


def _drop(session: Any, strike: Strike, request: PreparedRequest, options: dict[str, Any]) -> None:
    """Close a connection to the server where its request, or its answer, should be."""
    adapter = session.get_adapter(request.url)
    timeout = options["timeout"]
    try:
        pool = adapter.get_connection_with_tls_context(
            request, options["verify"], proxies=options["proxies"], cert=options["cert"]
        )
        connection = pool._get_conn()
        try:
            connection.timeout = timeout[0] if isinstance(timeout, tuple) else timeout
            pool._validate_conn(connection)
            if connection.is_closed:
                connection.connect()
            if strike.fault.parameters["when"] == "after":
                target = adapter.request_url(request, options["proxies"])
                connection.request(request.method, target, body=request.body, headers=request.headers)
            raise ConnectionDroppedError
        finally:
            connection.close()
            pool._put_conn(connection)
    except (OSError, HTTPError) as error:
        # Locust shows the error inside this one.
        raise RequestsConnectionError(error, request=request) from error
