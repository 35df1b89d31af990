"""Bank account numbers: found by country and length, proven by their check digits."""

from __future__ import annotations

from typing import Final

import re2

# Length of an IBAN by country, from the registry of ISO 13616.
_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}


def is_iban(compact: str) -> bool:
    """Return whether *compact* (upper case, no separators) has the length and check digits of an IBAN."""
    if len(compact) != _LENGTHS.get(compact[:2]) or not compact[2:4].isdigit():
        return False
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1


def replace_ibans(data: bytes) -> bytes:
    """Replace each IBAN in *data*, whole or in groups with single blanks or dashes between, by ``[iban]``."""
    pieces: list[bytes] = []
    end = at = 0
    while (match := _CANDIDATE.search(data, at)) is not None:
        start = match.start(1)
        stop = _iban_end(data, start)
        at = stop or start + 2
        if stop:
            pieces += (data[end:start], b"[iban]")
            end = stop
    return b"".join((*pieces, data[end:])) if pieces else data


def _iban_end(data: bytes, start: int) -> int:
    """Return where the IBAN ends that begins at *start*; 0: there is none."""
    left = _LENGTHS[data[start : start + 2].decode().upper()]
    stretch = data[start : start + 2 * left].decode("ascii", "replace")
    compact = ""
    for at, char in enumerate(stretch):
        if char.isascii() and char.isalnum():
            compact += char
            if len(compact) == left:
                is_whole = not data[start + at + 1 : start + at + 2].isalnum()
                return start + at + 1 if is_whole and is_iban(compact.upper()) else 0
        elif char not in " -." or stretch[at - 1] in " -.":
            return 0
    return 0


CANDIDATE: Final = (
    rf"(?i)(?:\b|_|\\[nrt]|\\u[0-9a-f]{{4}}|iban)((?:{'|'.join(sorted(_LENGTHS))})\d\d[ .-]?[0-9A-Z]{{2}})"
)
_CANDIDATE = re2.compile(CANDIDATE)
