from __future__ import annotations

import json
import time

import pytest

from streamlab_plugin.users.clock import MACHINE_ID, epoch_s
from streamlab_plugin.users.delivery import read, stamp, stream_name

STREAM = stream_name("me", "t")


def delivered(*, ours: bool = True, retained: bool = False, sent_ago_s: float = 0.25) -> float | None:
    """Return the latency of a message that was sent some time ago."""
    arrived = time.perf_counter()
    stream = STREAM if ours else "0ther:me:t"
    body = {"sent_at": epoch_s(arrived) - sent_ago_s, "stream": stream, "stream_seq": 3}
    return read("t", json.dumps(body).encode(), arrived, is_retained=retained).latency_ms


class TestStamp:
    def test_adds_time_and_place_to_a_dict(self) -> None:
        """A dict says when it was sent, by whom, and which one it is."""
        stamped = stamp({"a": 1}, STREAM, 7, 12.5)
        assert json.loads(stamped.data) == {"sent_at": 12.5, "stream": STREAM, "stream_seq": 7, "a": 1}
        assert (stamped.payload, stamped.stream, stamped.stream_seq) == (stamped.data, STREAM, 7)

    def test_keeps_fields_of_the_test(self) -> None:
        """What the payload has already is not overwritten."""
        assert json.loads(stamp({"stream": "own"}, STREAM, 7, 12.5).data)["stream"] == "own"

    @pytest.mark.parametrize(("payload", "kept"), [("plain", None), (b"\x00", None), ('{"a":1}', b'{"a":1}')])
    def test_leaves_text_and_bytes_alone(self, payload: str | bytes, kept: bytes | None) -> None:
        """Only a dict is stamped; what looks like JSON is recorded."""
        stamped = stamp(payload, STREAM, 7, 12.5)
        assert (kept, None) == (stamped.payload, stamped.stream)


class TestRead:
    def test_latency_is_from_publisher_to_subscriber(self) -> None:
        """The difference of both moments, where one clock told them."""
        assert delivered() == pytest.approx(250.0, abs=0.01)

    @pytest.mark.parametrize("case", [{"ours": False}, {"retained": True}, {"sent_ago_s": -1.0}])
    def test_latency_is_unknown_on_another_clock(self, case: dict[str, bool]) -> None:
        """Another machine's clock, a retained message, and a message from the future have none."""
        assert delivered(**case) is None  # type: ignore[arg-type]

    def test_stream_and_number(self) -> None:
        """They are read from any JSON object."""
        delivery = read("t", b'{"stream":"x","stream_seq":4}', 0.0, is_retained=False)
        assert (delivery.stream, delivery.stream_seq) == ("x", 4)

    @pytest.mark.parametrize("data", [b"\xff", b"plain", b"", b"[1]", b'{"stream":1,"stream_seq":"x"}'])
    def test_survives_anything(self, data: bytes) -> None:
        """What is no object of ours has no place and no latency."""
        delivery = read("t", data, 0.0, is_retained=False)
        assert (None, None, None, len(data)) == (
            delivery.stream,
            delivery.stream_seq,
            delivery.latency_ms,
            delivery.size,
        )

    def test_stream_names_the_machine(self) -> None:
        """So that a subscriber knows whose clock it was."""
        assert stream_name("me", "t").startswith(f"{MACHINE_ID}:")
