"""Injected faults against real peers: what the peer saw, what was stored, and what the objectives made of it.

One Locust run per protocol, and one per HTTP client; its users are in `injecting.py`, each with one kind of
fault at every operation.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from harness import Place, free_port, ledger_is_balanced, tally, wait_for
from paho.mqtt.client import CallbackAPIVersion, Client

from streamlab_plugin.scenario.injection import Faults

HERE = Path(__file__).parent
MOSQUITTO = "/usr/sbin/mosquitto"
SENDS = 1_000
STRICT = """objectives:
  {protocol}:
    max_error_rate: 0
min_samples: 1
include_injected_faults: {included}
"""
COLUMNS = (
    "operation, endpoint, outcome, status, latency_ms, wait_ms, payload, fault, direction, stream_seq, seq"
)


@dataclass
class Result:
    """What a run left: rows as dictionaries, and what the peer noted, by the name of the user."""

    place: Place
    protocol: str
    output: str
    rows: list[dict[str, Any]]
    seen: dict[str, list[str]] = field(default_factory=dict)
    stalled_s: float = 0.0

    def of(self, name: str, operation: str = "") -> list[dict[str, Any]]:
        """Return the rows of a user, of the operations that begin like *operation*."""
        return [
            row
            for row in self.rows
            if row["endpoint"].strip("/") == name and row["operation"].startswith(operation)
        ]

    def judge(self, included: str) -> int:
        """Return the exit code of objectives that tolerate no error."""
        path = self.place.folder / "strict.yaml"
        path.write_text(STRICT.format(protocol=self.protocol, included=included))
        return self.place.streamlab("slo", "check", "--slo", "strict.yaml").returncode

    def counted_apart(self) -> None:
        """Check that all rows are counted, and the touched ones in a series of their own."""
        for row in self.rows:
            assert (row["fault"] is not None) == row["operation"].endswith("+fault"), row
        counts = self.place.query(
            "SELECT s.operation LIKE '%+fault', sum(count) FROM rollups JOIN series s ON s.id = series_id"
            " WHERE period_s = 1 GROUP BY 1"
        )
        touched = sum(row["fault"] is not None for row in self.rows)
        assert {0: len(self.rows) - touched, 1: touched} == {int(key): count for key, count in counts}
        assert ledger_is_balanced(self.place)


def run(place: Place, protocol: str, peer: str, users: int) -> Result:
    """Run Locust with one user per kind and return what is stored."""
    place.variables["FAULT_PEER"] = peer
    done = place.locust(
        "-f", str(HERE / "injecting.py"), "--headless", "-u", str(users), "-r", "100", "-t", "30s"
    )
    assert "Traceback" not in done.stdout, done.stdout
    names = [name.strip() for name in COLUMNS.split(",")]
    found = place.query(f"SELECT {COLUMNS} FROM records_flat ORDER BY seq")
    return Result(place, protocol, done.stdout, [dict(zip(names, row, strict=True)) for row in found])


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """Return the ports of a WebSocket and an HTTP server, and their log."""
    log = tmp_path_factory.mktemp("peer") / "log"
    command = [sys.executable, str(HERE / "fault_peer.py"), str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        socket, http = process.stdout.readline().split()
        yield socket, http, log
        process.terminate()


def note(result: Result, log: Path) -> Result:
    """Add what the peer has noted since it began."""
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        if "raw" in entry:
            result.seen.setdefault(entry["path"], []).append(entry["raw"])
        result.stalled_s = max(result.stalled_s, entry.get("stalled_s", 0.0))
    return result


@pytest.fixture(scope="module")
def websocket(tmp_path_factory: pytest.TempPathFactory, peer: tuple[str, str, Path]) -> Result:
    """A run over WebSocket."""
    place = Place(tmp_path_factory.mktemp("ws"))
    return note(run(place, "websocket", f"ws://127.0.0.1:{peer[0]}", 12), peer[2])


@pytest.fixture(scope="module", params=["fast", "requests"])
def http(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, peer: tuple[str, str, Path]
) -> Result:
    """A run over HTTP with HttpUser, and one with RequestsUser."""
    place = Place(tmp_path_factory.mktemp("http"))
    place.variables["FAULT_CLIENT"] = request.param
    before = len(peer[2].read_text().splitlines())
    result = run(place, "http", f"http://127.0.0.1:{peer[1]}", 11)
    own = place.folder / "own.log"
    own.write_text("\n".join(peer[2].read_text().splitlines()[before:]))
    return note(result, own)


@pytest.fixture(scope="module")
def mqtt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    """A run over MQTT, with a mosquitto and a subscriber of paho's own."""
    place = Place(tmp_path_factory.mktemp("mqtt"))
    port = free_port()
    conf = place.folder / "conf"
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    seen: dict[str, list[str]] = {}
    ready: list[bool] = []
    observer = Client(CallbackAPIVersion.VERSION2)
    observer.on_connect = lambda *_: observer.subscribe("t/#", 2)
    observer.on_subscribe = lambda *_: ready.append(True)
    observer.on_message = lambda _client, _data, message: seen.setdefault(message.topic[2:], []).append(
        message.payload.decode("latin-1")
    )
    with subprocess.Popen([MOSQUITTO, "-c", str(conf)], stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: observer.connect("127.0.0.1", port) == 0, "the broker")
            observer.loop_start()
            wait_for(lambda: ready, "the subscription")
            result = run(place, "mqtt", f"mqtt://127.0.0.1:{port}", 11)
            observer.publish("t/end", b"", 1)
            wait_for(lambda: "end" in seen, "what came before the end")
            result.seen = seen
            yield result
        finally:
            observer.loop_stop()
            observer.disconnect()
            process.terminate()


