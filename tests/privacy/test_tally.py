"""The counters of redaction, and how they are said."""

from __future__ import annotations

from streamlab_plugin.privacy.plan import Redactor
from streamlab_plugin.privacy.tally import found, marks, tally_text, total


class TestMarks:
    """`marks`."""

    def test_each_detector_and_the_mask(self) -> None:
        """Every mark counts, masked words once per text."""
        text = "no account for [email] or [email] at [ip], said ▢ to ▢"
        assert {"found_email": 2, "found_ip": 1, "masked": 1} == marks(text)

    def test_what_only_looks_like_a_mark(self) -> None:
        """Other words in brackets are somebody's own."""
        assert not marks("[ERROR] [a1] [x] list[index] of {email} (phone) \ud800")


class TestText:
    """`tally_text`."""

    def test_everything(self) -> None:
        """Actions in their order, findings most first."""
        counts = total([{"kept": 2, "found_ip": 1}, {"kept": 1_000, "failed": 1, "found_email": 7}])
        assert {"email": 7, "ip": 1} == found(counts)
        assert (
            "kept 1,002 · dropped 0 · hashed 0 · bucketed 0 · texts scrubbed 0 · payloads unread 1"
            " · error texts masked 0; found in texts: email 7 · ip 1"
        ) == tally_text(counts)

    def test_nothing(self) -> None:
        """Without findings nothing is said of them."""
        assert "found" not in tally_text(total([]))


class TestRedactor:
    """Where the counters come from."""

    def test_by_detector(self, redactor: Redactor) -> None:
        """What is found in a kept text counts by its kind; a mark that was there before does not."""
        redactor.redact(
            {"status": "to bob@example.org and eve@example.org, not [ip]", "value": "4111111111111111"}
        )
        assert {"email": 2, "card": 1} == found(redactor.counts)
        assert 2 == redactor.counts["scrubbed"]
