"""A track remembers exactly what a new recorder must be told again."""

from __future__ import annotations

import msgspec

from streamlab_plugin.link.message import OpenProcess, encode
from streamlab_plugin.link.track import Track

OPENING = OpenProcess("r", "p", "standalone", 1, 1.0)


def _again(acknowledged: int) -> bytes:
    return encode(msgspec.structs.replace(OPENING, is_retold=True, acknowledged=acknowledged))


def _track() -> Track:
    track = Track(run="r", open_run=b"run", open_process=OPENING, process="p")
    for body in (b"one", b"two", b"three"):
        track.keep(track.next_number(), body)
    return track


class TestTrack:
    """`Track`."""

    def test_everything_unacknowledged_is_retold_in_order(self) -> None:
        """Opening words first, then frames, then the stop."""
        track = _track()
        track.stop_run = b"stop"
        assert [b"run", _again(0), b"one", b"two", b"three", b"stop"] == list(track.retold())

    def test_acknowledged_frames_are_forgotten(self) -> None:
        """An acknowledgement covers everything before it, the bytes are free, and the next one is told."""
        track = _track()
        track.acknowledge(2)
        assert [b"run", _again(2), b"three"] == list(track.retold())
        assert len(b"three") == track.unacked_bytes

    def test_an_owner_is_finished_with_the_verdict(self) -> None:
        """Not before, even if all frames are on disk."""
        track = _track()
        track.is_closed = True
        track.acknowledge(3)
        assert not track.is_finished(set())
        assert track.is_finished({"r"})

    def test_a_worker_is_finished_when_drained_and_closed(self) -> None:
        """It waits for no verdict."""
        track = _track()
        track.open_run = None
        track.acknowledge(3)
        assert not track.is_finished(set())
        track.is_closed = True
        assert track.is_finished(set())