def scores(raws: list[str]) -> list[Any]:
    """Return the field of each message, the text itself where it is no JSON."""
    found: list[Any] = []
    for raw in raws:
        try:
            found.append(json.loads(raw).get("score"))
        except ValueError:
            found.append(raw)
    return found


def is_intact(raw: str, name: str) -> bool:
    """Whether a message is what the user *name* meant to send."""
    try:
        message = json.loads(raw)
    except ValueError:
        return False
    return message.get("type") == name and isinstance(message.get("score"), int)


def intact(number: int) -> str:
    """Return one of many messages as it was meant."""
    return json.dumps({"type": "many", "score": number}, separators=(",", ":"))


def faults(rows: list[dict[str, Any]]) -> set[str | None]:
    """Return the labels of rows."""
    return {row["fault"] for row in rows}


class TestWebSocket:
    def test_clean(self, websocket: Result) -> None:
        """Without faults nothing is labelled."""
        assert [0, 1, 2] == scores(websocket.seen["clean"])
        assert {None} == faults(websocket.of("clean"))
        assert {"success"} == {row["outcome"] for row in websocket.of("clean")}

    def test_delay(self, websocket: Result) -> None:
        """The wait is apart from the latency."""
        for row in [*websocket.of("delay", "send"), *websocket.of("delay", "request")]:
            assert "my-delay:delay" == row["fault"]
            assert row["wait_ms"] >= 120 > row["latency_ms"]
        assert 3 == len(websocket.of("delay", "send")) + len(websocket.of("delay", "request"))

    @pytest.mark.parametrize(("name", "expected"), [("drop_before", []), ("drop_after", [0, 1, 2])])
    def test_drop(self, websocket: Result, name: str, expected: list[int]) -> None:
        """Before the message or behind it; message and connection end as errors with the fault's label."""
        assert expected == scores(websocket.seen.get(name, []))
        rows = [*websocket.of(name, "send"), *websocket.of(name, "request"), *websocket.of(name, "close")]
        assert 6 == len(rows)
        assert {("error", 1006, f"my-{name}:drop_connection")} == {
            (row["outcome"], row["status"], row["fault"]) for row in rows
        }
        assert [("success", None)] * 3 == [
            (row["outcome"], row["fault"]) for row in websocket.of(name, "connect")
        ]

    def test_duplicate(self, websocket: Result) -> None:
        """Each message twice, one row each, and the second reply is no push."""
        assert [0, 0, 1, 1, 2, 2] == scores(websocket.seen["duplicate"])
        assert 3 == sum(row["fault"] == "my-duplicate:duplicate" for row in websocket.rows)
        assert [] == [
            row for row in websocket.rows if row["operation"] == "push" and row["endpoint"] != "flood"
        ]

    @pytest.mark.parametrize("kind", ["truncate", "corrupt", "malformed"])
    def test_payload(self, websocket: Result, kind: str) -> None:
        """The server gets something else; without an id it cannot answer, which is labelled too."""
        assert [False] * 3 == [is_intact(raw, kind) for raw in websocket.seen[kind]]
        assert {f"my-{kind}:{kind}"} == faults([*websocket.of(kind, "send"), *websocket.of(kind, "request")])

    def test_schema_drift(self, websocket: Result) -> None:
        """The server sees the other name, and so does the record."""
        assert [0, 1, 2] == [json.loads(raw)["status"] for raw in websocket.seen["schema_drift"]]
        for row in websocket.of("schema_drift", "send"):
            assert "my-schema_drift:schema_drift" == row["fault"]
            assert {"type", "status"} == set(json.loads(row["payload"]))

    def test_slow_consumer(self, websocket: Result) -> None:
        """The server's buffers fill until reading goes on, and the reply that waits is labelled."""
        (request,) = websocket.of("slow_consumer", "request")
        assert ("my-slow_consumer:slow_consumer", "success") == (request["fault"], request["outcome"])
        assert request["latency_ms"] > 700
        assert websocket.stalled_s > 0.4

    def test_reorder(self, websocket: Result) -> None:
        """The message goes behind the next one, once each."""
        assert [0, 2, 1] == scores(websocket.seen["reorder"])
        held = [row for row in websocket.of("reorder", "send") if row["fault"]]
        assert [("my-reorder:reorder", 1)] == [
            (row["fault"], json.loads(row["payload"])["score"]) for row in held
        ]

    def test_the_server_counts_what_was_decided(self, websocket: Result) -> None:
        """Of a thousand sends exactly those are corrupted that the seed says: about 5 %."""
        rare = Faults(
            [{"id": "rare", "kind": "corrupt", "probability": 0.05, "operations": ["send"]}], seed=7
        )
        expected = [
            number for number in range(SENDS) if rare.strike("Many/0/1", "send", number + 1, 0.0) is not None
        ]
        seen = websocket.seen["many"]
        corrupted = [number for number in range(SENDS) if seen[number] != intact(number)]
        assert (SENDS, expected) == (len(seen), corrupted)
        assert 0.03 * SENDS < len(expected) < 0.07 * SENDS
        assert len(expected) == sum(row["fault"] == "rare:corrupt" for row in websocket.rows)

    def test_nothing_is_lost(self, websocket: Result) -> None:
        """All rows are counted, the touched ones in a series of their own."""
        websocket.counted_apart()


