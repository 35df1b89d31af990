"""What a word says once its escapes and encodings are undone: percent, HTML, backslash, base64."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

# Four characters of base64 that are three printable ASCII characters. Of random quadruples one in fifteen is
# so, hence three in a row are hardly ever a word, a path or a key.
_QUADRUPLE = r"[I-Za-f][CDEFGHSTUVWXijklmnyz0123][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-]"
# Where a word, or a part of a path, begins: the quadruples of base64 count from there.
_BEGIN = r"(?:^|[^A-Za-z0-9+])"
# Words that may hold something else: a hint for RE2, which looks at every text.
HINT: Final = (
    r"%[0-9A-Fa-f]{2}|&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z]+);|\\[uU][0-9a-fA-F{]|\\x[0-9a-fA-F]{2}"
    rf"|{_BEGIN}(?:{_QUADRUPLE}){{3}}"
)
DEPTH_LIMIT: Final = 3
LAYERS_LIMIT: Final = 16
_LONGEST = 4096

_BACKSLASHED = re.compile(
    r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]{1,6})\}|U([0-9a-fA-F]{8}))"
)
_BASE64 = re.compile(rf"{_BEGIN}((?:{_QUADRUPLE}){{2}}[A-Za-z0-9+/_-]*={{0,2}})")
_URL_SAFE = str.maketrans("-_", "+/")


def layers(word: str) -> Iterator[str]:
    """Yield what *word* becomes when what it is wrapped in is taken off, at most `DEPTH_LIMIT` times."""
    pending = [(word, 0)]
    seen = {word}
    for text, depth in pending:
        if depth >= DEPTH_LIMIT or len(text) > _LONGEST:
            continue
        for inner in _undone(text):
            if inner not in seen and len(seen) <= LAYERS_LIMIT:
                seen.add(inner)
                pending.append((inner, depth + 1))
                yield inner


def _undone(text: str) -> Iterator[str]:
    if "%" in text:
        yield unquote(text, errors="replace")
    if "&" in text:
        yield html.unescape(text)
    if "\\" in text:
        yield _BACKSLASHED.sub(_unescaped, text)
    for match in _BASE64.finditer(text):
        decoded = _from_base64(match[1])
        if decoded is not None:
            yield decoded


def _unescaped(match: re.Match[str]) -> str:
    code = int(match[match.lastindex or 0], 16)
    return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "?"


def _from_base64(word: str) -> str | None:
    """Return the text that *word* is in base64 (RFC 4648, both alphabets), or None."""
    bare = word.rstrip("=")
    if bare.isalpha() and (bare.islower() or bare.isupper()):
        return None  # an ordinary long word
    try:
        raw = base64.b64decode(bare.translate(_URL_SAFE) + "=" * (-len(bare) % 4), validate=True)
        text = raw.decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text if all(char.isprintable() or char in "\r\n\t" for char in text) else None
