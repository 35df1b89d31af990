"""What our HTTP users add to Locust's: a correlation id per request, payloads, and no request without a row.

Both of Locust's HTTP clients fire the request event themselves. Their sessions get a `Hook` in its place,
which adds what Streamlab knows. A request is known by the greenlet that makes it until its row is fired: one
greenlet makes one request at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any, ClassVar

from gevent import Timeout
from greenlet import getcurrent
from locust import User
from locust.exception import ResponseError

from streamlab_plugin.core.record import Detail
from streamlab_plugin.scenario.injection import Faults
from streamlab_plugin.users import injector
from streamlab_plugin.users.clock import epoch_s
from streamlab_plugin.users.closing import closers
from streamlab_plugin.users.correlation import new_id, trace_id_of, traceparent
from streamlab_plugin.users.event_stream import EventStream
from streamlab_plugin.users.http_payload import Capture
from streamlab_plugin.users.injector import Strike
from streamlab_plugin.users.options import refuse
from streamlab_plugin.users.report import CONTROL_EXCEPTIONS, interrupted


class Flight:
    """A request from its send to its row."""

    __slots__ = (
        "correlation_id",
        "is_reported",
        "is_stream",
        "method",
        "name",
        "response",
        "started",
        "strike",
    )

    def __init__(self, method: str, name: str, correlation_id: str, is_stream: bool) -> None:
        self.method = method
        self.name = name
        self.correlation_id = correlation_id
        self.is_stream = is_stream
        self.is_reported = False
        self.response: Any = None  # once its head has come
        self.strike: Strike | None = None  # the injected fault that touched it
        self.started = perf_counter()


class Hook:
    """Stands for the request event in one session: fires it with Streamlab's detail."""

    def __init__(self, session: Recording, hook: Any) -> None:
        self._session = session
        self._hook = hook

    def fire(self, **event: Any) -> None:
        """Fire the event, unless the request has its row; a block names its request itself."""
        session = self._session
        flight = event.get("streamlab")
        if flight is None and (flight := session.flights.get(getcurrent())) is not None:
            event["response_time"] -= session.waited_ms()
        if flight is not None:
            if flight.is_reported:
                return
            flight.is_reported = True
            event["streamlab"] = session.detail(flight, event)
        self._hook.fire(**event)


class Block:
    """The answer inside a ``with`` block; however the block ends, the request gets its row.

    Stands before Locust's ``ResponseContextManager``.
    """

    session: Recording
    flight: Flight
    request_meta: Any
    _manual_result: Any
    _request_event: Any

    def __exit__(self, exc: Any, value: Any, traceback: Any) -> Any:
        leave: Any = super().__exit__  # type: ignore[misc]
        if exc is None or self._manual_result is not None or isinstance(value, ResponseError):
            return leave(exc, value, traceback)
        if isinstance(value, CONTROL_EXCEPTIONS):
            # Leaving a task early says nothing about the answer.
            leave(None, None, None)
        elif isinstance(value, (Exception, Timeout)):
            self.request_meta["exception"] = value
            self._request_event.fire(**self.request_meta)
        else:
            self.session.interrupt(self.flight)
        return False


class Recording:
    """The part of a session that records; stands before Locust's session class."""

    flights: dict[Any, Flight]
    hook: Hook
    user: Any  # a RecordedUser; Locust knows it as a User
    request_name: str | None
    timeouts: ClassVar[tuple[type[BaseException], ...]] = (TimeoutError, Timeout)
    # How the client's library calls the bodies of a read answer and of a sent request.
    content_attribute: ClassVar[str]
    body_attribute: ClassVar[str]

    @classmethod
    def adopt(cls, session: Any, user: RecordedUser) -> Any:
        """Return a session with everything that Locust's *session* was made with."""
        adopted: Any = cls.__new__(cls)
        adopted.__dict__.update(session.__dict__)
        adopted.flights = {}
        adopted.hook = adopted.request_event = Hook(adopted, session.request_event)
        adopted.user = user
        return adopted

    def waited_ms(self) -> float:
        """Return for how long the answer that was just read had waited for us."""
        return 0.0

    def identify(self, headers: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]]:
        """Return the correlation id of a request, and its headers with that id and, if wanted, a trace."""
        user = self.user
        name = user.correlation_header
        if not headers and not user.trace_context:
            correlation_id = new_id()
            return correlation_id, {name: correlation_id}
        completed = dict(headers or {})
        given = _value(completed, name)
        trace_id = None
        if user.trace_context:
            parent = _value(completed, "traceparent")
            if parent is None:
                trace_id = new_id()
                completed["traceparent"] = traceparent(trace_id)
            else:
                trace_id = trace_id_of(parent)
        correlation_id = trace_id or given or new_id()
        if given is None:
            completed[name] = correlation_id
        return correlation_id, completed

    def report_broken(self, flight: Flight, error: BaseException) -> None:
        """Record a request that ended in an exception, for which Locust fires nothing."""
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

    def detail(self, flight: Flight, event: dict[str, Any]) -> Detail:
        """Return what is known of a request beyond Locust's *event*."""
        response, error = event["response"], event["exception"]
        user = self.user
        payload = status = None
        if response is not None:
            status = response.status_code or None
            if not flight.is_stream:
                content = getattr(response, self.content_attribute, None)
                payload = user.capture.answer(response.headers, content)
            if payload is None and user.captures_requests and (request := response.request) is not None:
                payload = user.capture.request(request.headers, getattr(request, self.body_attribute, None))
        detail = Detail(
            "http",
            flight.method,
            "out",
            user.class_name,
            None,
            None,
            payload,
            "timeout" if error is not None and self.is_timeout(error) else None,
            status,
            flight.correlation_id,
        )
        return detail if flight.strike is None else flight.strike.marked(detail)

    def is_timeout(self, error: Any) -> bool:
        """Tell whether *error* is a timeout, also inside the wrapper that a client library puts around it."""
        return isinstance(getattr(error, "original", error), self.timeouts)

    def interrupt(self, flight: Flight) -> None:
        """Record a request that its user did not live to see the end of."""
        if not flight.is_reported:
            flight.is_reported = True
            detail = Detail(
                "http",
                flight.method,
                user_class=self.user.class_name,
                correlation_id=flight.correlation_id,
            )
            if flight.strike is not None:
                detail = flight.strike.marked(detail)
            interrupted(self.user, flight.method, flight.name, flight.started, detail)


