"""Locust's requests-based HttpUser, recorded like ours; what is common to both is in `http_recording`."""

from __future__ import annotations

from http.client import HTTPException
from typing import Any

import requests
import urllib3
from gevent import Timeout
from greenlet import getcurrent
from locust import HttpUser
from locust.clients import HttpSession, ResponseContextManager

from streamlab_plugin.users import http_requests_faults
from streamlab_plugin.users.http_body import RequestsBody
from streamlab_plugin.users.http_recording import Block, Flight, RecordedUser, Recording


class _RequestsBlock(Block, ResponseContextManager):
    """An answer of requests; Locust, too, changes the class of the object instead of copying it."""


class Session(Recording, HttpSession):
    """An HttpSession whose requests carry a correlation id and always get a row."""

    content_attribute = "_content"
    body_attribute = "body"
    timeouts = (*Recording.timeouts, requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)
    read_errors = (OSError, HTTPException, urllib3.exceptions.HTTPError)

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        name: str | None = None,
        catch_response: bool = False,
        *rest: Any,
        **kwargs: Any,
    ) -> Any:
        """Send a request; everything as in `HttpSession.request`."""
        struck_by = None if self.user.injector is None else self.user.injector.strike(method.upper())
        correlation_id, kwargs["headers"] = self.identify(kwargs.get("headers"))
        flight = Flight(method, name or self.request_name or url, correlation_id, bool(kwargs.get("stream")))
        flight.strike = struck_by
        current = getcurrent()
        flights = self.flights
        flights[current] = flight
        try:
            response: Any = super().request(method, url, name, catch_response, *rest, **kwargs)
        except (Exception, Timeout) as error:
            # Before the first answer, only a time limit of the task's own says that something was sent.
            if flight.response is not None or isinstance(error, Timeout):
                self.report_broken(flight, error)
            raise
        except BaseException:
            self.interrupt(flight)
            raise
        finally:
            flights.pop(current, None)
        if catch_response:
            response.__class__ = _RequestsBlock
            response.request_meta["streamlab"] = flight
            response.session, response.flight = self, flight
        return response

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Transmit a request; the redirects that follow its first answer come here, too."""
        flight = self.flights.get(getcurrent())
        if flight is None or flight.strike is None or flight.response is not None:
            return super().send(request, **options)
        return http_requests_faults.send(self, flight.strike, super().send, request, options)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where *resp* leads to; asked for each answer, also for one that leads nowhere."""
        if flight := self.flights.get(getcurrent()):
            flight.response = resp
        return super().get_redirect_target(resp)

    def stream_options(self, idle_timeout_s: float) -> dict[str, Any]:
        """Return what the request for a stream needs beside what any client needs."""
        return {"timeout": idle_timeout_s}

    def body(self, response: Any, _idle_timeout_s: float) -> RequestsBody:
        """Return the body of an answer that was asked for with ``stream``."""
        return RequestsBody(response)


class RequestsUser(RecordedUser, HttpUser):
    """Locust's HttpUser, which is based on requests, recorded in full like Streamlab's own `HttpUser`.

    It costs several times the processor time; take it for what only requests can do.
    """

    abstract = True

    session_class = Session
    client: Session
