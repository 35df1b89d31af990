from __future__ import annotations

import pytest

from streamlab_plugin.web.formatting import iso, show


class TestShow:
    @pytest.mark.parametrize(
        ("value", "form", "text"),
        [
            (12345, "count", "12,345"),
            (1234.56, "rate", "1,234.6"),
            (8.26, "ms", "8.3 ms"),
            (1309.6, "ms", "1,310 ms"),
            (0, "percent", "0.0 %"),
            (0.0025, "percent", "0.25 %"),
            (0.125, "percent", "12.5 %"),
            (0.8, "share", "80 %"),
            (999, "size", "999 B"),
            (1_234_567, "size", "1.2 MB"),
            (42.9, "duration", "42 s"),
            (600, "duration", "10 min 0 s"),
            (7500, "duration", "2 h 5 min"),
            (0, "time", "1970-01-01 00:00:00 UTC"),
            ("not_applicable", "words", "not applicable"),
            ("", "text", "–"),
            (None, "ms", "–"),
        ],
    )
    def test_formats(self, value: object, form: str, text: str) -> None:
        """Numbers carry their unit; what is missing is a dash."""
        assert show({"a": {"b": value}}, "a.b", form) == text

    def test_missing_step(self) -> None:
        """A path that leads nowhere is a dash."""
        assert show({"a": None}, "a.b.c", "count") == "–"
        assert iso({}, "a") == ""
