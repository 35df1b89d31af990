"""The handover is bounded by bytes and counts what it refuses."""

from __future__ import annotations

import msgspec
import pytest

from streamlab_plugin.core.handover import CHUNK_RECORDS, Handover

_encoder = msgspec.msgpack.Encoder()
RECORD = ("x" * 98,)  # 101 bytes encoded


def _handover(capacity_bytes: int = 1_000_000) -> Handover:
    return Handover(_encoder.encode_into, capacity_bytes)


def _records(handover: Handover) -> list[object]:
    body = b"".join(body for _count, body in handover.take())
    unpacked, decoder = [], msgspec.msgpack.Decoder(list[msgspec.Raw])
    count = body.count(b"\x91")
    for raw in decoder.decode(b"\xdd" + count.to_bytes(4, "big") + body):
        unpacked.append(msgspec.msgpack.decode(raw))
    return unpacked


class TestHandover:
    """`Handover`."""

    def test_it_gives_back_what_was_put_in_order(self) -> None:
        """Oldest first, and then it is empty."""
        handover = _handover()
        for number in range(3):
            assert handover.put((number,))
        assert [[0], [1], [2]] == _records(handover)
        assert [] == handover.take()

    def test_chunks_are_bounded(self) -> None:
        """One frame each, and their counts add up."""
        handover = _handover()
        for number in range(CHUNK_RECORDS + 5):
            handover.put((number,))
        assert [CHUNK_RECORDS, 5] == [count for count, _body in handover.take()]

    def test_full_drops_and_counts(self) -> None:
        """Bytes are exact: two records fit, the third is refused."""
        handover = _handover(capacity_bytes=202)
        assert [True, True, False] == [handover.put(RECORD) for _ in range(3)]
        assert {"handover_full": 1} == handover.dropped

    def test_taking_makes_room_again(self) -> None:
        """Bytes are free again after `take`."""
        handover = _handover(capacity_bytes=101)
        assert handover.put(RECORD)
        handover.take()
        assert handover.put(RECORD)

    def test_an_odd_value_costs_only_its_record(self) -> None:
        """What was half written is taken back."""
        handover = _handover()
        handover.put((1,))
        assert not handover.put((2, object()))
        handover.put((3,))
        assert {"unencodable": 1} == handover.dropped
        assert [[1], [3]] == _records(handover)

    @pytest.mark.parametrize("size", [0, -1])
    def test_a_capacity_below_one_is_refused(self, size: int) -> None:
        """At construction, not later."""
        with pytest.raises(ValueError, match="at least 1"):
            _handover(size)
