"""How MqttUser reaches a broker, what it leaves there, and how it says what the broker refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from certificates import make_all
from mosquitto import Mosquitto
from ports import free_ports

from streamlab_plugin.users.broker import broker_at
from streamlab_plugin.users.mqtt_error import FAILURE, REASONS, ConnectionLostError, MqttError, failure
from streamlab_plugin.users.tls import Tls
from users.conftest import HERE, Drive, of

RUN = "run_mqtt_options.py"
_TLS = "allow_anonymous true\ncafile {0}/ca.pem\ncertfile {0}/{1}.pem\nkeyfile {0}/{1}.pem"
_WEB = "protocol websockets\n"
Try = Callable[..., dict[str, Any]]


class Place:
    """A broker's ports by what listens there, and the folder of the certificates."""

    def __init__(self, folder: Path) -> None:
        make_all(folder)
        acl = folder / "acl"
        acl.write_text("topic readwrite d/#\ntopic readwrite q/#\n")
        listeners = {
            "mqtt": f"allow_anonymous true\nacl_file {acl}",
            "mqtts": _TLS.format(folder, "localhost"),
            "elsewhere": _TLS.format(folder, "elsewhere"),
            "self_signed": _TLS.format(folder, "self_signed"),
            "both": _TLS.format(folder, "localhost") + "\nrequire_certificate true",
            "ws": f"{_WEB}allow_anonymous true",
            "wss": _WEB + _TLS.format(folder, "localhost"),
        }
        self.folder = folder
        self.broker = Mosquitto(folder, list(listeners.values()))
        self.ports = {name: self.broker.port + number for number, name in enumerate(listeners)}

    def file(self, name: str) -> str:
        """Return the path of a certificate or key."""
        return str(self.folder / name)

    def url(self, listener: str, scheme: str) -> str:
        """Return the URL of a listener."""
        return f"{scheme}://localhost:{self.ports[listener]}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A mosquitto with and without TLS and WebSocket."""
    started = Place(tmp_path_factory.mktemp("mosquitto"))
    yield started
    started.broker.kill()


@pytest.fixture
def run(drive: Drive) -> Try:
    """Run a scenario with a user's attributes."""
    return lambda scenario, **attributes: drive(RUN, scenario, json.dumps(attributes))


