"""Locust's FastHttpUser with a correlation id per request, JSON answers kept, and no request without a row.

The session fires Locust's own event through `_Hook`, which adds what Streamlab knows. A request is known by
the greenlet that makes it until its row is fired: one greenlet makes one request at a time.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from gevent import Timeout
from greenlet import getcurrent
from locust import FastHttpUser
from locust.contrib.fasthttp import FastHttpSession, ResponseContextManager
from locust.exception import ResponseError

from streamlab_plugin.core.record import PAYLOAD_LIMIT_BYTES, Detail
from streamlab_plugin.users.clock import epoch_s
from streamlab_plugin.users.correlation import new_id
from streamlab_plugin.users.report import CONTROL_EXCEPTIONS, interrupted


class _Flight:
    """A request from its send to its row."""

    __slots__ = ("correlation_id", "is_reported", "is_stream", "method", "name", "response", "started")

    def __init__(self, method: str, name: str, correlation_id: str, is_stream: bool) -> None:
        self.method = method
        self.name = name
        self.correlation_id = correlation_id
        self.is_stream = is_stream
        self.is_reported = False
        self.response: Any = None  # once its head has come
        self.started = perf_counter()


class _Hook:
    """Stands for the request event in one session: fires it with Streamlab's detail."""

    def __init__(self, session: Session, hook: Any) -> None:
        self._session = session
        self._hook = hook

    def fire(self, **event: Any) -> None:
        """Fire the event, unless the request has its row; a block names its request itself."""
        session = self._session
        flight = event.get("streamlab") or session.flights.get(getcurrent())
        if flight is not None:
            if flight.is_reported:
                return
            flight.is_reported = True
            event["streamlab"] = session.detail(flight, event)
        self._hook.fire(**event)


class _Block(ResponseContextManager):
    """The answer inside a ``with`` block; however the block ends, the request gets its row."""

    def __init__(self, response: Any, hook: _Hook, session: Session, flight: _Flight) -> None:
        super().__init__(response, hook, response.request_meta, True)
        self.request_meta["streamlab"] = flight
        self._session = session
        self._flight = flight

    def __exit__(self, exc: Any, value: Any, traceback: Any) -> Any:  # type: ignore[override]
        leave: Any = super().__exit__
        if exc is None or self._manual_result is not None or isinstance(value, ResponseError):
            return leave(exc, value, traceback)
        if isinstance(value, CONTROL_EXCEPTIONS):
            # Leaving a task early says nothing about the answer.
            leave(None, None, None)
        elif isinstance(value, (Exception, Timeout)):
            self.request_meta["exception"] = value
            self._request_event.fire(**self.request_meta)
        else:
            self._session.interrupt(self._flight)
        return False


class Session(FastHttpSession):
    """A FastHttpSession whose requests carry a correlation id and always get a row."""

    flights: dict[Any, _Flight]
    hook: _Hook
    user: HttpUser

    @classmethod
    def adopt(cls, session: FastHttpSession, user: HttpUser) -> Session:
        """Return a session with everything that *session* was made with."""
        adopted = cls.__new__(cls)
        adopted.__dict__.update(session.__dict__)
        adopted.flights = {}
        adopted.hook = adopted.request_event = _Hook(adopted, session.request_event)
        adopted.user = user
        return adopted

    def request(
        self,
        method: str,
        url: str,
        name: str | None = None,
        data: Any = None,
        catch_response: bool = False,
        stream: bool = False,
        headers: dict[str, str] | None = None,
        *rest: Any,
        **kwargs: Any,
    ) -> Any:
        """Send a request; everything as in `FastHttpSession.request`."""
        header = self.user.correlation_header
        given = (
            [value for key, value in headers.items() if key.lower() == header.lower()] if headers else None
        )
        correlation_id = given[0] if given else new_id()
        headers = {**headers, header: correlation_id} if headers else {header: correlation_id}
        flight = _Flight(method, name or self.request_name or url, correlation_id, stream)
        current = getcurrent()
        flights = self.flights
        flights[current] = flight
        try:
            response = super().request(
                method, url, name, data, catch_response, stream, headers, *rest, **kwargs
            )
        except Exception as error:
            # Locust fires nothing for a body that it cannot decode; before the answer nothing was seen.
            if flight.response is not None:
                self._report_broken(flight, error)
            raise
        except BaseException:
            self.interrupt(flight)
            raise
        finally:
            flights.pop(current, None)
        return _Block(response, self.hook, self, flight) if catch_response else response

    def _send_request_safe_mode(self, method: str, url: str, **kwargs: Any) -> Any:
        response = super()._send_request_safe_mode(method, url, **kwargs)
        if flight := self.flights.get(getcurrent()):
            flight.response = response
        return response

    def _report_broken(self, flight: _Flight, error: Exception) -> None:
        self.hook.fire(
            streamlab=flight,
            request_type=flight.method,
            name=flight.name,
            response_time=(perf_counter() - flight.started) * 1000.0,
            response_length=0,
            response=flight.response,
            exception=error,
            context=self.user.context(),
            start_time=epoch_s(flight.started),
        )

    def detail(self, flight: _Flight, event: dict[str, Any]) -> Detail:
        """Return what is known of a request beyond Locust's *event*."""
        response, error = event["response"], event["exception"]
        return Detail(
            "http",
            flight.method,
            "out",
            self.user.class_name,
            None,
            None,
            None if flight.is_stream else _json_of(response),
            "timeout" if error is not None and _is_timeout(error) else None,
            response.status_code or None,
            flight.correlation_id,
        )

    def interrupt(self, flight: _Flight) -> None:
        """Record a request that its user did not live to see the end of."""
        if not flight.is_reported:
            flight.is_reported = True
            detail = Detail(
                "http",
                flight.method,
                user_class=self.user.class_name,
                correlation_id=flight.correlation_id,
            )
            interrupted(self.user, flight.method, flight.name, flight.started, detail)


class HttpUser(FastHttpUser):
    """Locust's FastHttpUser, recorded in full: correlation id, status, JSON answer, and interrupted requests.

    An exception inside a ``with`` block (``catch_response=True``) is recorded as an error, where plain
    FastHttpUser fires nothing.
    """

    abstract = True

    correlation_header: str = "X-Correlation-ID"

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.class_name = type(self).__name__
        self.client: Session = Session.adopt(self.client, self)

    def start(self, group: Any) -> Any:
        """Start the user's greenlet, as Locust does, and see to what it leaves behind."""
        greenlet = super().start(group)
        greenlet.rawlink(self._ended)
        return greenlet

    def _ended(self, _greenlet: object) -> None:
        """Record what greenlets of the user's own still have in flight; runs in the hub."""
        for flight in tuple(self.client.flights.values()):
            self.client.interrupt(flight)


def _given(headers: dict[str, str], wanted: str) -> str | None:
    """Return the value of a header, whatever the case of its name."""
    wanted = wanted.lower()
    return next((value for name, value in headers.items() if name.lower() == wanted), None)


def _json_of(response: Any) -> bytes | None:
    """Return the body of a JSON answer that is small enough to keep."""
    headers = response.headers
    if headers is None or "content-type" not in headers or "json" not in headers["content-type"]:
        return None
    content: bytes | None = getattr(response, "_cached_content", None)
    return content if content and len(content) <= PAYLOAD_LIMIT_BYTES else None


def _is_timeout(error: Any) -> bool:
    """Tell whether *error* is a timeout, also inside the wrapper that the client library puts around it."""
    return isinstance(getattr(error, "original", error), (TimeoutError, Timeout))
