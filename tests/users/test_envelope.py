from __future__ import annotations

import time
from typing import Any

import pytest

from streamlab_plugin.users.clock import epoch_s
from streamlab_plugin.users.delivery import Delivery, stream_name
from streamlab_plugin.users.envelope import envelope

STREAM = stream_name("me", "t")
NAMES = ["json", "user_properties", "binary"]


def there_and_back(name: str, payload: Any) -> Delivery:
    """Stamp *payload* and read it again, a quarter of a second later."""
    stamp, read = envelope(name, 5)
    arrived = time.perf_counter()
    stamped = stamp(payload, STREAM, 7, epoch_s(arrived) - 0.25)
    return read("t", stamped.data, arrived, stamped.properties, is_retained=False)


class TestEnvelope:
    @pytest.mark.parametrize("name", NAMES)
    def test_place_and_latency(self, name: str) -> None:
        """What was put in comes out."""
        delivery = there_and_back(name, {"a": 1})
        assert (STREAM, 7, pytest.approx(250.0, abs=0.01)) == (
            delivery.stream,
            delivery.stream_seq,
            delivery.latency_ms,
        )

    @pytest.mark.parametrize("name", NAMES[1:])
    @pytest.mark.parametrize(
        ("payload", "message", "recorded"),
        [
            ({"a": 1}, {"a": 1}, b'{"a":1}'),
            ("[1]", [1], b"[1]"),
            ("text", b"text", None),
            (b"\x00\xff", b"\x00\xff", None),
            (b"", b"", None),
        ],
    )
    def test_payload_is_left_alone(
        self, name: str, payload: Any, message: Any, recorded: bytes | None
    ) -> None:
        """The payload is as it was, and recorded without its envelope if it is JSON."""
        delivery = there_and_back(name, payload)
        assert (message, recorded) == (delivery.message, delivery.payload)
        assert recorded == envelope(name, 5)[0](payload, STREAM, 1, 1.0).payload

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\xf5SL1",
            b"\xf5SL1" + b"\xff" * 18,
            b"\xf5SL1" + b"\xff" * 30,
            b"\xf5SL1" + bytes(18) + b"x",
            b"\xf5SL1\x7f\xf8" + bytes(14) + b"\x00\x08" + STREAM[:8].encode(),
        ],
    )
    def test_binary_survives_anything(self, data: bytes) -> None:
        """A prefix that is cut off or wrong is no place, and nothing is lost of a payload that has none."""
        _stamp, read = envelope("binary", 4)
        delivery = read("t", data, 0.0, is_retained=False)
        assert (None, len(data)) == (delivery.latency_ms, delivery.size)

    def test_properties_survive_anything(self) -> None:
        """Properties that are not ours, or make no sense, are no place."""
        _stamp, read = envelope("user_properties", 5)

        class Properties:
            UserProperty = (("streamlab-seq", "x"), ("streamlab-sent-at", "nan?"), ("other", "1"))

        delivery = read("t", b"{}", 0.0, Properties, is_retained=False)
        assert (None, None, None) == (delivery.stream, delivery.stream_seq, delivery.latency_ms)

    @pytest.mark.parametrize(("name", "version"), [("xml", 5), ("user_properties", 4)])
    def test_unknown(self, name: str, version: int) -> None:
        """Another envelope, or one that the version does not have, is refused."""
        with pytest.raises(ValueError, match=f"envelope .*{name}"):
            envelope(name, version)
