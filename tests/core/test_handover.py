"""The handover is bounded by count and by bytes and counts what it refuses."""

from __future__ import annotations

import pytest

from streamlab_plugin.core.handover import RECORD_BYTES, Handover


class TestHandover:
    """`Handover`."""

    def test_it_gives_back_what_was_put_in_order(self) -> None:
        """Oldest first, and then it is empty."""
        handover = Handover(10)
        for number in range(3):
            assert handover.put((number,))
        assert [(0,), (1,), (2,)] == handover.take()
        assert [] == handover.take()

    def test_a_full_count_drops_and_counts(self) -> None:
        """The third of two is refused."""
        handover = Handover(2)
        assert [True, True, False] == [handover.put((number,)) for number in range(3)]
        assert {"handover_full": 1} == handover.dropped

    def test_full_bytes_drop_and_count(self) -> None:
        """Payload bytes count against the bound."""
        handover = Handover(10, capacity_bytes=3 * RECORD_BYTES)
        assert handover.put((1,), payload_bytes=RECORD_BYTES)
        assert not handover.put((2,), payload_bytes=RECORD_BYTES)
        assert {"handover_full": 1} == handover.dropped

    def test_taking_makes_room_again(self) -> None:
        """Bytes are free again after `take`."""
        handover = Handover(10, capacity_bytes=RECORD_BYTES)
        assert handover.put((1,))
        handover.take()
        assert handover.put((2,))

    @pytest.mark.parametrize(("count", "size"), [(0, 1), (1, 0), (-1, 1)])
    def test_a_capacity_below_one_is_refused(self, count: int, size: int) -> None:
        """At construction, not later."""
        with pytest.raises(ValueError, match="at least 1"):
            Handover(count, size)
