"""Options of a user class that cannot be used: told before the first user is there, and the run ends."""

from __future__ import annotations

import re
import sys
from typing import Any
from urllib.request import urlopen

import pytest
from harness import Place, free_port, ledger_is_balanced, wait_for

HEAD = """
import gevent
from locust import FastHttpUser, constant, events, task
from streamlab_plugin import HttpUser, MqttUser, RequestsUser, WebSocketUser, install
install()

class Good(FastHttpUser):
    host = "{url}"
    fixed_count = 1
    wait_time = constant(0.1)

    @task
    def item(self):
        self.client.get("/good")

def end(user):
    gevent.spawn(user.environment.runner.quit)

class Work:
    fixed_count = 1
    tasks = [end]
"""
WRONG = """
class Device(Work, MqttUser):
    host = "mqtt://127.0.0.1"
    mqtt_version = 6

class Sensor(Work, MqttUser):
    host = "mqtt://127.0.0.1"
    will = {"topic": "", "payload": "private"}

class Socket(Work, WebSocketUser):
    host = "http://me:hunter2@127.0.0.1/"

class Fast(Work, HttpUser):
    host = "http://127.0.0.1"
    faults = [{"kind": "delay"}]

class Slow(Work, RequestsUser):
    host = "http://127.0.0.1"
    captured_types = "json"
"""
LINES = [
    "Device.mqtt_version must be 4 (3.1.1) or 5, got 6",
    "Sensor.will must have a topic, and a qos of 0, 1 or 2, got {'topic': ''}",
    "Socket.host must be a ws:// or wss:// URL, got '127.0.0.1/'",
    "Fast.faults must be Faults([...]), got list",
    "Slow.captured_types must be a tuple of texts, got 'json': write ('json',)",
]
ONE = """
class Device(Work, MqttUser):
    host = "mqtt://127.0.0.1"
    mqtt_version = 6
"""
OWN = """
class Device(Work, MqttUser):
    def __init__(self, environment):
        self.host, self.mqtt_version = "mqtt://127.0.0.1", 6
        super().__init__(environment)
"""
LATE = """
class Device(Work, MqttUser):
    mqtt_version = 6

    def __init__(self, environment):
        self.host, self.mqtt_version = "mqtt://127.0.0.1", 5
        super().__init__(environment)

class Socket(Work, WebSocketUser):
    pass

@events.test_start.add_listener
def settle(environment, **_arguments):
    Socket.host = "ws://127.0.0.1"
"""


def write(place: Place, server: Any, text: str) -> None:
    """Put a locustfile into the place."""
    (place.folder / "locustfile.py").write_text(HEAD.replace("{url}", server.url) + text)


def refusals(output: str) -> list[str]:
    """Return what Streamlab said of options; nothing else may look like an error."""
    assert "Traceback" not in output, output
    return re.findall(r"ERROR/streamlab_plugin\.plugin: Streamlab: (.*); the test does not start", output)


def test_each_class_is_one_line(place: Place, server: Any) -> None:
    """2, with class, attribute and value, without secrets; nobody made a request."""
    write(place, server, WRONG)
    result = place.locust("--headless", "-u", "6", "-r", "6", "-t", "20s")
    assert (2, LINES) == (result.returncode, refusals(result.stdout)), result.stdout
    assert "hunter2" not in result.stdout
    assert "private" not in result.stdout
    assert [] == server.seen
    assert 0 == place.value("SELECT count(*) FROM records")


@pytest.mark.faults
def test_processes(place: Place, server: Any) -> None:
    """The master says it once, and the workers end."""
    write(place, server, ONE)
    port = str(free_port())
    ports = ("--master-port", port, "--master-bind-port", port)
    result = place.locust("--headless", "-u", "6", "-r", "6", "-t", "20s", "--processes", "2", *ports)
    assert (2, LINES[:1]) == (result.returncode, refusals(result.stdout)), result.stdout
    assert [] == server.seen


def test_web_ui(place: Place, server: Any) -> None:
    """The line stands in the log, the run is over, and the pages stay."""
    write(place, server, ONE)
    port = free_port()
    arguments = ("--autostart", "-u", "6", "-r", "6", "--web-host", "127.0.0.1", "--web-port", str(port))
    locust = place.start(sys.executable, "-m", "locust", *arguments, log="locust.log")
    try:
        ended = "SELECT state FROM runs WHERE state NOT IN ('running', 'finishing')"
        wait_for(lambda: place.value(ended), "the end of the run", timeout_s=30)
        with urlopen(f"http://127.0.0.1:{port}/streamlab/") as page:
            assert 200 == page.status
    finally:
        locust.process.terminate()
        locust.wait(60)
    assert LINES[:1] == refusals(locust.text())
    assert [] == server.seen


@pytest.mark.parametrize("install", [pytest.param("install()", marks=pytest.mark.faults), ""])
def test_own_constructor(place: Place, server: Any, install: str) -> None:
    """What only a constructor says is told by it, in one line, also without Streamlab; nothing is lost."""
    write(place, server, OWN)
    file = place.folder / "locustfile.py"
    file.write_text(file.read_text().replace("\ninstall()\n", f"\n{install}\n"))
    result = place.locust("--headless", "-u", "3", "-r", "3", "-t", "20s")
    assert "Traceback" not in result.stdout, result.stdout
    said = re.findall(
        r"ERROR/streamlab_plugin\.users\.options: Streamlab: (.*); the test ends", result.stdout
    )
    assert (2, LINES[:1]) == (result.returncode, said), result.stdout
    if install:
        assert ledger_is_balanced(place)


def test_options_that_are_set_later(place: Place, server: Any) -> None:
    """What a class sets in its constructor, or the test in a listener, is not judged too early."""
    write(place, server, LATE)
    result = place.locust("--headless", "-u", "3", "-r", "3", "-t", "20s")
    assert [] == refusals(result.stdout)
    assert 0 == result.returncode, result.stdout