@pytest.fixture(scope="module")
def amqtt() -> Iterator[int]:
    """The port of an amqtt broker; its WebSockets are at the port above."""
    port = free_ports(2)
    command = [sys.executable, str(HERE / "amqtt_target.py"), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield port
        process.terminate()


ROUND_TRIP = [[[True] * 5, [0, 1, 2, 3], True]]


class TestTransport:
    @pytest.mark.parametrize("listener", ["mqtts", "ws", "wss"])
    def test_mosquitto(self, run: Try, place: Place, listener: str) -> None:
        """Each QoS both ways, a message of many packets, and one larger than the socket's buffer."""
        tls = {"ca_file": place.file("ca.pem")}
        host = place.url(listener, listener) + ("/mqtt?a=b" if listener != "mqtts" else "")
        result = run("round_trip", host=host, tls=tls)
        assert (ROUND_TRIP, []) == (result["returned"], result["errors"])
        assert {"success"} == {row["outcome"] for row in result["rows"]}

    @pytest.mark.parametrize(("scheme", "above"), [("mqtt", 0), ("ws", 1)])
    def test_amqtt(self, run: Try, amqtt: int, scheme: str, above: int) -> None:
        """The same with another broker; it takes no WebSocket message of 3 MB."""
        result = run("small_round_trip", host=f"{scheme}://127.0.0.1:{amqtt + above}")
        assert ([[[True] * 4, [0, 1, 2, 3], True]], []) == (result["returned"], result["errors"])

    def test_broker_that_speaks_something_else(self, run: Try, place: Place) -> None:
        """A handshake that fails is a failed connect."""
        each = {scheme: {"host": place.url("mqtt", scheme)} for scheme in ("ws", "mqtts")}
        rows = of(run("attempts", host="mqtt://a", each=each), "connect")
        assert [("error", True)] * 2 == [(row["outcome"], row["error"].endswith("Error")) for row in rows]


class TestCertificate:
    def test_not_trusted(self, run: Try, place: Place) -> None:
        """A self-signed certificate, another host's and another authority's are errors of their own type."""
        reasons = {
            "self_signed": ("ca.pem", "certificate"),
            "elsewhere": ("ca.pem", "Hostname mismatch"),
            "mqtts": ("other_ca.pem", "certificate"),
            "wss": (None, "certificate"),
        }
        each = {
            name: {
                "host": place.url(name, "wss" if name == "wss" else "mqtts"),
                "tls": {"ca_file": ca and place.file(ca)},
            }
            for name, (ca, _reason) in reasons.items()
        }
        result = run("attempts", host="mqtt://a", each=each)
        rows = of(result, "connect")
        assert [("error", "SSLCertVerificationError")] * 4 == [(row["outcome"], row["error"]) for row in rows]
        assert [] == [row for row in rows if reasons[row["user_class"]][1] not in row["text"]]
        assert [[[False, False]] * 4] == result["returned"]

    def test_not_checked(self, run: Try, place: Place) -> None:
        """Without verification any certificate will do."""
        each = {
            name: {"host": place.url(name, "mqtts"), "tls": {"verify": False}}
            for name in ("self_signed", "elsewhere")
        }
        assert [[[True, True]] * 2] == run("attempts", host="mqtt://a", each=each)["returned"]

    def test_of_the_client(self, run: Try, place: Place) -> None:
        """A broker that wants the client's certificate accepts it, and nobody without one."""
        host, ca = place.url("both", "mqtts"), {"ca_file": place.file("ca.pem")}
        known = {"host": host, "tls": {**ca, "cert_file": place.file("device.pem")}}
        result = run("attempts", host="mqtt://a", each={"known": known, "unknown": {"host": host, "tls": ca}})
        assert [[[True, True], [False, False]]] == result["returned"]
        assert ["success", "error"] == [row["outcome"] for row in of(result, "connect")]

    def test_name_of_its_own(self, run: Try, place: Place) -> None:
        """A certificate may be for another name than the URL's, if the test says so."""
        tls = {"ca_file": place.file("ca.pem"), "server_name": "elsewhere.test"}
        result = run(
            "attempts", host="mqtt://a", each={"a": {"host": place.url("elsewhere", "mqtts"), "tls": tls}}
        )
        assert [[[True, True]]] == result["returned"]


class TestSession:
    @pytest.mark.parametrize("version", [{"mqtt_version": 4}, {"mqtt_version": 5, "session_expiry_s": 60}])
    def test_resumed(self, run: Try, place: Place, version: dict[str, int]) -> None:
        """A subscriber that was away gets what it missed, nothing of it twice but a QoS 1 message."""
        result = run("resume", host=place.url("mqtt", "mqtt"), port=place.ports["mqtt"], **version)
        got, closed = result["returned"][0]
        assert ({0, 10, 1, 11, 2, 12, 3, 13}, True) == (set(got), closed)
        assert {0, 10, 2, 12} >= {number for number in got if got.count(number) > 1}
        assert 1 == len(of(result, "subscribe"))

    def test_forgotten(self, run: Try, place: Place) -> None:
        """Where the broker has forgotten the session, the subscription is renewed."""
        result = run("forgotten", host=place.url("mqtt", "mqtt"), port=place.ports["mqtt"])
        assert ([[1]], 2) == (result["returned"], len(of(result, "subscribe", outcome="success")))

    def test_will(self, run: Try, place: Place) -> None:
        """The broker publishes the will of a client that vanishes."""
        result = run("will", host=place.url("mqtt", "mqtt"), port=place.ports["mqtt"])
        assert [["gone"]] == result["returned"]

    def test_shared_subscription(self, run: Try, place: Place) -> None:
        """Each message of a shared topic goes to one of the subscribers."""
        result = run("shared", host=place.url("mqtt", "mqtt"))
        assert [[list(range(20)), [True, True]]] == result["returned"]
        assert 20 == len(of(result, "deliver", name="d/s"))


class TestEnvelope:
    @pytest.mark.parametrize(("envelope", "version"), [("user_properties", 5), ("binary", 4)])
    def test_stamps_any_payload(self, run: Try, place: Place, envelope: str, version: int) -> None:
        """Text and bytes are numbered and timed like JSON; the hook and the record see the payload alone."""
        result = run("enveloped", host=place.url("mqtt", "mqtt"), mqtt_version=version, envelope=envelope)
        got, seen_by_others = result["returned"][0]
        assert [1, "text", "bytes", "bare"] == got
        assert (envelope == "user_properties") == ("b'text'" in seen_by_others)
        sent = of(result, "publish", user_class="Device")
        heard = of(result, "deliver", user_class="Device")
        assert [1, 2, 3] == [row["stream_seq"] for row in sent]
        assert [1, 2, 3, None] == [row["stream_seq"] for row in heard]
        assert {sent[0]["stream"]} == {row["stream"] for row in heard[:3]}
        assert ['{"n":1}', None, None] == [row["payload"] for row in heard[:3]]
        assert all(row["latency_ms"] > 0 for row in heard[:3])
        assert heard[3]["latency_ms"] is None


class TestReason:
    def test_refused(self, run: Try, place: Place) -> None:
        """A publish that may not be is an error that says so, with QoS 1 and 2."""
        result = run("refused", host=place.url("mqtt", "mqtt"), mqtt_version=5)
        assert [("error", 135, "NotAuthorisedError")] * 2 == [
            (row["outcome"], row["status"], row["error"]) for row in of(result, "publish")
        ]

    @pytest.mark.parametrize(
        ("answer", "status", "error"),
        [
            (b"\x40\x04ID\x97\x00", 151, "QuotaExceededError"),
            (b"\xe0\x02\x8e\x00", 142, "SessionTakenOverError"),
        ],
    )
    def test_answered(self, run: Try, answer: bytes, status: int, error: str) -> None:
        """An acknowledgement that is none, and a goodbye of the broker's."""
        result = run("answered", answer=answer.hex(), mqtt_version=5)
        (row,) = of(result, "publish")
        assert ("error", status, error) == (row["outcome"], row["status"], row["error"])

    def test_each_code_has_its_type(self) -> None:
        """All codes from 128 to 162 are told apart; an unknown one is no surprise."""
        errors = [failure("no", code) for code in range(FAILURE, FAILURE + len(REASONS))]
        assert (35, 162) == (len({type(error) for error in errors}), errors[-1].status)
        assert {True} == {isinstance(error, MqttError) for error in errors}
        assert (MqttError, 200) == (type(failure("no", 200)), failure("no", 200).status)
        assert "no: quota exceeded" == str(failure("no", 151))
        assert ("gone: connection lost", 128) == (
            str(ConnectionLostError("gone")),
            ConnectionLostError("gone").status,
        )


class TestBadAttribute:
    def test_stops_the_test_with_one_line(self, run: Try) -> None:
        """The constructor names class, attribute and value."""
        schemes = "mqtt://, mqtts://, ws:// or wss://"
        will = {"topic": "", "payload": "b"}
        cases: list[tuple[dict[str, Any], str]] = [
            ({"host": "http://a"}, f"host must be a {schemes} URL, got 'http://a'"),
            ({"host": "mqtt://a:99999"}, "host must have a port from 1 to 65535, got 'mqtt://a:99999'"),
            ({"mqtt_version": 3}, "mqtt_version must be 4 (3.1.1) or 5, got 3"),
            ({"session_expiry_s": 9}, "session_expiry_s (9) needs mqtt_version 5"),
            ({"envelope": "x"}, "envelope must be one of json, user_properties, binary, got 'x'"),
            ({"envelope": "user_properties"}, "envelope 'user_properties' needs mqtt_version 5, got 4"),
            ({"reconnect_delay_s": 9}, "reconnect_delay_s must be above 0, at most 5.0, got 9"),
            ({"reconnect_delay_s": 0}, "reconnect_delay_s must be above 0, at most 5.0, got 0"),
            ({"reconnect_jitter": 2}, "reconnect_jitter must be from 0 to 1, got 2"),
            ({"drain_s": 60}, "drain_s must be from 0 to 1.5, got 60"),
            ({"will": will}, "will must have a topic, and a qos of 0, 1 or 2, got {'topic': ''}"),
        ]
        each = [{"host": "mqtt://a", **attributes} for attributes, _line in cases]
        said = run("refusals", each=each)["said"]
        assert [f"StopTest: Device.{line}" for _attributes, line in cases] == said

    def test_files(self, tmp_path: Path) -> None:
        """Files that are missing or hold no certificate are named, in one line."""
        junk = tmp_path / "junk.pem"
        junk.write_text("junk")
        for tls in (Tls(ca_file="no.pem"), Tls(ca_file=str(junk)), Tls(cert_file=str(junk), key_file="k")):
            with pytest.raises(ValueError) as caught:
                broker_at("wss://a", tls)
            files = f"ca_file {tls.ca_file!r}, cert_file {tls.cert_file!r}, key_file {tls.key_file!r}"
            said = f"tls cannot be used ({files}): "
            assert (said, 1) == (str(caught.value)[: len(said)], len(str(caught.value).splitlines()))
