"""Drive MqttUser in a process of its own: ``python run_mqtt.py SCENARIO PORT [SEED]``; prints JSON."""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
from typing import Any

import gevent
import gevent.server
from locust import task
from recorder import Bench, hog, run_once, wait_for
from relay import scripted

from streamlab_plugin.users.mqtt import MqttUser

numbers = itertools.count(1)


def one_task(body: Any, **attributes: Any) -> dict[str, Any]:
    """Run *body* once in one user of the broker."""
    return run_once(attributes.pop("base", MqttUser), body, **{"host": HOST, **attributes})


def publish(**attributes: Any) -> Any:
    """One publish of each QoS, then goodbye."""
    return one_task(
        lambda u: [u.publish(f"q/{qos}", {"a": qos}, qos=qos) for qos in (0, 1, 2)] + [u.close()],
        **attributes,
    )


def busy() -> Any:
    """The process is busy with something else when the acknowledgement comes."""
    return one_task(lambda u: [u.connect(), hog(0.4), u.publish("q", {"a": 1}, qos=1)])


def publish5() -> Any:
    """The same in MQTT 5."""
    return publish(mqtt_version=5)


def refused5() -> Any:
    """A publish that only MQTT 5 lets a broker refuse."""
    return one_task(lambda u: u.publish("forbidden/a", {"a": 1}, qos=1), mqtt_version=5)


def unauthorised() -> Any:
    """A broker that wants a password."""
    return one_task(lambda u: u.publish("a", "b"), host=f"mqtt://127.0.0.1:{PORT + 1}")


def down() -> Any:
    """Nobody listens."""
    return one_task(lambda u: u.publish("a", "b"), host="mqtt://127.0.0.1:9")


ACCEPTED = b"\x20\x02\x00\x00"


def refused_subscription() -> Any:
    """A SUBACK with the failure code."""
    host = scripted(
        ACCEPTED, lambda packet: b"\x90\x03" + packet[2:4] + b"\x80" if packet[0] == 0x82 else b""
    )
    return one_task(lambda u: u.subscribe("s"), host=host)


def unacknowledged() -> Any:
    """A broker that acknowledges nothing: waited for, and not waited for."""
    host = scripted(ACCEPTED, lambda packet: b"")

    def body(user: Any) -> Any:
        sent = user.publish("t", "1", qos=1, wait=False), user.publish("t", "2", qos=1)
        gevent.sleep(1.2)
        return sent

    return one_task(body, host=host, ack_timeout_s=0.05)


def malformed() -> Any:
    """A broker that answers nonsense."""
    return one_task(
        lambda u: u.publish("t", "1", qos=1), host=scripted(ACCEPTED, lambda packet: b"\x40\x01\x00")
    )


def mute_end() -> Any:
    """A broker that never closes the connection: the run's end does not wait for it."""

    def serve(sock: Any, _address: Any) -> None:
        sock.recv(4096)
        sock.sendall(b"\x20\x02\x00\x00")
        gevent.sleep(60)

    server = gevent.server.StreamServer(("127.0.0.1", 0), serve)
    server.start()
    return one_task(lambda u: u.connect(), host=f"mqtt://127.0.0.1:{server.server_port}")


def silent() -> Any:
    """A server that accepts and never answers."""
    server = gevent.server.StreamServer(("127.0.0.1", 0), lambda sock, _address: gevent.sleep(30))
    server.start()
    host = f"mqtt://127.0.0.1:{server.server_port}"
    return one_task(lambda u: u.connect(), host=host, connect_timeout_s=0.1)


def deliver() -> Any:
    """Deliveries of each QoS: measured, numbered, given to the hook; one not JSON, one from elsewhere."""
    got: list[Any] = []

    class Hooked(MqttUser):
        abstract = True

        def on_message(self, topic: str, payload: Any) -> None:
            got.append([topic, payload.get("n") if isinstance(payload, dict) else payload.decode()])
            if len(got) == 1:
                raise ValueError("hook broke")

    def body(user: Any) -> Any:
        user.subscribe("d/#", qos=2)
        for qos in (0, 1, 2):
            user.publish("d/a", {"n": qos}, qos=qos)
        user.publish("d/b", b"plain", qos=1)
        user.publish("d/b", {"n": 9, "stream": "elsewhere", "sent_at": 1.0}, qos=1)
        wait_for(lambda: len(got) == 5)
        return got

    return one_task(body, base=Hooked)


