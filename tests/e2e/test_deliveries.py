"""What Streamlab says became of published messages, against what went over the wire."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Place, free_port, ledger_is_balanced, wait_for
from users.mosquitto import Mosquitto
from users.mqtt_tap import Tap, Wire

LOCUSTFILE = """
import gevent
from locust import task
from streamlab_plugin import MqttUser, install
install()

class Listener(MqttUser):
    host = "mqtt://127.0.0.1:{port}"
    fixed_count = {listeners}

    def on_start(self):
        self.subscribe("d/#", qos={qos})

    @task
    def rest(self):
        gevent.sleep(600)

class Publisher(MqttUser):
    host = "mqtt://127.0.0.1:{port}"

    def on_start(self):
        gevent.sleep(1.5)

    @task
    def tell(self):
        for _ in range({messages}):
            self.publish("d/" + self.client_id, {{"n": 1}}, qos=1, name="d/…")
            gevent.sleep({pause_s})
        gevent.sleep(600)
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker of this test's own."""
    one = Mosquitto(tmp_path, ["allow_anonymous true"])
    yield one
    one.kill()


def locustfile(place: Place, **values: Any) -> str:
    """Write the locustfile and return its path."""
    path = place.folder / "locustfile.py"
    path.write_text(LOCUSTFILE.format(**values))
    return str(path)


def said(place: Place) -> dict[str, Any]:
    """Return what ``streamlab runs show`` says of the last run."""
    found: dict[str, Any] = json.loads(place.streamlab("runs", "show", "--json").stdout)
    assert ledger_is_balanced(place)
    deliveries: dict[str, Any] = found["deliveries"]["everything"]
    return deliveries


def seen(wire: Wire) -> dict[str, int]:
    """Return the same as it went over the wire."""
    return {
        "published": sum(map(len, wire.acknowledged.values())),
        "delivered": sum(map(len, wire.got.values())),
        "lost": wire.lost(),
        "duplicates": wire.duplicates(),
        "reordered": wire.reordered(),
        "unaccounted": wire.unaccounted(),
    }


class TestDeliveries:
    """Loss, duplicates, order and what is not accounted for."""

    @pytest.mark.parametrize(
        "processes", [2, pytest.param(1, marks=pytest.mark.faults), pytest.param(3, marks=pytest.mark.faults)]
    )
    def test_a_bad_wire(self, place: Place, broker: Mosquitto, processes: int) -> None:
        """Two per cent of the messages are lost on the way, as many doubled, as many exchanged."""
        tap = Tap(broker.port, share=0.02, seed=processes)
        file = locustfile(place, port=tap.port, listeners=3, qos=0, messages=60, pause_s=0.01)
        bus = str(free_port())
        options = ("--processes", str(processes), "--master-bind-port", bus, "--master-port", bus)
        result = place.locust(
            "-f", file, "--headless", "-u", "13", "-r", "100", "-t", "4s",
            *(options if processes > 1 else ()),
        )  # fmt: skip
        tap.close()
        found, wanted = said(place), seen(tap.wire)
        assert {"published": 600, "is_exact": True} == {
            name: found[name] for name in ("published", "is_exact")
        }
        assert wanted == {name: found[name] for name in wanted}, result.stdout
        assert all(wanted[name] > 3 for name in ("lost", "duplicates", "reordered"))
        assert f"lost {wanted['lost']} of " in result.stdout

    @pytest.mark.parametrize(
        ("clients", "messages"), [(20, 30), pytest.param(300, 100, marks=pytest.mark.faults)]
    )
    def test_a_broker_that_dies(self, place: Place, broker: Mosquitto, clients: int, messages: int) -> None:
        """Without persistence it forgets what was under way; nothing of it is hidden or made up."""
        tap = Tap(broker.port)
        pause_s = 0.05 if clients < 100 else 0.2
        file = locustfile(place, port=tap.port, listeners=2, qos=1, messages=messages, pause_s=pause_s)
        seconds = 1.5 + messages * pause_s + (3 if clients < 100 else 25)
        child = place.start(
            sys.executable, "-m", "locust", "-f", file, "--headless", "-u", str(clients), "-r", "1000",
            "-t", f"{seconds:.0f}s", log="locust.log",
        )  # fmt: skip
        try:
            wait_for(lambda: sum(map(len, tap.wire.sent.values())) > clients * messages // 4, "a quarter", 60)
            broker.kill()
            time.sleep(0.5)
            assert broker.start()
            child.wait(90)
        finally:
            child.kill()
            tap.close()
        found, wanted = said(place), seen(tap.wire)
        attempted = sum(map(len, tap.wire.sent.values()))
        exact = ("delivered", "duplicates", "reordered")
        assert {name: wanted[name] for name in exact} == {name: found[name] for name in exact}, child.text()
        # Who finds the connection gone when he writes does not read the acknowledgement that came before.
        unread = wanted["published"] - found["published"]
        assert 0 <= unread <= clients // 10
        for name in ("lost", "unaccounted"):
            assert found[name] <= wanted[name] <= found[name] + unread, (found, wanted)
        assert attempted <= found["published"] + found["unacknowledged"]
        outcomes = dict(
            place.query(
                "SELECT outcome, count(*) FROM records_flat WHERE operation = 'publish' GROUP BY outcome"
            )
        )
        assert found["published"] == outcomes["success"]
        assert found["unacknowledged"] <= sum(outcomes.values()) - outcomes["success"]
        assert wanted["lost"] + wanted["unaccounted"] > 0
