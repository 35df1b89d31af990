"""A stream of server-sent events as load: how it opens, each event, how it ends, all recorded.

The stream is read in the greenlet that iterates over it. Events that came with one read are recorded
together, before the first of them is handed out: what was received counts, also if the task leaves early.
"""

from __future__ import annotations

import random
from collections import deque
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import gevent

from streamlab_plugin.core.record import Detail
from streamlab_plugin.users.clock import epoch_s
from streamlab_plugin.users.event_parser import EventParser, EventTooLargeError, ServerEvent
from streamlab_plugin.users.report import fire_aside

if TYPE_CHECKING:
    from streamlab_plugin.users.http_recording import RecordedUser

# Between two attempts: what the server said, else this; doubled with each attempt in vain, up to the limit.
_RETRY_S = 1.0
_RETRY_LIMIT_S = 30.0
_HEADERS = {
    "Accept": "text/event-stream",
    "Accept-Encoding": "identity",
    "Cache-Control": "no-store",
}
_SENDABLE = frozenset(range(0x20, 0x7F)) | frozenset(range(0x80, 0x100))


class EventStream:
    """Iterate over the events of a stream; made by ``stream_events`` of a user, which says what it takes.

    What the server does never raises: a stream that cannot be opened has no events.
    """

    def __init__(
        self,
        user: RecordedUser,
        url: str,
        name: str | None,
        idle_timeout_s: float,
        reconnects: int,
        request: dict[str, Any],
    ) -> None:
        self.count = 0  # events so far
        self.first_event_ms: float | None = None  # from the first request to the first event
        self.last_event_id = ""
        self._user = user
        self._url = url
        self._name = name or user.client.request_name or url
        self._idle_timeout_s = idle_timeout_s
        self._reconnects = self._attempts_left = reconnects
        self._request = dict(request)
        self._method = self._request.pop("method", "GET")
        self._headers = self._request.pop("headers", None) or {}
        self._ready: deque[ServerEvent] = deque()
        self._retry_s = _RETRY_S
        self._is_begun = self._is_over = self._is_reading = False
        self._body: Any = None  # while there is a connection
        self._keeps_data = user.capture.keeps("application/json")

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._body is not None

    # For tasks

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, exc: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ServerEvent:
        self._begin()
        while not self._ready:
            if self._body is not None:
                self._read()
            elif self._is_over or self._attempts_left == 0:
                raise StopIteration
            else:
                self._reconnect()
        return self._ready.popleft()

    def close(self) -> None:
        """End the stream; for who does not use ``with``."""
        self._is_over = True
        if self._body is not None:
            self._end("out")

    def abandon(self) -> None:
        """End the stream of a user that has ended, whose other greenlets may still read it."""
        self._is_over = True
        if self._body is not None:
            self._end("out", is_aside=True)

    # Opening

    def _begin(self) -> None:
        if not self._is_begun:
            self._is_begun = True
            self._open()

    def _reconnect(self) -> None:
        in_vain = self._reconnects - self._attempts_left
        self._attempts_left -= 1
        delay_s = min(self._retry_s * 2.0 ** min(in_vain, 10), _RETRY_LIMIT_S)
        gevent.sleep(delay_s * random.uniform(1.0, 1.25))  # not all users at once
        if not self._is_over:
            self._open()

    def _open(self) -> None:
        client = self._user.client
        headers = {**_HEADERS, **self._headers}
        if last_id := _as_header(self.last_event_id):
            headers["Last-Event-ID"] = last_id
        options = {**client.stream_options(self._idle_timeout_s), **self._request}
        self._previous_at = perf_counter()  # of the first gap: the time to the first event
        self._connection_count = 0
        with client.request(
            self._method, self._url, self._name, catch_response=True, stream=True, headers=headers, **options
        ) as response:
            problem = _problem(response)
            if problem is not None:
                response.failure(problem)
            self._correlation_id = response.flight.correlation_id
            body = client.body(response, self._idle_timeout_s)
            if response.status_code == 200 and problem is None and not self._user.is_over:
                self._body = body
                self._user.streams.add(self)
            else:
                body.close()
                # Only a connection that was not made may be tried again: an answer is an answer.
                self._is_over = self._user.is_over or bool(response.status_code)
        self._parser = EventParser(self._user.event_limit_bytes, self.last_event_id)

    # Reading

    def _read(self) -> None:
        body = self._body
        self._is_reading = True
        try:
            chunk = body.read()
        except self._user.client.read_errors as error:
            chunk, failure = b"", error
        else:
            failure = None
        finally:
            self._is_reading = False
        if self._body is not body:
            body.close()  # abandoned meanwhile, and recorded
        elif failure is not None:
            self._end("in", failure)
        elif not chunk:
            self._end("in")
        else:
            self._arrived(chunk)

    def _arrived(self, chunk: bytes) -> None:
        now = perf_counter()
        try:
            for event in self._parser.feed(chunk):
                self._count(event, now)
        except EventTooLargeError as error:
            self._is_over = True
            self._end("in", error)
        self.last_event_id = self._parser.last_id
        if self._parser.retry_ms is not None:
            self._retry_s = self._parser.retry_ms / 1000.0

    def _count(self, event: ServerEvent, now: float) -> None:
        gap_ms = (now - self._previous_at) * 1000.0
        is_first = self._connection_count == 0
        if self.count == 0:
            self.first_event_ms = gap_ms
        self.count += 1
        self._connection_count += 1
        self._attempts_left = self._reconnects
        self._ready.append(event)
        payload = event.raw if self._keeps_data and event.raw.startswith((b"{", b"[")) else None
        self._user.environment.events.request.fire(
            request_type="SSE-FIRST" if is_first else "SSE",
            name=self._name,
            response_time=gap_ms,
            response_length=len(event.raw),
            exception=None,
            context=self._user.context(),
            start_time=epoch_s(self._previous_at),
            streamlab=self._detail("first_event" if is_first else "event", "in", payload),
        )
        self._previous_at = now

    # Ending

    def _end(self, direction: str, error: Exception | None = None, *, is_aside: bool = False) -> None:
        """Let the connection go and record how it ended."""
        body, self._body = self._body, None
        self._user.streams.discard(self)
        if self._is_reading:
            body.abort()  # the reading greenlet lets it go
        else:
            body.close()
        is_timeout = error is not None and self._user.client.is_timeout(error)
        if is_timeout:
            error = TimeoutError("nothing came in time")
        event: dict[str, Any] = {
            "request_type": "SSE-CLOSE",
            "name": self._name,
            "response_time": None,
            "response_length": 0,
            "exception": error,
            "context": self._user.context(),
            "start_time": epoch_s(perf_counter()),
            "streamlab": self._detail("close", direction, outcome="timeout" if is_timeout else None),
        }
        if is_aside:
            fire_aside(self._user, **event)
        else:
            self._user.environment.events.request.fire(**event)

    def _detail(
        self, operation: str, direction: str, payload: bytes | None = None, outcome: str | None = None
    ) -> Detail:
        return Detail(
            "http",
            operation,
            direction,
            self._user.class_name,
            payload=payload,
            outcome=outcome,
            correlation_id=self._correlation_id,
        )


def _problem(response: Any) -> str | None:
    """Return why an answer that is a success for HTTP is no event stream."""
    if response.status_code != 200:
        return None
    media_type = str(response.headers.get("content-type")).partition(";")[0].strip().lower()
    if media_type != "text/event-stream":
        return "the answer is no event stream"
    if (response.headers.get("content-encoding") or "identity") != "identity":
        return "the event stream is compressed, although identity was asked for"
    return None


def _as_header(event_id: str) -> str:
    """Return an event's id as a header's value (UTF-8), or nothing where no header can have it."""
    data = event_id.encode()
    return data.decode("latin-1") if data == data.strip() and _SENDABLE.issuperset(data) else ""
