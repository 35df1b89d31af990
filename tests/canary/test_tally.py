"""Two processes agree about what was sent without telling each other any of it."""

from __future__ import annotations

from pathlib import Path

from streamlab_plugin.canary.tally import Tally, checksum, decoded, read_tally


class TestTally:
    """`Tally` and `read_tally`."""

    def test_written_and_read(self, tmp_path: Path) -> None:
        """Each planting has the checksum of what was made; no value is in the file."""
        tally = Tally(tmp_path / "seen.json")
        tally.note("http", 7, "Anna Müller")
        tally.note("mqtt", 7, b"\xff")
        tally.write()
        assert {"http 7": checksum("Anna Müller".encode()), "mqtt 7": checksum(b"\xff")} == read_tally(
            tmp_path / "seen.json"
        )
        assert "Anna" not in (tmp_path / "seen.json").read_text()

    def test_not_written(self, tmp_path: Path) -> None:
        """Whoever wrote nothing saw nothing."""
        assert {} == read_tally(tmp_path / "seen.json")


class TestChecksum:
    """`checksum`."""

    def test_document(self) -> None:
        """Order, white space and the stamps of users and target make no difference; a value does."""
        sent = {"name": "Anna", "score": 1.5}
        came = decoded(b'{"score": 1.5, "stream_seq": 4, "correlation_id": "x", "name": "Anna"}')
        assert checksum(sent) == checksum(came)
        assert checksum(sent) != checksum({**sent, "name": "Anne"})

    def test_no_json(self) -> None:
        """Other bytes stay what they are."""
        assert b"\xff{" == decoded(b"\xff{")