def retained() -> Any:
    """A retained message is delivered, but its age is no latency."""

    def body(user: Any) -> Any:
        session_topic = "r/1"
        assert user.connect()
        user._connector.session._paho.publish(session_topic, b'{"n":1}', 1, True)
        user.subscribe(session_topic)
        user.publish("r/2", {}, qos=1)

    return one_task(body)


def flood() -> Any:
    """More unacknowledged publishes than may be in flight, not waited for one by one."""

    def body(user: Any) -> Any:
        user.connect()
        sent = [user.publish("f", {"n": n}, qos=1 + n % 2, wait=False) for n in range(200)]
        return [all(sent), user.close()]

    return one_task(body)


def big() -> Any:
    """A message larger than the socket's buffer, in each QoS."""
    return one_task(lambda u: [u.publish(f"big/{qos}", "x" * 8_000_000, qos=qos) for qos in (0, 1, 2)])


def relayed(cut_after: int) -> tuple[str, Any]:
    """Start a relay to the broker that cuts each connection after so many bytes from the client."""

    def relay(client: Any, _address: Any) -> None:
        broker = gevent.socket.create_connection(("127.0.0.1", PORT))

        def back() -> None:
            while data := broker.recv(65536):
                client.sendall(data)
            client.shutdown(gevent.socket.SHUT_RDWR)

        gevent.spawn(back)
        passed = 0
        while passed < cut_after and (data := client.recv(65536)):
            broker.sendall(data)
            passed += len(data)
        broker.shutdown(gevent.socket.SHUT_RDWR)

    server = gevent.server.StreamServer(("127.0.0.1", 0), relay)
    server.start()
    return f"mqtt://127.0.0.1:{server.server_port}", server


def lost() -> Any:
    """The connection vanishes; the next publish connects again and renews the subscription."""
    host, _server = relayed(600)

    def body(user: Any) -> Any:
        user.subscribe("l/+")
        return [user.publish(f"l/{n}", {"n": n}, qos=1) for n in range(8)]

    return one_task(body, host=host)


def kill() -> Any:
    """Publishers and subscribers killed one by one and at the end, at moments the seed gives."""
    rng = random.Random(SEED)

    class Device(MqttUser):
        host = HOST
        mqtt_version = rng.choice([4, 5])

        def on_start(self) -> None:
            self.subscribe("k/+", qos=rng.choice([0, 1, 2]))

        @task(3)
        def tell(self) -> None:
            self.publish(f"k/{next(numbers)}", {"x": 1}, qos=rng.choice([0, 1, 2]))

        @task(1)
        def fan(self) -> None:
            gevent.joinall([gevent.spawn(self.tell) for _ in range(3)])

        @task(1)
        def async_(self) -> None:
            self.publish(f"k/{next(numbers)}", {"x": 2}, qos=rng.choice([1, 2]), wait=False)

        @task(1)
        def rest(self) -> None:
            gevent.sleep(0.003)

        def on_message(self, topic: str, payload: Any) -> None:
            if topic.endswith("7"):
                gevent.sleep(0.002)

    return Bench(Device, stop_timeout_s=rng.choice([None, None, 0.05])).run_killing(4, rng, 30)


def crowd() -> Any:
    """Many clients in one process: descriptors beyond those of the sockets."""

    class Device(MqttUser):
        host = HOST

        @task
        def hold(self) -> None:
            self.connect()
            gevent.sleep(60)

    bench = Bench(Device)
    gevent.sleep(0.01)  # the loop of a child drops what it had of its parent's
    before = len(os.listdir("/proc/self/fd"))
    counts: list[int] = []

    def is_up() -> bool:
        if sum(row["operation"] == "connect" for row in bench.recorder.rows) < 400:
            return False
        counts.append(len(os.listdir("/proc/self/fd")) - before)
        return True

    bench.run(400, is_up)
    return {
        "rows": bench.recorder.rows,
        "descriptors": counts,
        "drained": bench.drained,
        "errors": bench.errors,
    }


if __name__ == "__main__":
    PORT = int(sys.argv[2])
    HOST = f"mqtt://127.0.0.1:{PORT}"
    SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    print(json.dumps(globals()[sys.argv[1]]()))
