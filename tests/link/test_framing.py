"""Messages survive any way in which a stream may cut them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.link.framing import MESSAGE_LIMIT_BYTES, FramingError, Unframer, frame


class TestUnframer:
    """`Unframer`."""

    @given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 50))
    def test_messages_come_out_as_they_went_in(self, bodies: list[bytes], step: int) -> None:
        """Whatever the size of the pieces."""
        stream = b"".join(frame(body) for body in bodies)
        unframer, received = Unframer(), []
        for at in range(0, len(stream), step):
            received += unframer.feed(stream[at : at + step])
        assert bodies == received

    def test_an_incomplete_message_waits(self) -> None:
        """Nothing comes out before the last byte."""
        unframer, whole = Unframer(), frame(b"hello")
        assert [] == unframer.feed(whole[:-1])
        assert [b"hello"] == unframer.feed(whole[-1:])

    def test_a_senseless_length_is_refused(self) -> None:
        """It is not our stream."""
        with pytest.raises(FramingError):
            Unframer().feed((MESSAGE_LIMIT_BYTES + 1).to_bytes(4, "big"))
