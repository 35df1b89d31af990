"""Finds personal data and secrets in text: error messages, names, kept strings.

A last line of defence behind the allow-list: it knows data by its form only. Every pattern runs on RE2,
whose time is linear in the text, and on a limited stretch of it. One `Set` scan says which patterns occur;
most texts need nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from functools import lru_cache

import re2

from streamlab_plugin.privacy.identity import IDENTITIES
from streamlab_plugin.privacy.layers import HINT, layers
from streamlab_plugin.privacy.secret import OPAQUE, SECRETS
from streamlab_plugin.privacy.snippet import SNIPPET

TEXT_LIMIT = 4096
UNREADABLE = "[unreadable]"
ENCODED = "[encoded]"

_CUT = "…"
_SPACES = re.compile(r"(\s+)")
_WORD_LIMIT = 256

# In the order in which they must run: a quoted body or a token may contain what looks like anything else.
_PATTERNS = (SNIPPET, *SECRETS, *IDENTITIES, OPAQUE)
_SCAN = re2.Set.SearchSet()
for _pattern in _PATTERNS:
    _SCAN.Add(_pattern.text)
# Not a finding by itself: words behind which there may be one.
_SCAN.Add(HINT)
_HINT_INDEX = len(_PATTERNS)
_SCAN.Compile()
_MAYBE_ENCODED = re2.compile(HINT)


def clean_text(text: str) -> str:
    """Return *text* with everything that looks personal or secret replaced by what it is.

    At most `TEXT_LIMIT` characters are read; what is cut off is marked ``…``. Never raises: a text that
    cannot be read comes back as ``[unreadable]``.
    """
    try:
        return _clean(_cut(text) if len(text) > TEXT_LIMIT else text)
    except Exception:  # noqa: BLE001 - fails closed: no text rather than an unscanned one
        return UNREADABLE


def is_clean(text: str) -> bool:
    """Return whether `clean_text` would leave *text* as it is. Quick for words and ISO timestamps."""
    if len(text) < 16 and text.isascii() and text.isalpha():
        return True
    if is_timestamp(text):
        return True
    try:
        if text.isascii() and len(text) <= TEXT_LIMIT:
            found = _SCAN.Match(text)
            if not found or (found == [_HINT_INDEX] and _without_encoded(text) == text):
                return True
    except Exception:  # noqa: BLE001 - cannot be read, so not known to be clean
        return False
    return clean_text(text) == text


def is_timestamp(text: str) -> bool:
    """Return whether *text* is an ISO 8601 date and time."""
    if not 16 <= len(text) <= 35 or text[4] != "-" or text[10] not in "T " or not text.isascii():
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _cut(text: str) -> str:
    """Cut *text* before a word or number that would lose its end and with it its form."""
    kept = text[:TEXT_LIMIT]
    space = max(kept.rfind(char, TEXT_LIMIT - _WORD_LIMIT) for char in " \t\r\n")
    if space >= 0:
        kept = kept[:space].rstrip("0123456789 ().+-") or kept[:space]
    return kept + _CUT


def _clean(text: str) -> str:
    if not text.isascii():
        folded = "".join(map(_fold, text))
        replaced = _replaced(folded)
        return text if replaced == folded else replaced
    return _replaced(text)


def _replaced(text: str) -> str:
    data: bytes = text.encode()
    found = sorted(_SCAN.Match(data) or ())
    for index in found:
        if index != _HINT_INDEX:
            data = _PATTERNS[index].replace(data)
    return _without_encoded(data.decode()) if _HINT_INDEX in found else text if not found else data.decode()


def _without_encoded(text: str) -> str:
    """Replace the words that hold something personal once their escapes and encodings are undone."""
    words = _SPACES.split(text)
    changed = [
        ENCODED if _MAYBE_ENCODED.search(word) is not None and _hides_something(word) else word
        for word in words
    ]
    return "".join(changed) if changed != words else text


def _hides_something(word: str) -> bool:
    for inner in layers(word):
        folded = inner if inner.isascii() else "".join(map(_fold, inner))
        data: bytes = folded.encode(errors="replace")
        for index in _SCAN.Match(data) or ():
            if index != _HINT_INDEX and _PATTERNS[index].replace(data) != data:
                return True
    return False


@lru_cache(maxsize=4096)
def _fold(char: str) -> str:
    """Return the plain form of a character that only looks different: wide, other digits, invisible."""
    if char.isascii():
        return char
    if "！" <= char <= "～":  # the wide forms of ASCII
        return chr(ord(char) - 0xFEE0)
    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category == "Cf":
        return ""
    if category == "Pd":
        return "-"
    return " " if category == "Zs" else char
