"""The MQTT probe against mosquitto, amqtt, and servers that are none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from amqtt.broker import Broker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from probe_peers import (
    PASSWORD,
    USER,
    Ask,
    Certificates,
    closed_port,
    mosquitto,
    raw_server,
    saying,
    until_end,
)

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.probe import mqtt
from streamlab_plugin.probe.mqtt import MqttQuestion

Ports = tuple[int, int, int]


def asking(**question: Any) -> Any:
    """Return the steps of a probe with this question."""
    return partial(mqtt.probe, question=MqttQuestion(**question))


@pytest.fixture(scope="module")
def ports(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    """A mosquitto: its ports for all, with a password, and with TLS."""
    with mosquitto(tmp_path_factory.mktemp("mosquitto"), certificates) as found:
        yield found


@pytest.fixture(scope="module")
def amqtt_port() -> Iterator[int]:
    """An amqtt in a thread of its own."""
    port, loop = closed_port(), asyncio.new_event_loop()
    plugins: dict[str, Any] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}

    async def start() -> Broker:
        broker = Broker({"listeners": listeners, "plugins": plugins})
        await broker.start()
        return broker

    broker = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield port
    asyncio.run_coroutine_threadsafe(broker.shutdown(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


class TestMosquitto:
    """A broker that does as it should."""

    @pytest.mark.parametrize("version", [4, 5])
    @pytest.mark.parametrize("qos", [0, 1, 2])
    def test_round_trip(self, ask: Ask, ports: Ports, version: int, qos: int) -> None:
        """Connect, subscribe, publish (where it is acknowledged) and round trip are measured."""
        answer = ask(f"mqtt://127.0.0.1:{ports[0]}", asking(version=version, qos=qos))
        acknowledged = ["publish"] if qos else []
        expected = ["dns", "tcp", "connect", "subscribe", *acknowledged, "round_trip", "total"]
        assert ("ok", expected) == (answer.outcome, list(answer.timings_ms)), answer.reason

    def test_encrypted(self, ask: Ask, ports: Ports, trusted: Certificates) -> None:
        """mqtts measures TLS as well."""
        answer = ask(f"mqtts://127.0.0.1:{ports[2]}", asking())
        assert ("ok", True) == (answer.outcome, "tls" in answer.timings_ms)

    def test_not_trusted(self, ask: Ask, ports: Ports) -> None:
        """A certificate of an unknown authority is `tls`."""
        assert "tls" == ask(f"mqtts://127.0.0.1:{ports[2]}", asking()).outcome

    def test_sys(self, ask: Ask, ports: Ports) -> None:
        """What the broker tells about itself becomes facts."""
        answer = ask(f"mqtt://127.0.0.1:{ports[0]}", asking(wants_sys=True))
        assert "ok" == answer.outcome
        assert str(answer.facts["broker_version"]).startswith("mosquitto version 2")

    def test_on_a_closed_port(self, ask: Ask) -> None:
        """No broker is `refused`."""
        assert "refused" == ask(f"mqtt://127.0.0.1:{closed_port()}", asking()).outcome


class TestNotAuthorised:
    """A broker that wants a password."""

    @pytest.mark.parametrize("version", [4, 5])
    def test_no_password(self, ask: Ask, ports: Ports, version: int) -> None:
        """The reason is the standard's, in both versions."""
        answer = ask(f"mqtt://127.0.0.1:{ports[1]}", asking(version=version))
        assert ("not_authorised", 135) == (answer.outcome, answer.facts["reason_code"])
        assert "the broker refused the connection: not authorised (reason code 135)" == answer.reason

    def test_a_wrong_password(self, ask: Ask, ports: Ports) -> None:
        """A wrong one is no better than none."""
        answer = ask(f"mqtt://127.0.0.1:{ports[1]}", asking(username=USER, password="hunter2"))
        assert "not_authorised" == answer.outcome
        assert "hunter2" not in str(answer)

    def test_the_right_password(self, ask: Ask, ports: Ports) -> None:
        """With it one is let in, where one may write."""
        question = asking(username=USER, password=PASSWORD, topic="free/probe")
        assert "ok" == ask(f"mqtt://127.0.0.1:{ports[1]}", question).outcome

    def test_a_topic_of_others(self, ask: Ask, ports: Ports) -> None:
        """MQTT 5 says that one may not write."""
        question = asking(username=USER, password=PASSWORD, topic="taken", version=5)
        assert "not_authorised" == ask(f"mqtt://127.0.0.1:{ports[1]}", question).outcome

    def test_a_topic_of_others_in_silence(self, ask: Ask, ports: Ports) -> None:
        """In MQTT 3.1.1 the message just disappears; the text says what it may be."""
        question = asking(username=USER, password=PASSWORD, topic="taken", qos=0)
        answer = ask(f"mqtt://127.0.0.1:{ports[1]}", question, timeout_s=0.5)
        assert answer.outcome in ("timeout", "bad_status")
        assert "taken" in answer.reason or "subscription" in answer.reason


