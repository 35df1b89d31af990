"""Drive MqttUser with attributes: ``python run_mqtt_options.py SCENARIO JSON``; prints JSON.

JSON gives the user's attributes, at least ``host``.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import gevent
import gevent.server
from recorder import Bench, run_once, wait_for
from relay import Relay, scripted

from streamlab_plugin.users.mqtt import MqttUser
from streamlab_plugin.users.tls import Tls


def once(body: Any, user_class: type[MqttUser] = MqttUser, **attributes: Any) -> dict[str, Any]:
    """Run *body* once in one user with the given attributes."""
    return run_once(user_class, body, **attributes_of({**ATTRIBUTES, **attributes}))


def attributes_of(given: dict[str, Any]) -> dict[str, Any]:
    """Return class attributes from what JSON gives."""
    return {**given, "tls": Tls(**given.get("tls", {}))}


class Listener(MqttUser):
    """Keeps what it is given."""

    abstract = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.got: list[Any] = []

    def on_message(self, topic: str, payload: Any) -> None:
        """Keep the number of a message, or its text."""
        self.got.append(payload["n"] if isinstance(payload, dict) else payload.decode())


def round_trip(extra: Any = lambda user: [user.publish("q/unheard", "x" * 3_000_000, qos=1)]) -> Any:
    """A message of each QoS to oneself, one of many packets, and one that fills the socket's buffer."""

    def body(user: Any) -> Any:
        user.subscribe("d/#", qos=2)
        sent = [user.publish("d/a", {"n": qos}, qos=qos) for qos in (0, 1, 2)]
        sent.append(user.publish("d/b", {"n": 3, "text": "x" * 20_000}, qos=1))
        sent += extra(user)
        wait_for(lambda: len(user.got) == 4)
        return [sent, sorted(user.got), user.close()]

    return once(body, Listener)


def small_round_trip() -> Any:
    """The same without the last one."""
    return round_trip(lambda user: [])


def enveloped() -> Any:
    """A message of each kind, and one in no envelope, in which others look inside the payload."""
    texts: list[str] = []

    def body(user: Any) -> Any:
        spy = type("Spy", (Listener,), {"host": ATTRIBUTES["host"], "envelope": "json"})(user.environment)
        spy.on_message = lambda topic, payload: texts.append(str(payload))
        for each in (user, spy):
            each.subscribe("d/e", qos=1)
        for payload in ({"n": 1}, "text", b"bytes"):
            user.publish("d/e", payload, qos=1)
        spy.publish("d/e", "bare", qos=1)
        wait_for(lambda: len(user.got) == len(texts) == 4)
        return [user.got, texts]

    return once(body, Listener)


def attempts() -> Any:
    """One publish for each set of attributes in ``each``, one after the other."""

    def body(user: Any) -> Any:
        users = [
            type(name, (MqttUser,), attributes_of(given))(user.environment)
            for name, given in ATTRIBUTES["each"].items()
        ]
        return [[each.publish("d/a", {"n": 1}, qos=1), each.close()] for each in users]

    return once(body)


def refused() -> Any:
    """A publish of each QoS that the broker refuses."""
    return once(lambda user: [user.publish("forbidden/a", {"n": 1}, qos=qos) for qos in (1, 2)])


def answered() -> Any:
    """A broker that answers a publish with the given bytes; the packet id is put in."""
    answer = bytes.fromhex(ATTRIBUTES["answer"])

    def reply(packet: bytes) -> bytes:
        return answer.replace(b"ID", packet[5:7]) if packet[0] >> 4 == 3 else b""

    host = scripted(b"\x20\x03\x00\x00\x00", reply)
    return once(lambda user: user.publish("t", "1", qos=1), host=host)


def will() -> Any:
    """A client vanishes without a goodbye; another one gets its will."""
    relay = Relay(ATTRIBUTES["port"])
    given = {"host": relay.url, "will": {"topic": "d/will", "payload": "gone", "qos": 1}}

    def body(user: Any) -> Any:
        user.subscribe("d/will")
        vanishing = type("Vanishing", (MqttUser,), given)(user.environment)
        vanishing.connect()
        relay.cut()
        wait_for(lambda: user.got)
        return user.got

    return once(body, Listener)


def resume() -> Any:
    """A subscriber is away for a while and misses nothing; another session publishes meanwhile."""
    relay = Relay(ATTRIBUTES["port"])

    def body(user: Any) -> Any:
        user.subscribe("d/away", qos=2)
        publisher = type("Publisher", (MqttUser,), {"host": ATTRIBUTES["host"]})(user.environment)
        for number in range(4):
            publisher.publish("d/away", {"n": number}, qos=1 + number % 2)
            relay.cut()
            publisher.publish("d/away", {"n": 10 + number}, qos=1 + number % 2)
            wait_for(user.connect)
        wait_for(lambda: len(set(user.got)) == 8)
        user.publish("d/other", {}, qos=2)
        return [user.got, publisher.close()]

    return once(body, Listener, host=relay.url, client_id="stays", clean_session=False)


def forgotten() -> Any:
    """The broker has forgotten the session: the subscription is renewed."""
    relay = Relay(ATTRIBUTES["port"])

    def body(user: Any) -> Any:
        user.subscribe("d/f", qos=1)
        relay.cut()
        other = type("Other", (MqttUser,), {"host": ATTRIBUTES["host"], "client_id": "stays"})(
            user.environment
        )
        other.connect()  # a clean session under the same name wipes the old one
        other.close()
        wait_for(user.connect)
        user.publish("d/f", {"n": 1}, qos=1)
        wait_for(lambda: user.got)
        return user.got

    return once(body, Listener, host=relay.url, client_id="stays", clean_session=False)


def shared() -> Any:
    """Two subscribers share a topic: each message goes to one of them."""

    def body(user: Any) -> Any:
        members = [type("Member", (Listener,), ATTRIBUTES)(user.environment) for _ in range(2)]
        for member in members:
            member.subscribe("$share/group/d/s", qos=1)
        for number in range(20):
            user.publish("d/s", {"n": number}, qos=1)
        wait_for(lambda: sum(len(member.got) for member in members) == 20)
        gevent.sleep(0.05)
        return [sorted(members[0].got + members[1].got), [len(member.got) > 0 for member in members]]

    return once(body)


def refusals() -> Any:
    """What the constructors of users that cannot be say."""
    environment = Bench().environment
    said = []
    for attributes in ATTRIBUTES["each"]:
        try:
            type("Device", (MqttUser,), attributes_of(attributes))(environment)
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    return {"said": said}


if __name__ == "__main__":
    ATTRIBUTES = json.loads(sys.argv[2])
    print(json.dumps(globals()[sys.argv[1]]()), flush=True)
    os._exit(0)  # gevent's resolver thread, idle by now, would keep the process for ten seconds