class TestMqtt:
    def test_clean(self, mqtt: Result) -> None:
        """Without faults nothing is labelled."""
        assert [1, 0] == scores(mqtt.seen["clean"])
        assert {None} == faults(mqtt.of("clean"))

    def test_delay(self, mqtt: Result) -> None:
        """The wait is apart from the latency."""
        assert 2 == len(mqtt.of("delay"))
        for row in mqtt.of("delay"):
            assert ("my-delay:delay", True) == (row["fault"], row["wait_ms"] >= 120 > row["latency_ms"])

    @pytest.mark.parametrize(("name", "expected"), [("drop_before", []), ("drop_after", [1, 0])])
    def test_drop(self, mqtt: Result, name: str, expected: list[int]) -> None:
        """Before the message or behind it; the publish ends as an error with the fault's label."""
        assert expected == scores(mqtt.seen.get(name, []))
        assert [("error", 128, f"my-{name}:drop_connection")] * 2 == [
            (row["outcome"], row["status"], row["fault"]) for row in mqtt.of(name)
        ]

    def test_drop_closes(self, mqtt: Result) -> None:
        """The ends of the four connections that were dropped are labelled, too."""
        ended = [row["fault"] for row in mqtt.of("close") if row["outcome"] == "error"]
        assert ["my-drop_after:drop_connection"] * 2 + ["my-drop_before:drop_connection"] * 2 == sorted(ended)

    def test_duplicate(self, mqtt: Result) -> None:
        """Each message twice, one row each."""
        assert [1, 1, 0, 0] == scores(mqtt.seen["duplicate"])
        assert [("success", "my-duplicate:duplicate")] * 2 == [
            (row["outcome"], row["fault"]) for row in mqtt.of("duplicate")
        ]

    @pytest.mark.parametrize("kind", ["truncate", "corrupt", "malformed"])
    def test_payload(self, mqtt: Result, kind: str) -> None:
        """Subscribers get something else."""
        assert [False, False] == [is_intact(raw, kind) for raw in mqtt.seen[kind]]
        assert {f"my-{kind}:{kind}"} == faults(mqtt.of(kind))

    def test_schema_drift(self, mqtt: Result) -> None:
        """Subscribers see the other name, and so does the record."""
        assert [1, 0] == [json.loads(raw)["status"] for raw in mqtt.seen["schema_drift"]]
        rows = mqtt.of("schema_drift")
        assert {"my-schema_drift:schema_drift"} == faults(rows)
        assert [1, 0] == [json.loads(row["payload"])["status"] for row in rows]

    def test_slow_consumer(self, mqtt: Result) -> None:
        """Acknowledgement and delivery wait until reading goes on, and say why."""
        published = mqtt.of("slow_consumer", "publish")
        assert {"my-slow_consumer:slow_consumer"} == faults(published)
        assert published[0]["latency_ms"] > 700
        late = [row for row in mqtt.rows if row["operation"].startswith("deliver") and row["fault"]]
        assert late
        assert late[0]["latency_ms"] > 700

    def test_reorder(self, mqtt: Result) -> None:
        """The message goes behind the next one, with the number it had before."""
        assert [0, 1] == scores(mqtt.seen["reorder"])
        assert [2, 1] == [json.loads(raw)["stream_seq"] for raw in mqtt.seen["reorder"]]
        rows = {row["stream_seq"]: row for row in mqtt.of("reorder")}
        assert {1: ("my-reorder:reorder", "success"), 2: (None, "success")} == {
            number: (row["fault"], row["outcome"]) for number, row in rows.items()
        }

    def test_nothing_is_lost(self, mqtt: Result) -> None:
        """All rows are counted, the touched ones in a series of their own."""
        mqtt.counted_apart()


