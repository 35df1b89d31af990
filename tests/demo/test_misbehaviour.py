"""Each misbehaviour, seen by plain clients that run through one short schedule."""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from target_process import Target, started
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

DURATION_S = 12
# An answer that was asked for this close to an edge may fall on either side of it.
EDGE_S = 0.1
WAIT_S = 10


@dataclass
class Seen:
    """One exchange: when it began (seconds of the schedule), how long it took, what came back."""

    at_s: float
    took_ms: float
    status: int = 0
    answer: Any = None

    def lies_in(self, begin_s: float, end_s: float) -> bool:
        """Whether it began and ended between the two."""
        return begin_s <= self.at_s and self.at_s + self.took_ms / 1000 < end_s


@dataclass
class Story:
    """What the clients saw in one run, by endpoint."""

    target: Target
    seen: dict[str, list[Seen]] = field(default_factory=dict)

    def split(self, kind: str, endpoint: str) -> tuple[list[Seen], list[Seen]]:
        """Return what was seen on *endpoint* inside and outside the window of *kind*.

        An exchange that was under way at an edge belongs to neither: a machine under load may hold one
        for half a second.
        """
        at_s, until_s = (self.target.entry(kind)[key] for key in ("at_s", "until_s"))
        seen = self.seen[endpoint]
        inside = [one for one in seen if one.lies_in(at_s + EDGE_S, until_s - EDGE_S)]
        outside = [one for one in seen if one.lies_in(0, at_s - EDGE_S) or one.at_s >= until_s + EDGE_S]
        return inside, outside


def run_http(target: Target, now: Callable[[], float], seen: dict[str, list[Seen]]) -> None:
    """Ask every endpoint in turn until the schedule is over."""
    connection = http.client.HTTPConnection("127.0.0.1", target.ready["http"], timeout=WAIT_S)
    calls: list[tuple[str, str, bytes | None]] = [
        ("GET", "/api/v1/items", None),
        ("POST", "/api/v1/orders", b"{}"),
        ("GET", "/api/v1/profile/user-0001", None),
        ("POST", "/api/v1/telemetry", b"{}"),
    ]
    while now() < DURATION_S:
        for method, path, body in calls:
            at_s = now()
            connection.request(method, path, body)
            response = connection.getresponse()
            answer = json.loads(response.read())
            one = Seen(at_s, (now() - at_s) * 1000, response.status, (answer, response.headers))
            seen.setdefault(path, []).append(one)
    connection.close()


def run_websocket(target: Target, now: Callable[[], float], seen: dict[str, list[Seen]]) -> None:
    """Send heartbeats on one connection, reconnecting when it is lost."""
    found = seen.setdefault("websocket", [])
    url = f"ws://127.0.0.1:{target.ready['ws']}/ws/mobile/sync/?device_id={uuid.uuid4()}"
    while now() < DURATION_S:
        with connect(url) as socket:
            while now() < DURATION_S:
                at_s, corr = now(), uuid.uuid4().hex
                try:
                    socket.send(json.dumps({"type": "heartbeat", "correlation_id": corr}))
                    while json.loads(socket.recv(timeout=WAIT_S))["correlation_id"] != corr:
                        pass
                except ConnectionClosedError as lost:
                    found.append(Seen(at_s, 0, 1006 if lost.rcvd is None else lost.rcvd.code))
                    break
                found.append(Seen(at_s, (now() - at_s) * 1000))


