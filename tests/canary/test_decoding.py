"""A value that is kept under an encoding is kept: every encoding, and one in the other."""

from __future__ import annotations

import base64
import binascii
import gzip
import html
import json
import zlib
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest

from streamlab_plugin.canary import disguise
from streamlab_plugin.canary.decoding import DECODINGS, views
from streamlab_plugin.canary.table import Table

VALUE = "Zoë Müller-Łukasiewicz, 5"
AROUND = b"\x00some page\xff of a database " * 50

ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "upper case": lambda text: text.upper().encode(),
    "percent": lambda text: quote(text).encode(),
    "percent, every character": lambda text: disguise.percent(text).encode(),
    "percent, twice": lambda text: quote(quote(text)).encode(),
    "form": lambda text: urlencode({"name": text}).encode(),
    "form, with a plus of its own": lambda text: urlencode({"name": f"+{text}"}).encode(),
    "HTML, named": lambda text: html.escape(text).replace("ü", "&uuml;").encode(),
    "HTML, numbers": lambda text: disguise.entities(text).encode(),
    "backslash-u": lambda text: disguise.escapes(text).encode(),
    "JSON": lambda text: json.dumps(text).encode(),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)).encode(),
    "repr of bytes": lambda text: repr(text.encode()).encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64 behind letters": lambda text: b"push" + base64.b64encode(text.encode()),
    "base64, for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).rstrip(b"="),
    "hex": lambda text: binascii.hexlify(text.encode()),
    "gzip": lambda text: gzip.compress(text.encode()),
    "zlib": lambda text: zlib.compress(text.encode() * 3),
    "UTF-16, little end first": lambda text: f'{{"a":"{text}"}}'.encode("utf-16-le"),
    "UTF-16, big end first": lambda text: f'{{"a":"{text}"}}'.encode("utf-16-be"),
    "zero-width": lambda text: disguise.invisible(text).encode(),
    "full-width": lambda text: disguise.wide(text).encode(),
    "charset mistaken": lambda text: text.encode().decode("latin-1").encode(),
    "base64 of gzip": lambda text: base64.b64encode(gzip.compress(text.encode())),
    "base64 of UTF-16": lambda text: base64.b64encode(json.dumps(text, ensure_ascii=False).encode("utf-16")),
    "percent of base64": lambda text: quote(base64.b64encode(text.encode()).decode(), safe="").encode(),
    "JSON of HTML of percent": lambda text: json.dumps(html.escape(f"'{quote(text)}'")).encode(),
}


class TestViews:
    """`views`."""

    @pytest.mark.parametrize("name", ENCODINGS)
    def test_encodings(self, name: str) -> None:
        """The value is in one of the views, whatever it was wrapped in."""
        data = AROUND + b' "' + ENCODINGS[name](VALUE) + b'" ' + AROUND
        table = Table([(0, VALUE)])
        assert any(list(table.find(view.data)) for view in views(data))

    @pytest.mark.parametrize("name", ENCODINGS)
    def test_somebody_else(self, name: str) -> None:
        """Another person's value is not."""
        data = AROUND + ENCODINGS[name](VALUE) + AROUND
        table = Table([(0, "Zoë Müller-Łukasiewicz, 7")])
        assert not any(list(table.find(view.data)) for view in views(data))

    def test_path(self) -> None:
        """A view says what was undone, outermost first."""
        data = quote(base64.b64encode(gzip.compress(VALUE.encode())).decode() + "=", safe="").encode()
        paths = {view.path for view in views(data) if VALUE.encode() in view.data}
        assert ("percent", "base64", "compressed") in paths

    @pytest.mark.parametrize("name", DECODINGS)
    def test_nothing_to_undo(self, name: str) -> None:
        """Plain text costs no second view."""
        assert b"" == DECODINGS[name](b"GET /orders took 12 ms\n" * 100)

    def test_broken_encodings(self) -> None:
        """What only looks encoded ends in a view or in none, never in an error."""
        data = (
            b"%zz \\uZZZZ &#99999999; &nope; AAAA==== \x1f\x8b\x08\x00broken \xed\xa0\x80 \x78\x9c!! \\ud800"
        )
        assert data == next(iter(views(data))).data
        assert all(isinstance(view.data, bytes) for view in views(data * 3))
