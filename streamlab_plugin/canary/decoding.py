"""What else the bytes of a sink say: escapes and encodings undone, one inside the other.

A value that is kept in base64 is kept. Only the stretches around what looks encoded are decoded, so that a
sink of a hundred megabytes does not become ten of them.
"""

from __future__ import annotations

import binascii
import html
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from streamlab_plugin.canary.table import fold

DEPTH_LIMIT: Final = 3
_MARGIN = 512  # bytes around an escape that belong to what it escapes
_LARGEST = 256 * 1024 * 1024  # bytes of one compressed stretch

_PERCENT = rb"%[0-9A-Fa-f]{2}"
_OTHER = rb"[\x80-\xff]+"
_WIDE = rb"(?:[^\x00]\x00){4,}"
# UTF-8 that was taken for ISO 8859-1 and written as UTF-8 again.
_TWICE = rb"(?:[\xc2\xc3][\x80-\xbf]){2,}"
_PLUS = rb"[^\s+]\+[^\s+]"
_ENTITY = rb"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});"
_BACKSLASH = rb'\\+(?:[uU][0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[nrt"/\'])'
_SURROGATES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{11,}")
_HEX = re.compile(rb"[0-9a-fA-F]{24,}")
_COMPRESSED = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")
# Most of what looks like base64 is none, and its bytes look like anything: these find too much in them.
_NOT_IN_NOISE = ("hex", "mojibake")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITE = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


class View(NamedTuple):
    """Bytes to search, and the decodings that led to them, outermost first; none: as they are."""

    path: tuple[str, ...]
    data: bytes


def views(data: bytes) -> Iterator[View]:
    """Yield *data* and what it becomes when up to `DEPTH_LIMIT` encodings are undone."""
    pending = [View((), data)]
    while pending:
        view = pending.pop()
        yield view
        if len(view.path) < DEPTH_LIMIT:
            for name, decode in DECODINGS.items():
                # Undoing the same one twice in a row is done by the decodings themselves.
                last = view.path[-1:]
                is_noise = last == ("base64",) and name in _NOT_IN_NOISE
                if last != (name,) and not is_noise and (inner := decode(view.data)):
                    pending.append(View((*view.path, name), inner))


def _around(pattern: bytes, undo: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return a decoding of the stretches around what *pattern* finds."""
    # Neighbours in one match, without a way back: sinks may be full of them.
    stretch = re.compile(rb"(?s)(?:%b)(?>.{0,%d}(?:%b))*+" % (pattern, _MARGIN, pattern))

    def decode(data: bytes) -> bytes:
        pieces = (
            undo(data[max(0, match.start() - _MARGIN) : match.end() + _MARGIN])
            for match in stretch.finditer(data)
        )
        return b"\n".join(pieces)

    return decode


def _folded(data: bytes) -> bytes:
    return fold(data.decode(errors="ignore")).encode()


def _wide(data: bytes) -> bytes:
    """Return *data* as UTF-16 of either kind, from its first and from its second byte on."""
    ways = ((start, code) for start in (0, 1) for code in ("utf-16-le", "utf-16-be"))
    return b"\n".join(data[start:].decode(code, "ignore").encode(errors="ignore") for start, code in ways)


def _percent(data: bytes) -> bytes:
    once = unquote_to_bytes(data)
    return unquote_to_bytes(once) if b"%" in once else once


def _entities(data: bytes) -> bytes:
    return html.unescape(html.unescape(data.decode(errors="surrogateescape"))).encode(
        errors="surrogateescape"
    )


def _backslashes(data: bytes) -> bytes:
    return _SURROGATES.sub(_joined, re.sub(_BACKSLASH, _unescaped, data))


def _unescaped(match: re.Match[bytes]) -> bytes:
    what = match.group().lstrip(b"\\")
    if what[:1] in b"uU":
        return chr(int(what[1:], 16)).encode(errors="surrogatepass")
    if what[:1] == b"x":
        return bytes([int(what[1:], 16)])
    return _WHITE.get(what, what)


def _joined(match: re.Match[bytes]) -> bytes:
    """Return a surrogate pair, which stands for one character, as that character."""
    return (
        match.group()
        .decode(errors="surrogatepass")
        .encode("utf-16", "surrogatepass")
        .decode("utf-16")
        .encode()
    )


def _from_base64(data: bytes) -> bytes:
    """Decode every run at its four alignments: what stands before it may look like a part of it."""
    runs = [run.translate(_URL_SAFE) for run in _BASE64.findall(data)]
    decoded = []
    for offset in range(4):
        # Filled up with zeros, and three of them between two runs; one call for all.
        parts = (run[offset:] + b"A" * ((offset - len(run)) % 4) for run in runs)
        decoded.append(binascii.a2b_base64(b"AAAA".join(parts)))
    return b"\n".join(decoded) if runs else b""


def _from_hex(data: bytes) -> bytes:
    return b"\n".join(bytes.fromhex(run[: len(run) // 2 * 2].decode()) for run in _HEX.findall(data))


def _inflated(data: bytes) -> bytes:
    found = []
    whole = memoryview(data)
    for match in _COMPRESSED.finditer(data):
        try:
            inflated = zlib.decompressobj(47).decompress(whole[match.start() :], _LARGEST)
        except zlib.error:
            continue
        found.append(inflated)
    return b"\n".join(found)


DECODINGS: Final = {
    "folded": _around(_OTHER, _folded),
    "UTF-16": _around(_WIDE, _wide),
    "mojibake": _around(_TWICE, lambda data: data.decode(errors="ignore").encode("latin-1", "ignore")),
    "percent": _around(_PERCENT, _percent),
    "form": _around(_PLUS, lambda data: _percent(data.replace(b"+", b" "))),
    "HTML": _around(_ENTITY, _entities),
    "backslash": _around(_BACKSLASH, _backslashes),
    "base64": _from_base64,
    "hex": _from_hex,
    "compressed": _inflated,
}
