"""What is stored is what the peer has counted, and the peer is not ours."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from harness import Place, ledger_is_balanced, summarise, wait_for
from ports import connect_until_up, free_ports
from users.mosquitto import Mosquitto
from users.nginx import running
from users.ws_peer import node

from streamlab_plugin.privacy.pseudonym import Pseudonyms, load_key

COUNT = 100_000
USERS = 10
LIMIT_S = 300
FILE = Path(__file__).parent / "counting.py"
pytestmark = pytest.mark.faults


def count(place: Place, protocol: str, url: str) -> Counter[tuple[str, str]]:
    """Send the messages; return the stored rows by operation and outcome."""
    place.variables |= {
        "STREAMLAB_KEY_FILE": str(place.folder / "key"),
        "COUNT_PROTOCOL": protocol,
        "COUNT_URL": url,
        "COUNT_MESSAGES": str(COUNT),
    }
    done = place.locust(
        "-f", str(FILE), "--headless", "-u", str(USERS), "-r", str(USERS), "-t", f"{LIMIT_S}s",
        timeout_s=LIMIT_S + 60,
    )  # fmt: skip
    assert 0 == done.returncode, summarise(done.stdout)
    assert ledger_is_balanced(place)
    return Counter(
        {
            (operation, outcome): number
            for operation, outcome, number in place.query(
                "SELECT operation, outcome, count(*) FROM records_flat GROUP BY operation, outcome"
            )
        }
    )


def stored_ids(place: Place, operations: str) -> Counter[str]:
    """Return the pseudonyms of the correlation ids."""
    sql = f"SELECT correlation_id FROM records_flat WHERE operation IN ({operations})"
    return Counter(name for (name,) in place.query(sql))


def pseudonyms(place: Place, names: list[str]) -> Counter[str]:
    """Return what *names* are in the database."""
    of = Pseudonyms(load_key(place.folder / "key")).of
    return Counter(map(of, names))


class Observer:
    """A subscriber of its own, by the number and QoS of each message."""

    def __init__(self, port: int) -> None:
        self.seen: Counter[tuple[int, int]] = Counter()
        self._is_ready = threading.Event()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_message = self._count
        self.client.on_subscribe = lambda *_rest: self._is_ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("count/#", qos=2)
        self.client.loop_start()
        assert self._is_ready.wait(10)

    def _count(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self.seen[json.loads(message.payload)["n"], message.qos] += 1


@pytest.fixture
def observed(tmp_path: Path) -> Iterator[tuple[Mosquitto, Observer]]:
    """A mosquitto, and somebody who listens there."""
    broker = Mosquitto(tmp_path, ["allow_anonymous true"])
    observer = Observer(broker.port)
    yield broker, observer
    observer.client.loop_stop()
    broker.kill()


class TestCounts:
    def test_http(self, place: Place, tmp_path: Path) -> None:
        """The ids that nginx saw are those that are stored."""
        first, third = free_ports(2), free_ports(2)
        folder = tmp_path / "nginx"
        folder.mkdir()
        with running(folder, [first, first + 1, third, third + 1], "http://127.0.0.1:9") as nginx:
            connect_until_up(first)
            stored = count(place, "http", nginx.address)
            seen = [entry["id"] for entry in nginx.seen()]
        assert {("GET", "success"): COUNT} == stored
        assert pseudonyms(place, seen) == stored_ids(place, "'GET'")

    def test_websocket(self, place: Place, tmp_path: Path) -> None:
        """The ids that Node saw are those that are stored, and what it sent is stored, too."""
        with node(tmp_path) as peer:
            stored = count(place, "websocket", peer.urls["plain"])
            seen = peer.noted("id")
        opened = len(peer.noted("opened"))
        assert USERS == opened
        assert {
            ("connect", "success"): opened,
            ("request", "success"): COUNT - COUNT // 4,
            ("send", "success"): COUNT // 4,
            ("push", "success"): COUNT // 4 + 3 * opened,
            ("close", "success"): opened,
        } == stored
        assert pseudonyms(place, seen) == stored_ids(place, "'request', 'send'")

    def test_mqtt(self, place: Place, observed: tuple[Mosquitto, Observer]) -> None:
        """Publishes and deliveries are stored as an independent subscriber and the broker's log have them."""
        broker, observer = observed
        stored = count(place, "mqtt", f"mqtt://127.0.0.1:{broker.port}")
        wait_for(lambda: observer.seen.total() >= COUNT, "all messages at the observer")
        assert {(number, number % 3): 1 for number in range(1, COUNT + 1)} == observer.seen
        assert COUNT == broker.log.read_text(encoding="utf-8").count("Received PUBLISH from")
        assert {
            ("connect", "success"): USERS,
            ("subscribe", "success"): 1,
            ("publish", "success"): COUNT,
            ("deliver", "success"): COUNT,
            ("close", "success"): USERS,
        } == stored
        # Each publisher's numbers have neither gap nor repetition, on either side.
        for operation in ("publish", "deliver"):
            streams = place.query(
                "SELECT min(stream_seq), max(stream_seq), count(DISTINCT stream_seq), count(*) "
                "FROM records_flat WHERE operation = ? GROUP BY stream",
                operation,
            )
            assert USERS - 1 == len(streams)
            assert all((1, rows, rows) == (least, most, distinct) for least, most, distinct, rows in streams)