class TestAmqtt:
    """Another broker."""

    @pytest.mark.parametrize("qos", [0, 1, 2])
    def test_round_trip(self, ask: Ask, amqtt_port: int, qos: int) -> None:
        """The message comes back."""
        answer = ask(f"mqtt://127.0.0.1:{amqtt_port}", asking(qos=qos))
        assert ("ok", True) == (answer.outcome, "round_trip" in answer.timings_ms), answer.reason

    def test_nothing_told(self, ask: Ask, amqtt_port: int) -> None:
        """A broker that tells nothing about itself is ok, with a warning."""
        answer = ask(f"mqtt://127.0.0.1:{amqtt_port}", asking(wants_sys=True))
        assert "ok" == answer.outcome
        assert ("the broker tells nothing under $SYS/broker, or not to this user",) == answer.warnings


class TestNoMqtt:
    """Servers that do not do what MQTT wants."""

    def test_silence(self, ask: Ask) -> None:
        """Nothing comes: `timeout`."""
        with raw_server(until_end) as port:
            answer = ask(f"mqtt://127.0.0.1:{port}", asking(), timeout_s=0.2)
        assert ("timeout", "no answer within 0.2 s, in phase connect") == (answer.outcome, answer.reason)

    @pytest.mark.parametrize(
        ("connack", "outcome"),
        [
            (b"\x20\x02\x00\x01", "protocol"),  # unacceptable version
            (b"\x20\x02\x00\x03", "bad_status"),  # server unavailable
            (b"\x20\x02\x00\x04", "not_authorised"),  # bad user name or password
            (b"\x20\x02\x00\x05", "not_authorised"),
        ],
    )
    def test_refusals(self, ask: Ask, connack: bytes, outcome: str) -> None:
        """The return codes of MQTT 3.1.1."""
        with raw_server(saying(connack)) as port:
            assert outcome == ask(f"mqtt://127.0.0.1:{port}", asking()).outcome

    @pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 10])
    def test_protocol(self, ask: Ask, said: bytes) -> None:
        """Something else than MQTT, then the end."""
        with raw_server(saying(said)) as port:
            assert "protocol" == ask(f"mqtt://127.0.0.1:{port}", asking()).outcome

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(said=st.binary(max_size=30), version=st.sampled_from([4, 5]), is_let_in=st.booleans())
    def test_anything(self, ask: Ask, said: bytes, version: int, is_let_in: bool) -> None:
        """Whatever a server says is an outcome."""
        beginning = {4: b"\x20\x02\x00\x00", 5: b"\x20\x03\x00\x00\x00"}[version] if is_let_in else b""
        with raw_server(saying(beginning + said)) as port:
            answer = ask(f"mqtt://127.0.0.1:{port}", asking(version=version))
        assert answer.outcome in ("protocol", "bad_status", "not_authorised")


class TestTopic:
    """Topics that nobody can publish to."""

    @pytest.mark.parametrize("topic", ["", "a/+", "#", "$SYS/x", "a\0b", "x" * 65_536])
    def test_bad(self, topic: str) -> None:
        """One clear line before anything is sent."""
        with pytest.raises(ConfigError, match="is no topic to publish to; give one without"):
            MqttQuestion(topic=topic)
