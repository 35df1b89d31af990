from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.users.event_parser import EventParser, EventTooLargeError, ServerEvent

PIECES = [
    b"data: x",
    b"data:",
    b"\n",
    b"\r",
    b"\r\n",
    b": c",
    b"id: 1",
    b"id",
    b"event: e",
    b"\xef\xbb\xbf",
    b"\xc3",
]


def parse(*chunks: bytes, limit_bytes: int = 100) -> list[tuple[str, str, str]]:
    """Return type, data and id of all events in *chunks*."""
    parser = EventParser(limit_bytes)
    return [(event.type, event.data, event.id) for chunk in chunks for event in parser.feed(chunk)]


class TestFormat:
    """The examples of the WHATWG standard, and what it says beside them."""

    @pytest.mark.parametrize(
        ("stream", "events"),
        [
            (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10", "")]),
            (
                b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
                b"data:  third event\n\n",
                [
                    ("message", "first event", "1"),
                    ("message", "second event", ""),
                    ("message", " third event", ""),
                ],
            ),
            (b"data\n\ndata\ndata\n\ndata:", [("message", "", ""), ("message", "\n", "")]),
            (b"data:test\n\ndata: test\n\n", [("message", "test", ""), ("message", "test", "")]),
            (b"event: add\ndata: 1\n\ndata: 2\n\n", [("add", "1", ""), ("message", "2", "")]),
            (b"event: lost\n\ndata: 1\n\n", [("message", "1", "")]),
            (b"id: 7\n\ndata: a\n\n", [("message", "a", "7")]),
            (b"id: a\0b\ndata: x\n\n", [("message", "x", "")]),
            (b"\xef\xbb\xbfdata: bom\n\n", [("message", "bom", "")]),
            (b"\xef\xbb\xbf\xef\xbb\xbfdata: two boms\n\n", []),
            (b"data: \xff\n\n", [("message", "�", "")]),
            (b"data: \x0b\x0c\xc2\x85\xe2\x80\xa8\n\n", [("message", "\x0b\x0c\x85\u2028", "")]),
            (b"Data: x\n data: x\nunknown: x\nx\n\n", []),
            (b"data: a:b: c\n\n", [("message", "a:b: c", "")]),
            (b"data: never ended", []),
            (b"data: never dispatched\n", []),
        ],
    )  # fmt: skip
    def test_events(self, stream: bytes, events: list[tuple[str, str, str]]) -> None:
        """What is in a stream."""
        assert events == parse(stream)

    @pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
    def test_ends_of_lines(self, end: bytes) -> None:
        """LF, CR and CRLF all end a line; a CR at the end of a read needs no second look."""
        lines = [b"event: a", b"data: 1", b"data: 2", b"", b"data: 3", b""]
        stream = b"".join(line + end for line in lines)
        assert [("a", "1\n2", ""), ("message", "3", "")] == parse(stream)
        assert [("a", "1\n2", ""), ("message", "3", "")] == parse(*(bytes([byte]) for byte in stream))

    @given(st.lists(st.sampled_from(PIECES)), st.data())
    def test_cuts_do_not_matter(self, pieces: list[bytes], data: st.DataObject) -> None:
        """However the network cuts a stream, it has the same events."""
        stream = b"".join(pieces)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
        chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert parse(stream) == parse(*chunks)

    @pytest.mark.parametrize(
        ("line", "retry_ms"),
        [(b"retry: 250", 250), (b"retry: 1.5", None), (b"retry: -1", None), (b"retry:", None),
         (b"retry: " + b"9" * 5000, 999_999_999), (b"retry: \xd9\xa3", None)],
    )  # fmt: skip
    def test_retry(self, line: bytes, retry_ms: int | None) -> None:
        """Digits only, and not without end."""
        parser = EventParser(1_000_000)
        list(parser.feed(line + b"\n"))
        assert retry_ms == parser.retry_ms

    def test_last_id_goes_on(self) -> None:
        """An id stays until another one comes, also over connections, and counts only with a blank line."""
        parser = EventParser(1_000, last_id="5")
        assert ["5", "6"] == [event.id for event in parser.feed(b"data: a\n\nid: 6\ndata: b\n\nid: 7\n")]
        assert "6" == parser.last_id


class TestLimit:
    def test_endless_line(self) -> None:
        """A line without end is given up; what came before it is there."""
        parser = EventParser(10_000)
        assert ["a"] == [event.data for event in parser.feed(b"data: a\n\ndata: " + b"x" * 9_000)]
        with pytest.raises(EventTooLargeError, match="larger than 10000 bytes"):
            list(parser.feed(b"x" * 1_000))

    @pytest.mark.parametrize("line", [b"data: " + b"x" * 90 + b"\n", b"data\n" * 20])
    def test_endless_event(self, line: bytes) -> None:
        """So is an event of ever more lines."""
        parser = EventParser(1_000)
        with pytest.raises(EventTooLargeError):
            [list(parser.feed(line)) for _ in range(1_000)]

    def test_comments_and_unknown_fields_need_no_memory(self) -> None:
        """They may go on for ever."""
        assert [("message", "x", "")] == parse(
            *([b": alive\nfoo: bar\n"] * 10_000), b"data: x\n\n", limit_bytes=100
        )


class TestEvent:
    def test_json(self) -> None:
        """The data of an event as JSON."""
        assert {"a": [1]} == ServerEvent("message", "", b'{"a":\n[1]}').json()
