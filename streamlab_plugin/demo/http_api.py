"""The target's HTTP API: what each request is answered with.

Every endpoint has one shape of success, personal data beside harmless fields; only the scheduled rename
changes a shape. Nothing here waits or writes: `Answer.delay_s` says how long to hold the answer back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from streamlab_plugin.demo.oracle import number_or_none
from streamlab_plugin.demo.person import Person
from streamlab_plugin.demo.scene import Scene
from streamlab_plugin.demo.schedule import ITEM, ITEMS, ORDERS, PROFILE, TELEMETRY

SCHEDULE = "/demo/schedule"


@dataclass(frozen=True, slots=True)
class Request:
    """One complete request; header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back, as JSON, after ``delay_s`` seconds."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


class HttpApi:
    """Answer requests and note each in the log."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._orders = 0
        self._routes: dict[str, tuple[str, Callable[[str, Any], Answer]]] = {
            ITEMS: ("GET", self._items),
            ITEM: ("GET", self._item),
            ORDERS: ("POST", self._order),
            PROFILE: ("GET", self._profile),
            TELEMETRY: ("POST", self._telemetry),
        }

    def answer(self, request: Request) -> Answer:
        """Return the answer to *request*; the first one starts the schedule."""
        path, query = _split(request.target)
        if path == SCHEDULE:
            return Answer(200, self._scene.timeline.as_json())
        self._scene.timeline.begin()
        endpoint, argument = _endpoint(path)
        body, is_json = _decode(request.body)
        seq = number_or_none(query.get("seq") or (body.get("seq") if isinstance(body, dict) else None))
        corr = request.headers.get("x-correlation-id")
        answer = self._route(request.method, endpoint, argument, body, is_json)
        self._scene.oracle.note("http", "request", endpoint, corr=corr, seq=seq, status=answer.status)
        return answer

    def _route(self, method: str, endpoint: str, argument: str, body: object, is_json: bool) -> Answer:
        if endpoint not in self._routes:
            return _error(404, "there is nothing here")
        allowed, handle = self._routes[endpoint]
        if method != allowed:
            return _error(405, f"use {allowed}", {"Allow": allowed})
        if allowed == "POST" and not (is_json and isinstance(body, dict)):
            return _error(400, "the body must be a JSON object")
        return handle(argument, body)

    def _items(self, _argument: str, _body: object) -> Answer:
        spike = self._scene.timeline.active("latency_spike")
        items = [_item(f"item-{number:03d}", self._scene.next_person()) for number in range(3)]
        body = {"status": "ok", "generated_at": time.time(), "items": items}
        return Answer(200, body, delay_s=spike.delay_ms / 1000 if spike else 0.0)

    def _item(self, item_id: str, _body: object) -> Answer:
        item = _item(item_id, self._scene.next_person())
        return Answer(200, {"status": "ok", "generated_at": time.time(), "item": item})

    def _order(self, _argument: str, _body: object) -> Answer:
        if self._scene.timeline.active("rate_limit"):
            return _error(429, "too many orders, slow down", {"Retry-After": "1"})
        person = self._scene.next_person()
        self._orders += 1
        customer = {
            "name": person.name,
            "email": person.email,
            "phone": person.phone,
            "address": person.address,
        }
        payment = {"iban": person.iban, "card": person.card}
        body = {
            "status": "accepted",
            "order_number": self._orders,
            "accepted_at": time.time(),
            "duration_ms": 12.5,
            "customer": customer,
            "payment": payment,
        }
        return Answer(201, body)

    def _profile(self, user_id: str, _body: object) -> Answer:
        if self._scene.timeline.active("server_errors"):
            return _error(503, "the profile store is not available")
        person = self._scene.person_of(user_id)
        body = {
            "status": "ok",
            "user_id": user_id,
            "name": person.name,
            "email": person.email,
            "phone": person.phone,
            "address": person.address,
            "latitude": person.latitude,
            "longitude": person.longitude,
            "access_token": person.token,
            "voice_sample": person.voice_sample,
            "voice_quality_score": 0.93,
            "updated_at": time.time(),
        }
        return Answer(200, body)

    def _telemetry(self, _argument: str, _body: object) -> Answer:
        person = self._scene.next_person()
        score = "qualityScore" if self._scene.timeline.active("field_rename") else "quality_score"
        body = {
            "status": "stored",
            "received_at": time.time(),
            score: 0.87,
            "duration_ms": 3.5,
            "latitude": person.latitude,
            "longitude": person.longitude,
            "operator_email": person.email,
        }
        return Answer(202, body)


def _item(item_id: str, owner: Person) -> dict[str, Any]:
    return {
        "item_id": item_id,
        "event_type": "listed",
        "quality_score": 0.91,
        "owner": {
            "name": owner.name,
            "email": owner.email,
            "latitude": owner.latitude,
            "longitude": owner.longitude,
        },
    }


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, {"status": "error", "error": message}, headers or {})


def _split(target: str) -> tuple[str, dict[str, str]]:
    """Return path and query of a request target; a target that is no URL is an unknown path."""
    try:
        parts = urlsplit(target)
        return parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()}
    except ValueError:
        return "", {}


def _endpoint(path: str) -> tuple[str, str]:
    """Return the template of *path* and the id in it; an unknown path keeps no text of the caller's."""
    if path in (ITEMS, ORDERS, TELEMETRY):
        return path, ""
    for template in (ITEM, PROFILE):
        prefix = template.removesuffix("{id}")
        argument = path.removeprefix(prefix)
        if path.startswith(prefix) and argument and "/" not in argument:
            return template, argument
    return "unknown", ""


def _decode(body: bytes) -> tuple[object, bool]:
    """Return the JSON value of *body* and whether it was JSON; no body is a null."""
    if not body:
        return None, True
    try:
        return msgspec.json.decode(body), True
    except msgspec.DecodeError:
        return None, False