def run_mqtt(target: Target, now: Callable[[], float], seen: dict[str, list[Seen]]) -> None:
    """Publish to a slow and an ordinary topic every few ms, and time acknowledgement and delivery."""
    subscribed, acknowledged, delivered = threading.Event(), queue.Queue[float](), queue.Queue[int]()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    topics = [("devices/d/slow", 0), ("devices/d/telemetry", 0)]

    def on_message(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload)
        one = Seen(body["at_s"], (now() - body["at_s"]) * 1000, answer=body["number"])
        seen.setdefault(message.topic, []).append(one)
        delivered.put(body["number"])

    client.on_connect = lambda *_: client.subscribe(topics)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_publish = lambda *_: acknowledged.put(now())
    client.on_message = on_message
    client.connect("127.0.0.1", target.ready["mqtt"])
    client.loop_start()
    assert subscribed.wait(WAIT_S)
    number = 0
    while now() < DURATION_S:
        for topic, _ in topics:
            number += 1
            at_s = now()
            client.publish(topic, json.dumps({"at_s": at_s, "number": number}), qos=1)
            took_ms = (acknowledged.get(timeout=WAIT_S) - at_s) * 1000
            seen.setdefault("acknowledgements", []).append(Seen(at_s, took_ms))
        time.sleep(0.02)  # the pace of the load
    # An acknowledgement may overtake its delivery: whoever leaves at once misses the last ones.
    for _ in range(number):
        delivered.get(timeout=WAIT_S)
    client.disconnect()
    client.loop_stop()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Return what three clients saw in one run, after a clean end of the target."""
    log = tmp_path_factory.mktemp("misbehaviour") / "oracle.jsonl"
    target = started(log, "--duration", str(DURATION_S), "--seed", "7")
    story = Story(target)
    target.get_json("/api/v1/items")  # starts the schedule
    began = time.monotonic() - target.get_json("/demo/schedule")["elapsed_s"]
    threads = [
        threading.Thread(target=client, args=(target, lambda: time.monotonic() - began, story.seen))
        for client in (run_http, run_websocket, run_mqtt)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=DURATION_S + 2 * WAIT_S)
    assert target.stop() == 0
    yield story
    assert target.process.stdout is not None
    target.process.stdout.close()


class TestHttpMisbehaviour:
    """Windows of the HTTP API."""

    def test_items_are_slow_in_their_window_only(self, story: Story) -> None:
        """Slower by at least what the schedule says; quick before and after."""
        inside, outside = story.split("latency_spike", "/api/v1/items")
        assert inside
        assert min(one.took_ms for one in inside) >= story.target.entry("latency_spike")["delay_ms"]
        assert sorted(one.took_ms for one in outside)[len(outside) // 2] < 100
        assert {one.status for one in inside + outside} == {200}

    def test_other_endpoints_stay_quick_in_that_window(self, story: Story) -> None:
        """One endpoint is slow, not the server."""
        inside, _ = story.split("latency_spike", "/api/v1/telemetry")
        assert inside
        assert min(one.took_ms for one in inside) < 100

    def test_orders_get_429_with_retry_after(self, story: Story) -> None:
        """Each of the window, none outside."""
        inside, outside = story.split("rate_limit", "/api/v1/orders")
        assert {one.status for one in inside} == {429}
        assert all(one.answer[1]["Retry-After"] == "1" for one in inside)
        assert {one.status for one in outside} == {201}

    def test_profiles_get_503(self, story: Story) -> None:
        """Each of the window, none outside."""
        inside, outside = story.split("server_errors", "/api/v1/profile/user-0001")
        assert {one.status for one in inside} == {503}
        assert {one.status for one in outside} == {200}

    def test_telemetry_renames_a_field_for_good(self, story: Story) -> None:
        """One shape before, another after, nothing else changed."""
        after, before = story.split("field_rename", "/api/v1/telemetry")
        shapes = [{frozenset(one.answer[0]) for one in part} for part in (before, after)]
        assert [len(part) for part in shapes] == [1, 1]
        assert {"quality_score"} == set(*shapes[0]) - set(*shapes[1])
        assert {"qualityScore"} == set(*shapes[1]) - set(*shapes[0])
        assert len(before) >= 50


class TestWebSocketMisbehaviour:
    """Cut connections."""

    def test_connections_are_cut_without_a_close_frame_in_the_window_only(self, story: Story) -> None:
        """The client sees 1006 several times, and only then."""
        inside, outside = story.split("websocket_drops", "websocket")
        assert len([one for one in inside if one.status == 1006]) >= 3
        assert {one.status for one in outside} == {0}

    def test_a_cut_message_is_in_the_log(self, story: Story) -> None:
        """The target has seen every message that a client has sent, also those it answered with a cut."""
        assert len(story.seen["websocket"]) == len(story.target.lines(what="message"))
        cut = [one for one in story.seen["websocket"] if one.status == 1006]
        assert len(cut) == len(story.target.lines(what="drop"))


class TestMqttMisbehaviour:
    """The slow topic."""

    def test_deliveries_are_slow_in_the_window_only(self, story: Story) -> None:
        """Slower by at least what the schedule says; quick before and after."""
        inside, outside = story.split("slow_topic", "devices/d/slow")
        assert inside
        assert min(one.took_ms for one in inside) >= story.target.entry("slow_topic")["delay_ms"]
        # What is published just after the window waits for what was published in it, hence the median.
        assert sorted(one.took_ms for one in outside)[len(outside) // 2] < 50

    def test_other_topics_and_acknowledgements_stay_quick(self, story: Story) -> None:
        """Only the delivery of that topic is held back."""
        for what in ("devices/d/telemetry", "acknowledgements"):
            inside, _ = story.split("slow_topic", what)
            assert inside
            assert sorted(one.took_ms for one in inside)[len(inside) // 2] < 50

    def test_nothing_is_lost_doubled_or_reordered(self, story: Story) -> None:
        """Each topic delivers what was published, in order, also over the edges of the window."""
        published = len(story.target.lines(what="publish"))
        for topic in ("devices/d/slow", "devices/d/telemetry"):
            numbers = [one.answer for one in story.seen[topic]]
            assert numbers == sorted(set(numbers))
            assert len(numbers) == len(story.target.lines(what="deliver", endpoint=topic)) == published // 2
