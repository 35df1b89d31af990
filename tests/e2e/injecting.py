"""A locustfile whose user classes each inject one kind of fault; the last of their users ends the run.

``FAULT_PEER`` says where the peer of the protocol is, ``FAULT_CLIENT`` which HTTP user calls it. Each class
is named after its kind, and so are its path, topic and rows; ``clean`` injects nothing.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

import gevent
from locust import constant

from streamlab_plugin import Faults, HttpUser, MqttUser, RequestsUser, WebSocketUser, install

install()

PEER = os.environ["FAULT_PEER"]
PROTOCOL = PEER.partition(":")[0]
SENDS = 1_000

KINDS: dict[str, dict[str, Any]] = {
    "clean": {},
    "delay": {"delay_ms": 120},
    "drop_before": {"kind": "drop_connection", "when": "before"},
    "drop_after": {"kind": "drop_connection"},
    "duplicate": {},
    "truncate": {},
    "corrupt": {"byte_count": 30},
    "malformed": {},
    "schema_drift": {"changes": [{"change": "rename", "path": "score", "to": "status"}]},
    "slow_consumer": {"delay_ms": 800, "operations": ["request", "send", "publish", "GET", "POST"]},
    "reorder": {},
}


def faults_of(name: str) -> Faults | None:
    """Return what a class injects: into everything, but for reordering, which needs a message that passes."""
    if name == "clean":
        return None
    fault = {"id": f"my-{name}", "kind": name, "probability": 1, **KINDS[name]}
    if name == "reorder":
        fault["probability"] = 0.5
        return Faults([fault], seed=next(seed for seed in range(99) if is_first_alone(fault, seed)))
    return Faults([fault], seed=7)


def is_first_alone(fault: dict[str, Any], seed: int) -> bool:
    """Whether of the first two operations only the first is struck."""
    faults = Faults([fault], seed)
    operation = "publish" if PROTOCOL == "mqtt" else "send"
    struck = [faults.strike("reorder/0/1", operation, number, 0.0) is not None for number in (1, 2)]
    return struck == [True, False]


def body(name: str, number: int) -> dict[str, Any]:
    """Return a payload whose fields the privacy policy keeps."""
    return {"type": name, "score": number}


def everything(user: Any) -> None:
    """Do what the class is there for; the last one ends the run."""
    user.work()
    Once.waiting -= 1
    if Once.waiting == 0:
        gevent.spawn(user.environment.runner.quit)


class Once:
    """Do everything once, then wait for the others."""

    tasks: ClassVar[list[Any]] = [everything]
    wait_time = constant(60)
    fixed_count = 1
    abstract = True
    waiting = len(KINDS) + (PROTOCOL == "ws")


class Socket(Once, WebSocketUser):
    abstract = True
    host = PEER
    reply_timeout_s = 0.5

    def work(self) -> None:
        name = type(self).__name__
        self.request(body(name, 0), name)
        self.send(body(name, 1), name)
        self.send(body(name, 2), name)
        gevent.sleep(0.2)
        self.close()


class Many(Socket):
    """A thousand sends, some of them corrupted."""

    abstract = PROTOCOL != "ws"
    ws_path = "/many"
    faults = Faults([{"id": "rare", "kind": "corrupt", "probability": 0.05, "operations": ["send"]}], seed=7)

    def work(self) -> None:
        for number in range(SENDS):
            self.send(body("many", number), "many")
        self.close()


class Publisher(Once, MqttUser):
    abstract = True
    host = PEER
    ack_timeout_s = 3.0

    def work(self) -> None:
        name = type(self).__name__
        if name == "slow_consumer":
            self.subscribe(f"t/{name}", name=name)
        for qos in (1, 0):
            self.publish(f"t/{name}", body(name, qos), qos=qos, name=name)
        gevent.sleep(0.2)
        self.close()


CLIENT: type = {"fast": HttpUser, "requests": RequestsUser}[os.environ.get("FAULT_CLIENT", "fast")]


class Caller(Once, CLIENT):
    abstract = True
    host = PEER

    def work(self) -> None:
        name = type(self).__name__
        for number in range(2):
            self.client.post(f"/{name}", json=body(name, number))
        self.client.get(f"/{name}")


BASES: dict[str, type] = {"ws": Socket, "mqtt": Publisher, "http": Caller}
for kind in KINDS:
    more = {"abstract": False, "faults": faults_of(kind), "ws_path": f"/{kind}"}
    if kind == "slow_consumer":
        more["reply_timeout_s"] = 5.0
    globals()[kind] = type(kind, (BASES[PROTOCOL],), more)
