"""Locust's FastHttpUser, recorded in full; what is common to our HTTP users is in `http_recording`."""

from __future__ import annotations

from typing import Any

from geventhttpclient.client import HTTPClientPool
from geventhttpclient.response import HTTPParseError
from greenlet import getcurrent
from locust import FastHttpUser
from locust.contrib.fasthttp import FastHttpSession, ResponseContextManager

from streamlab_plugin.users import http_arrival, http_faults
from streamlab_plugin.users.http_body import FastBody
from streamlab_plugin.users.http_recording import Block, Flight, RecordedUser, Recording


class _FastBlock(Block, ResponseContextManager):  # type: ignore[misc]
    def __init__(self, response: Any, session: Session, flight: Flight) -> None:
        response.request_meta["response_time"] -= session.waited_ms()
        super().__init__(response, session.hook, response.request_meta, True)
        self.request_meta["streamlab"] = flight
        self.session = session
        self.flight = flight


class Session(Recording, FastHttpSession):
    """A FastHttpSession whose requests carry a correlation id and always get a row."""

    content_attribute = "_cached_content"
    body_attribute = "payload"
    read_errors = (OSError, HTTPParseError)

    @classmethod
    def adopt(cls, session: Any, user: RecordedUser) -> Session:
        """Return a session with everything that Locust's *session* was made with."""
        adopted: Session = super().adopt(session, user)
        adopted.client._conversation_str = _read_failed  # type: ignore[method-assign, assignment]
        if type(adopted.client.clientpool) is HTTPClientPool:
            adopted.client.clientpool.__class__ = http_arrival.NotingPool
        return adopted

    def waited_ms(self) -> float:
        """Return for how long the answer that was just read had waited for us."""
        return http_arrival.waited_ms()

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
        struck_by = None if self.user.injector is None else self.user.injector.strike(method.upper())
        correlation_id, headers = self.identify(headers)
        flight = Flight(method, name or self.request_name or url, correlation_id, stream)
        flight.strike = struck_by
        current = getcurrent()
        flights = self.flights
        flights[current] = flight
        http_arrival.forget()
        try:
            response = super().request(
                method, url, name, data, catch_response, stream, headers, *rest, **kwargs
            )
        except Exception as error:
            # Locust fires nothing for a body that it cannot decode; before the answer nothing was seen.
            if flight.response is not None:
                self.report_broken(flight, error)
            raise
        except BaseException:
            self.interrupt(flight)
            raise
        finally:
            flights.pop(current, None)
        return _FastBlock(response, self, flight) if catch_response else response

    def _send_request_safe_mode(self, method: str, url: str, **kwargs: Any) -> Any:
        flight = self.flights.get(getcurrent())
        transmit = super()._send_request_safe_mode
        if flight is None or flight.strike is None:
            response = transmit(method, url, **kwargs)
        else:
            response = http_faults.send(self, flight.strike, transmit, method, url, kwargs)
        if flight is not None:
            flight.response = response
        return response

    def stream_options(self, _idle_timeout_s: float) -> dict[str, Any]:
        """Return what the request for a stream needs beside what any client needs."""
        return {}

    def body(self, response: Any, idle_timeout_s: float) -> FastBody:
        """Return the body of an answer that was asked for with ``stream``."""
        return FastBody(response, idle_timeout_s)


class HttpUser(RecordedUser, FastHttpUser):
    """Locust's FastHttpUser, recorded in full: correlation id, status, JSON answer, and interrupted requests.

    An exception inside a ``with`` block (``catch_response=True``) is recorded as an error, where plain
    FastHttpUser fires nothing.
    """

    abstract = True

    session_class = Session
    client: Session


def _read_failed(_url: str, response: Any, **_payload: Any) -> str:
    """Read the body of an answer with a bad status, while its connection is still ours.

    Takes the place of geventhttpclient's text of the exchange, which nobody reads here, and which raises in
    the task, without a row, where the body is no UTF-8.
    """
    try:
        _ = response.content
    except Session.read_errors:
        raise
    except Exception:  # noqa: BLE001, S110 - a decoder's; Locust meets it again, then with the answer at hand
        pass
    return ""
