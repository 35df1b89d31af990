"""Response bodies in error texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.privacy.detector import clean_text
from streamlab_plugin.privacy.snippet import _UNCLOSED_RE, _WHOLE_RE, _snippet_end

PIECES = ["{", "}", "[", "]", '"', "'", "\\", "a", ":", ",", '{"', "{'", "é", "\n", " "]


class TestSnippet:
    """`SNIPPET`."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('400: {"a": [1, {"b": "}"}]} at once', "400: {…} at once"),
            ('400: {"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}} at once', "400: {…} at once"),
            ('400: {"a": {"b": "cut off', "400: {…}"),
            ("{'a': 1}, {'b': 2}", "{…}, {…}"),
        ],
    )
    def test_whole_objects(self, text: str, expected: str) -> None:
        """An object goes to its end, one that is cut off to the end of the text."""
        assert expected == clean_text(text)

    @given(st.lists(st.sampled_from(PIECES), max_size=24).map("".join))
    def test_patterns_agree_with_reading(self, rest: str) -> None:
        """Where a pattern says that an object ends, reading it character by character says so too."""
        data = f'{{"{rest}'.encode()
        whole = _WHOLE_RE.match(data, 0)
        if whole is not None:
            assert _snippet_end(data, 0) == whole.end()
        elif _UNCLOSED_RE.match(data, 0) is not None:
            assert _snippet_end(data, 0) == len(data)
