"""Response bodies quoted in error texts: JSON objects and Python dicts, whole or cut off."""

from __future__ import annotations

import re2

from streamlab_plugin.privacy.pattern import Pattern

_OPENING = r"""\{\s*\\*["']"""
_OPENING_RE = re2.compile(_OPENING)
_STRING = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_DEPTH = 4  # what is nested deeper is read character by character


def _nested(depth: int) -> str:
    """Return what stands in brackets, with brackets in it that are closed."""
    inner = rf"|[{{\[]{_nested(depth - 1)}[}}\]]" if depth else ""
    return rf"""(?:[^{{}}\[\]"']|{_STRING}{inner})*"""


def _unclosed(depth: int) -> str:
    """Return a bracket that the end of the text cuts off, maybe within a string or another bracket."""
    cut = r""""(?:[^"\\]|\\.)*\\?|'(?:[^'\\]|\\.)*\\?"""
    inner = f"|{_unclosed(depth - 1)}" if depth else ""
    return rf"[{{\[]{_nested(_DEPTH)}(?:{cut}{inner})?"


_WHOLE_RE = re2.compile(rf"(?s)\{{{_nested(_DEPTH)}[}}\]]")
_UNCLOSED_RE = re2.compile(rf"(?s)(?:{_unclosed(2)})\z")


def _replace_snippets(data: bytes) -> bytes:
    """Replace quoted JSON objects and Python dicts: error texts often carry a whole response body."""
    pieces: list[bytes] = []
    end = 0
    for match in _OPENING_RE.finditer(data):
        start, stop = match.span()
        if start < end:
            continue
        # With escaped quotes there is no telling strings from structure.
        if b"\\" in data[start:stop]:
            close = len(data)
        elif (whole := _WHOLE_RE.match(data, start)) is not None:
            close = whole.end()
        elif _UNCLOSED_RE.match(data, start) is not None:
            close = len(data)
        else:
            close = _snippet_end(data, start)
        pieces += (data[end:start], "{…}".encode())
        end = close
    return b"".join((*pieces, data[end:]))


def _snippet_end(data: bytes, start: int) -> int:
    """Return where the object that opens at *start* ends; the end of the text when it does not."""
    depth = 0
    at = start
    while at < len(data):
        char = data[at : at + 1]
        if char in b"{[":
            depth += 1
        elif char in b"}]":
            depth -= 1
            if depth == 0:
                return at + 1
        elif char in b"\"'":
            at = _string_end(data, at, char)
        at += 1
    return len(data)


def _string_end(data: bytes, start: int, quote: bytes) -> int:
    at = data.find(quote, start + 1)
    while at > 0 and _is_escaped(data, at):
        at = data.find(quote, at + 1)
    return len(data) if at < 0 else at


def _is_escaped(data: bytes, at: int) -> bool:
    before = data[:at]
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1


SNIPPET = Pattern(_OPENING, _replace_snippets)
