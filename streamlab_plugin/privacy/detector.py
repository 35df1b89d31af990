"""Finds personal data and secrets in text: error messages, names, kept strings.

A last line of defence behind the allow-list: it knows data by its form only. Every pattern runs on RE2,
whose time is linear in the text, and on a limited stretch of it. One `Set` scan says which patterns occur;
most texts need nothing else.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache

import re2

from streamlab_plugin.privacy.address import is_version
from streamlab_plugin.privacy.iban import is_iban
from streamlab_plugin.privacy.identity import HASHES, ID_TEXT, IDENTITIES, UUIDS
from streamlab_plugin.privacy.layers import HINT, LAYERS_LIMIT, layers
from streamlab_plugin.privacy.pattern import Pattern
from streamlab_plugin.privacy.secret import OPAQUE, SECRETS
from streamlab_plugin.privacy.snippet import SNIPPET

TEXT_LIMIT = 1024
_LONG_PARTS = 4
UNREADABLE = "[unreadable]"
ENCODED = "[encoded]"

_CUT = "…"
_WORD_LIMIT = 256
_ROUNDS = 8

_BLANKS = (b" ", b"\n", b"\t", b"\r", b"\f")
_MAYBE_ENCODED = re2.compile(rf"\S*?(?:{HINT})\S*")


def _replace_encoded(data: bytes) -> bytes:
    """Replace the words that hold something personal once their encodings are undone."""
    pieces: list[bytes] = []
    end, left = 0, _MOST_LAYERS
    for match in _MAYBE_ENCODED.finditer(data):
        start, stop = match.span()
        start = max(start, *(data.rfind(blank, start, stop) + 1 for blank in _BLANKS))
        read = _innocent_layers(data[start:stop].decode()) if left > 0 else None
        left -= LAYERS_LIMIT if read is None else read
        if read is None:
            pieces += (data[end:start], ENCODED.encode())
            end = stop
    return b"".join((*pieces, data[end:])) if pieces else data


# In the order in which they must run: a quoted body or a token may contain what looks like anything else.
_HIDDEN = Pattern(HINT, _replace_encoded)
_PATTERNS = (SNIPPET, *SECRETS, *IDENTITIES, _HIDDEN, OPAQUE)
# Long runs are looked for apart: each place in one would double the states of the other automaton.
_RUNS = (HASHES, OPAQUE)
_SHORTEST_RUN = 16
# Read of all words in a text; words behind that are marked unread.
_MOST_LAYERS = 16
_HINT_ONLY = [_PATTERNS.index(_HIDDEN)]
_NO_FINDINGS = frozenset((*_HINT_ONLY, *map(_PATTERNS.index, (UUIDS, HASHES, OPAQUE))))
_IDS = re2.compile(ID_TEXT)
# Of no alphabet, and long enough for what tells a secret from a word.
_FIRST_STAND_IN = 0xE000
_STAND_IN = re2.compile(r"[\x{e000}-\x{f8ff}]")
_STAND_IN_LENGTH = 12

# What `_fold` changes: digits, dashes, blanks, invisible characters beyond ASCII, wide forms of ASCII.
_FOLDABLE = re2.compile(
    "|".join(rf"[^\x00-\x7F\P{{{category}}}]" for category in ("Nd", "Pd", "Zs", "Cf")) + "|[！-～]"
)


def _scan(indexes: Sequence[int]) -> Callable[[bytes], list[int]]:
    """Return a function that says which of the patterns at *indexes* may be in a text."""
    triggers = re2.Set.SearchSet()
    for index in indexes:
        triggers.Add(_PATTERNS[index].trigger)
    triggers.Compile()
    match = triggers.Match
    return lambda data: [indexes[found] for found in match(data) or ()]


_scan_all = _scan([index for index, pattern in enumerate(_PATTERNS) if pattern not in _RUNS])
_scan_runs = _scan([index for index, pattern in enumerate(_PATTERNS) if pattern in _RUNS])


def clean_text(text: str) -> str:
    """Return *text*, an error text or a name, with everything that looks personal or secret replaced.

    Ids are replaced too, so that texts that differ by them are one. At most `TEXT_LIMIT` characters are read;
    what is cut off is marked ``…``. Never raises: a text that cannot be read comes back as ``[unreadable]``.
    """
    return _bounded(text, _clean)


def clean_long(text: str) -> str:
    """Do as `clean_text` with a text that may be `_LONG_PARTS` times as long, as lines of logs are."""
    parts: list[str] = []
    for _ in range(_LONG_PARTS):
        head = _cut(text)
        parts.append(clean_text(head))
        if head == text:
            break
        text = text[len(head) - len(_CUT) :]
        if not text[:1].isspace():
            break  # in the middle of a word: what it is cannot be told from its end
    return "".join([*(part.removesuffix(_CUT) for part in parts[:-1]), parts[-1]])


def clean_value(text: str) -> str:
    """Return *text*, the value of a field, with personal data and secrets replaced; ids and versions stay.

    Otherwise as `clean_text`.
    """
    return _bounded(text, _clean_around_ids)


def is_clean(text: str) -> bool:
    """Return whether `clean_text` would leave *text* as it is. Quick for words and ISO timestamps."""
    return _is_known_clean(text) or clean_text(text) == text


def is_clean_value(text: str) -> bool:
    """Return whether `clean_value` would leave *text* as it is. Quick for words, ids and ISO timestamps."""
    return _is_known_clean(text) or _is_id(text) or clean_value(text) == text


def is_timestamp(text: str) -> bool:
    """Return whether *text* is an ISO 8601 date and time."""
    if not 16 <= len(text) <= 35 or text[4] != "-" or text[10] not in "T " or not text.isascii():
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_id(text: str) -> bool:
    if len(text) < 16 or not text.isascii() or text.isdigit() or _IDS.fullmatch(text) is None:
        return False
    return not is_iban(text.upper())


def _is_known_clean(text: str) -> bool:
    if len(text) < 16 and text.isascii() and text.isalpha():
        return True
    if is_timestamp(text):
        return True
    try:
        if text.isascii() and len(text) <= TEXT_LIMIT:
            data = text.encode()
            found = _found(data)
            return not found or (found == _HINT_ONLY and _replace_encoded(data) is data)
    except Exception:  # noqa: BLE001 - cannot be read, so not known to be clean
        return False
    return False


def _bounded(text: str, clean: Callable[[str], str]) -> str:
    """Clean at most `TEXT_LIMIT` characters of *text*; marks may be longer than what they stand for."""
    try:
        cleaned = clean(_cut(text))
        for _ in range(_ROUNDS):
            if len(cleaned) <= TEXT_LIMIT:
                return cleaned
            cleaned = clean(_cut(cleaned))
    except Exception:  # noqa: BLE001 - fails closed: no text rather than an unscanned one
        return UNREADABLE
    return UNREADABLE


def _cut(text: str) -> str:
    """Cut *text* before a word or number that would lose its end and with it its form."""
    if len(text) <= TEXT_LIMIT:
        return text
    kept = text[: TEXT_LIMIT - 1]
    space = max(kept.rfind(char, TEXT_LIMIT - _WORD_LIMIT) for char in " \t\r\n")
    if space >= 0:
        kept = kept[:space].rstrip("0123456789 ().+-") or kept[:space]
    return kept + _CUT


def _clean_around_ids(text: str) -> str:
    if is_version(text):
        return text
    for _ in range(_ROUNDS):
        cleaned = _around_ids(text)
        if cleaned == text:
            return text
        text = cleaned
    return UNREADABLE


def _around_ids(text: str) -> str:
    """Clean *text* with a stand-in for each id: what reaches beyond one, such as an object, goes whole."""
    if _STAND_IN.search(text) is not None:
        return _clean(text)
    ids: list[str] = []

    def hold(match: re2._Match) -> str:
        start, stop = match.span()
        found: str = match.group()
        is_word = not (text[:start][-1:].isalnum() or text[stop : stop + 1].isalnum())
        if found.isdigit() or not is_word or is_iban(found.upper()):
            return found
        ids.append(found)
        return chr(_FIRST_STAND_IN + len(ids)) * _STAND_IN_LENGTH

    cleaned = _clean(str(_IDS.sub(hold, text)))
    for number, found in enumerate(ids, start=1):
        cleaned = cleaned.replace(chr(_FIRST_STAND_IN + number) * _STAND_IN_LENGTH, found)
    return cleaned


def _clean(text: str) -> str:
    folded = _folded(text)
    data: bytes = folded.encode()
    replaced = _replaced(data)
    return text if replaced is data else replaced.decode()


def _replaced(data: bytes) -> bytes:
    """Replace what the patterns find until that changes nothing more: what stays may be a finding itself."""
    settled: set[int] = set()  # those that leave the data as it is now
    for _ in range(_ROUNDS):
        pending = [index for index in _found(data) if index not in settled]
        if not pending:
            return data
        for index in pending:
            new = _PATTERNS[index].replace(data)
            if new == data:
                settled.add(index)
            else:
                data, settled = new, set()
    return UNREADABLE.encode()


def _found(data: bytes) -> list[int]:
    """Return the indexes of the patterns that may be in *data*, in order."""
    found = _scan_all(data)
    if len(data) >= _SHORTEST_RUN:
        found += _scan_runs(data)
    found.sort()
    return found


def _innocent_layers(word: str) -> int | None:
    """Return how many layers *word* has; None when it hides something."""
    count = 0
    for count, inner in enumerate(layers(word), start=1):  # noqa: B007
        data: bytes = _folded(inner).encode(errors="replace")
        for index in _found(data):
            if index not in _NO_FINDINGS and _PATTERNS[index].replace(data) != data:
                return None
    return count


def _folded(text: str) -> str:
    if text.isascii() or _FOLDABLE.search(text.encode(errors="replace")) is None:
        return text
    return "".join(map(_fold, text))


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