class TestHttp:
    def test_clean(self, http: Result) -> None:
        """Without faults nothing is labelled; what cannot be reordered is not struck."""
        assert [0, 1] == scores(http.seen["clean"][:2])
        assert {None} == faults([*http.of("clean"), *http.of("reorder")])
        assert 6 == len(http.of("clean") + http.of("reorder"))
        assert 1 == http.output.count("Streamlab: reorder.faults: 'my-reorder:reorder' strikes nothing here")

    def test_delay(self, http: Result) -> None:
        """The wait is apart from the latency."""
        assert 3 == len(http.of("delay"))
        for row in http.of("delay"):
            assert ("my-delay:delay", True) == (row["fault"], row["wait_ms"] >= 120 > row["latency_ms"])

    @pytest.mark.parametrize(("name", "expected"), [("drop_before", 0), ("drop_after", 3)])
    def test_drop(self, http: Result, name: str, expected: int) -> None:
        """Before the request or behind it; it ends as an error with the fault's label."""
        assert expected == len(http.seen.get(name, []))
        assert [("error", None, f"my-{name}:drop_connection")] * 3 == [
            (row["outcome"], row["status"], row["fault"]) for row in http.of(name)
        ]

    def test_duplicate(self, http: Result) -> None:
        """Each request twice, one row each; copies go beside what comes next."""
        assert {0: 2, 1: 2, "": 2} == tally(scores(http.seen["duplicate"]))
        assert [("success", "my-duplicate:duplicate")] * 3 == [
            (row["outcome"], row["fault"]) for row in http.of("duplicate")
        ]

    @pytest.mark.parametrize("kind", ["truncate", "corrupt", "malformed"])
    def test_payload(self, http: Result, kind: str) -> None:
        """The server gets something else; a request without a body is not struck."""
        assert [False, False] == [is_intact(raw, kind) for raw in http.seen[kind][:2]]
        assert [f"my-{kind}:{kind}"] * 2 + [None] == [row["fault"] for row in http.of(kind)]

    def test_schema_drift(self, http: Result) -> None:
        """The server sees the other name."""
        assert [0, 1] == [json.loads(raw)["status"] for raw in http.seen["schema_drift"][:2]]
        label = "my-schema_drift:schema_drift"
        assert [label, label, None] == [row["fault"] for row in http.of("schema_drift")]

    def test_slow_consumer(self, http: Result) -> None:
        """The answer is read late, and says why."""
        for row in http.of("slow_consumer"):
            assert ("my-slow_consumer:slow_consumer", True) == (row["fault"], row["latency_ms"] > 700)

    def test_objectives(self, http: Result) -> None:
        """Injected faults count only when asked for; nothing is lost on the way."""
        http.counted_apart()
        assert (0, 1) == (http.judge("false"), http.judge("true"))

    def test_results_file(self, http: Result) -> None:
        """It holds what was judged and how many were left out; more cannot be judged from it."""
        exported = http.place.streamlab("runs", "export", "--json", "--output", "r.json")
        assert 0 == exported.returncode, exported.stdout
        seen = json.loads((http.place.folder / "r.json").read_text())["protocols"]["http"]
        assert len(http.rows) == seen["count"] + seen["faulted"]
        http.judge("true")
        refused = http.place.streamlab("slo", "check", "--slo", "strict.yaml", "r.json")
        assert 2 == refused.returncode
        assert f"{seen['faulted']:,} requests touched by injected faults are not in" in refused.stdout