class RecordedUser(User):
    """What `HttpUser` and `RequestsUser` have in common; stands before Locust's class.

    Raises:
        StopTest: There is no `host`, `captured_types` is not a tuple, or `faults` no `Faults`.
    """

    abstract = True

    correlation_header: str = "X-Correlation-ID"
    trace_context: bool = False  # send a traceparent; its trace id is then the correlation id
    captured_types: tuple[str, ...] = ("json", "x-www-form-urlencoded")  # parts of media types, lower case
    captures_requests: bool = False  # keep what was sent where the answer has nothing to keep
    event_limit_bytes: int = 1024 * 1024
    faults: Faults | None = None
    session_class: ClassVar[type[Recording]]
    client: Any

    def __init__(self, environment: Any) -> None:
        self.class_name = type(self).__name__
        try:
            self.capture = _checked(self, self.host)
        except ValueError as error:
            refuse(self, environment, error)
        super().__init__(environment)
        self.client = self.session_class.adopt(self.client, self)
        self.injector = injector.of(self)
        self.is_over = False
        self.streams: set[EventStream] = set()  # open ones

    @classmethod
    def check_options(cls, host: str | None) -> list[str]:
        """Check what its users will have, with *host* as theirs; return a line for what has no effect.

        Raises:
            ValueError: Something cannot be used; the text begins with the attribute's name.
        """
        _checked(cls, host)
        return injector.idle(cls.faults, "http")

    def stream_events(
        self,
        url: str,
        name: str | None = None,
        *,
        idle_timeout_s: float = 60.0,
        reconnects: int = 0,
        **request: Any,
    ) -> EventStream:
        """Return a stream of server-sent events: enter it with ``with`` and iterate over it.

        Args:
            url: As for any request.
            name: Under which the stream and its events are recorded; *url* by default.
            idle_timeout_s: The stream ends as a timeout when nothing came for so long.
            reconnects: Connect again after a loss, at most so often without an event in between.
            request: What else the request needs: ``method``, ``headers``, ``json``, ``data``, …

        Raises:
            ValueError: *idle_timeout_s* is not above 0, or *reconnects* below 0.
        """
        if not idle_timeout_s > 0:
            raise ValueError(f"idle_timeout_s must be above 0, got {idle_timeout_s}")
        if reconnects < 0:
            raise ValueError(f"reconnects must not be below 0, got {reconnects}")
        return EventStream(self, url, name, idle_timeout_s, reconnects, request)

    def start(self, group: Any) -> Any:
        """Start the user's greenlet, as Locust does, and see to what it leaves behind."""
        greenlet = super().start(group)
        greenlet.rawlink(self._ended)
        return greenlet

    def _ended(self, _greenlet: object) -> None:
        """Settle what greenlets of the user's own still have under way; runs in the hub."""
        self.is_over = True
        for flight in tuple(self.client.flights.values()):
            self.client.interrupt(flight)
        for stream in tuple(self.streams):
            closers(self.environment).spawn(stream.abandon)


def _checked(options: Any, host: str | None) -> Capture:
    """Return what is kept of bodies by the attributes of a user, or of its class.

    Raises:
        ValueError: An attribute cannot be used; the text begins with its name.
    """
    if host is None:
        raise ValueError("host must be a http:// or https:// URL, got None; set it, or use --host")
    injector.check(options.faults)
    return Capture(options.captured_types)


def _value(headers: Mapping[str, Any], wanted: str) -> str | None:
    """Return the value of a header, whatever the case of its name."""
    wanted = wanted.lower()
    found = next((value for name, value in headers.items() if name.lower() == wanted), None)
    return found.decode("latin-1") if isinstance(found, bytes) else found
