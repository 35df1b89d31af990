"""What the target answers while all is well, and what its log says about it."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from target_process import Target, started
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from streamlab_plugin.demo.person import personal_values

WAIT_S = 10


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Return a target whose first window is minutes away."""
    target = started(tmp_path_factory.mktemp("answers") / "oracle.jsonl", "--duration", "3000")
    yield target
    target.process.kill()
    target.process.wait()
    assert target.process.stdout is not None
    target.process.stdout.close()


@pytest.fixture
def http_client(target: Target) -> Iterator[http.client.HTTPConnection]:
    """Return a connection that is kept alive through a test."""
    connection = http.client.HTTPConnection("127.0.0.1", target.ready["http"], timeout=WAIT_S)
    yield connection
    connection.close()


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: object = None, **headers: str
) -> tuple[http.client.HTTPResponse, Any]:
    """Return response and JSON body of one request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    connection.request(method, path, data, headers)
    response = connection.getresponse()
    return response, json.loads(response.read())


def noted(target: Target, **wanted: object) -> list[dict[str, Any]]:
    """Return the wanted lines of the log, waiting for its next flush."""
    deadline = time.monotonic() + WAIT_S
    while not (lines := target.lines(**wanted)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return lines


class TestHttp:
    """The HTTP API."""

    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("GET", "/api/v1/items", None, 200),
            ("GET", "/api/v1/items/17", None, 200),
            ("POST", "/api/v1/orders", {"quantity": 1}, 201),
            ("GET", "/api/v1/profile/user-0003", None, 200),
            ("POST", "/api/v1/telemetry", {"duration_ms": 1}, 202),
        ],
    )
    def test_answers_with_personal_data(
        self, http_client: http.client.HTTPConnection, method: str, path: str, body: object, status: int
    ) -> None:
        """Each endpoint has something that must not be kept."""
        response, answer = ask(http_client, method, path, body)
        assert status == response.status
        assert any(value in json.dumps(answer) for value in personal_values(7))

    def test_keeps_the_connection_and_echoes_the_correlation_id(
        self, http_client: http.client.HTTPConnection
    ) -> None:
        """Three requests, one socket."""
        sockets, echoes = set(), []
        for number in range(3):
            response, _ = ask(http_client, "GET", "/api/v1/items", **{"X-Correlation-ID": f"c-{number}"})
            echoes.append(response.headers["X-Correlation-ID"])
            sockets.add(http_client.sock)
        assert echoes == ["c-0", "c-1", "c-2"]
        assert len(sockets) == 1

    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("GET", "/nothing", None, 404),
            ("GET", "/api/v1/items/1/2", None, 404),
            ("DELETE", "/api/v1/items", None, 405),
            ("POST", "/api/v1/orders", b"{not json", 400),
            ("POST", "/api/v1/orders", [1], 400),
            ("POST", "/api/v1/orders", b"x" * (1024 * 1024 + 1), 413),
        ],
    )
    def test_refuses_what_it_does_not_offer(
        self, http_client: http.client.HTTPConnection, method: str, path: str, body: object, status: int
    ) -> None:
        """With the status that says why."""
        response, answer = ask(http_client, method, path, body)
        assert (status, "error") == (response.status, answer["status"])

    def test_something_else_than_http_is_refused(self, target: Target) -> None:
        """With a 400, and the connection ends."""
        with socket.create_connection(("127.0.0.1", target.ready["http"]), timeout=WAIT_S) as stranger:
            stranger.sendall(b"\x00\x01 what?\r\n\r\n")
            said = b"".join(iter(lambda: stranger.recv(4096), b""))
        assert said.startswith(b"HTTP/1.1 400 ")

    def test_a_request_in_small_pieces_is_understood(self, target: Target) -> None:
        """Byte by byte, as a slow network would bring it, chunked body included."""
        request = (
            b"POST /api/v1/telemetry HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b'Connection: close\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'
        )
        with socket.create_connection(("127.0.0.1", target.ready["http"]), timeout=WAIT_S) as slow:
            slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in request:
                slow.sendall(bytes([byte]))
            said = b"".join(iter(lambda: slow.recv(4096), b""))
        assert said.startswith(b"HTTP/1.1 202 ")

    def test_the_log_has_correlation_id_number_and_status(
        self, target: Target, http_client: http.client.HTTPConnection
    ) -> None:
        """The number may be in the query or in the body."""
        ask(http_client, "GET", "/api/v1/profile/user-1?seq=q-1", **{"X-Correlation-ID": "p"})
        ask(http_client, "POST", "/api/v1/orders", {"seq": "b-1"}, **{"X-Correlation-ID": "o"})
        found = noted(target, corr="p") + noted(target, corr="o")
        expected = [("/api/v1/profile/{id}", "q-1", 200), ("/api/v1/orders", "b-1", 201)]
        assert expected == [(line["endpoint"], line["seq"], line["status"]) for line in found]


class TestWebSocket:
    """The sync endpoint."""

    def test_replies_carry_the_correlation_id_and_pushes_count_up(self, target: Target) -> None:
        """A heartbeat, a sync, and the next two pushes; the log has all of it."""
        with connect(f"ws://127.0.0.1:{target.ready['ws']}/ws/mobile/sync/?device_id=d-1") as socket_:
            replies, pushes = [], []
            for kind in ("heartbeat", "sync"):
                socket_.send(json.dumps({"type": kind, "correlation_id": f"c-{kind}", "seq": kind}))
            while len(replies) < 2 or len(pushes) < 2:
                message = json.loads(socket_.recv(timeout=WAIT_S))
                (pushes if message["type"] == "push" else replies).append(message)
        assert [reply["correlation_id"] for reply in replies] == ["c-heartbeat", "c-sync"]
        assert [push["push_seq"] for push in pushes] == [1, 2]
        assert all(push["user"]["email"] in personal_values(7) for push in pushes)
        noted(target, stream="d-1", what="push", seq=2)
        assert len(target.lines(stream="d-1", what="connect")) == 1
        seen = [(line["corr"], line["seq"]) for line in target.lines(stream="d-1", what="message")]
        assert seen == [("c-heartbeat", "heartbeat"), ("c-sync", "sync")]
        sent = [(line["corr"], line["seq"]) for line in target.lines(stream="d-1", what="push")]
        assert [(push["correlation_id"], push["push_seq"]) for push in pushes] == sent

    def test_pushes_go_on_counting_after_a_reconnect(self, target: Target) -> None:
        """A push is identified by device and number for the whole run."""
        numbers = []
        for _ in range(2):
            with connect(f"ws://127.0.0.1:{target.ready['ws']}/ws/mobile/sync/?device_id=d-2") as socket_:
                numbers.append(json.loads(socket_.recv(timeout=WAIT_S))["push_seq"])
        assert numbers == [1, 2]

    @pytest.mark.parametrize("message", ["{broken", "[1]", '{"type": "dance"}'])
    def test_nonsense_is_answered_with_an_error(self, target: Target, message: str) -> None:
        """And the connection lives on."""
        with connect(f"ws://127.0.0.1:{target.ready['ws']}/ws/mobile/sync/?device_id=d-3") as socket_:
            socket_.send(message)
            assert json.loads(socket_.recv(timeout=WAIT_S))["type"] == "error"
            socket_.send('{"type": "heartbeat"}')
            assert json.loads(socket_.recv(timeout=WAIT_S))["type"] == "heartbeat"

    @pytest.mark.parametrize(("path", "status"), [("/", 404), ("/ws/mobile/sync/", 400)])
    def test_other_paths_and_nameless_devices_are_refused(
        self, target: Target, path: str, status: int
    ) -> None:
        """With an HTTP status instead of an upgrade."""
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{target.ready['ws']}{path}").close()
        assert status == refused.value.response.status_code


class TestMqtt:
    """The broker."""

    @pytest.mark.parametrize("qos", [0, 1, 2])
    def test_delivers_and_notes_publish_and_delivery(self, target: Target, qos: int) -> None:
        """One publish, one subscriber, one line each."""
        topic, client_id, received = f"devices/m-{qos}/telemetry", f"sensor-{qos}", queue.Queue[bytes]()
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        client.on_subscribe = lambda *_: client.publish(
            topic, json.dumps({"stream": client_id, "stream_seq": 5, "x": 1}), qos=qos
        )
        client.on_connect = lambda *_: client.subscribe(topic, qos=0)
        client.on_message = lambda _client, _data, message: received.put(message.payload)
        client.connect("127.0.0.1", target.ready["mqtt"])
        client.loop_start()
        try:
            assert json.loads(received.get(timeout=WAIT_S))["x"] == 1
        finally:
            client.disconnect()
            client.loop_stop()
        for what in ("publish", "deliver"):
            found = noted(target, what=what, endpoint=topic)
            expected = [(client_id, client_id, 5)]
            assert expected == [(line["client"], line["stream"], line["seq"]) for line in found]
        assert len(noted(target, protocol="mqtt", what="connect", client=client_id)) == 1


class TestOracle:
    """The log as a whole."""

    def test_no_personal_value_gets_into_it(self, target: Target) -> None:
        """After everything above, and an order that brings one along."""
        target.get_json("/api/v1/profile/user-0001?seq=marker")
        noted(target, seq="marker")
        text = Path(target.log).read_text()
        assert [value for value in personal_values(7) if value in text] == []
