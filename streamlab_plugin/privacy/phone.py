"""Phone numbers: international ones, and national ones as people write them.

A national number is told by its trunk prefix 0, by brackets around an area code, by a grouping that is usual
somewhere, or by a word such as "phone" beside it. Bare digits without such a sign stay: most are something
else.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import re2

_NOUN = (
    r"phones?|(?:\b|_)(?:tel|t[eé]l[eé](?:ph)?on[eo]?s?|telef[oó]n[eo]?s?|telefoon|mobil[ei]?|m[oó]vil|portable"
    r"|handy|celular|cellulare|cell|fax|sms|whatsapp|msisdn|gsm|ruf|caller|dial(?:l?ed|l?ing)?"
    r"|calls?(?:ed)?[ _](?:to|from)|(?:to|from|contact|callback|destination)[ _-]?number)|電話(?:番号)?|携帯"
)
_NUMBER_OF = r"\.?[ _-]?(?:no|nr|number|num|nummer|numero|número)"
_CUE = re2.compile(rf"(?i)(?:{_NOUN})(?:{_NUMBER_OF})?(?:[ _](?:is|to|from))?[^\pL\pN\r\n]{{0,6}}$")
_CUE_BEHIND = re2.compile(
    r"(?i)^[^\pL\pN\r\n]{0,3}(?:(?:is|as|no|not|a|an|the|valid|invalid|unknown|reachable) ){1,4}"
    r"(?:tele|mobile )?phone"
)
# Bare digits behind these are an id.
_ID_CUE = re2.compile(
    r"(?i)(?:#|(?:\b|_)(?:id|uid|account|contract|customer)[ _]?(?:no|nr|number)?[^\pL\pN\r\n]{0,3})$"
)
_ESCAPE = re2.compile(r"\\(?:[nrt]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2})$")
# Before digits that count or number something else.
_OTHER_CUE = re2.compile(
    r"(?i)(?:\b|_)(?:(?:order|invoice|ticket|case|ref|reference|sku|ean|upc|isbn|part|batch|serial|article|product"
    r"|item|job|task|txn|transaction|tracking|shipment|parcel|build|rev|revision|commit|offset|seq|sequence|lsn"
    r"|xid|pid|tid|thread|port|line|row|page|nonce|epoch|timestamp|bestellung|auftrag|rechnung|commande"
    r"|facture|zip|version)(?:[ _-]?(?:no|nr|id|number|num|nummer))?|n[°º])"
    r"[^\pL\pN\r\n]{0,3}$"
)
_UNIT = re2.compile(
    r"(?i)^ ?(?:[kmgt]?i?b|bytes?|octets?|[mµun]?s|secs?|rows?|lignes?|records?|messages?|requests?|events?"
    r"|items?|times?|zeilen|%|€|\$|eur|usd|ops)\b"
)
# Most digits with the country code; other countries have at most 13 where digits are grouped.
_LONGEST = {
    code: digits
    for digits, codes in {
        10: "45 47 65",
        11: "1 7 27 31 32 33 34 36 41 48 61",
        12: "20 44 52 81 82 90 91",
    }.items()
    for code in codes.split()
}
_MOST_GROUPED = 13
MARK: Final = "[phone]"
FEWEST_DIGITS: Final = 7
_SHORTEST, _MOST = 8, 15
# What stands between the groups of one number.
JOINTS: Final = frozenset(
    (" ", "-", ".", "/", "(", ")", ") ", " (", ")-", "-(", " - ", " / ", ") - ", ")/", ").")
)
_MOST_GROUPS = 8
_LONGEST_PREFIX = 8  # of a number in groups

# Group sizes that are usual somewhere, and the first digits that such a number begins with.
_SHAPES: tuple[tuple[tuple[int, ...], str], ...] = (
    ((3, 2, 2, 2), "6789"),  # Spain
    ((3, 3, 3), "56789"),  # Spain, Poland, Portugal
    ((2, 3, 2, 2), "1234567"),  # Poland
    ((2, 3, 4), "2"),  # Portugal
    ((5, 5), "6789"),  # India
    ((3, 7), "3"),  # Italy
    ((2, 5, 4), "123456789"),  # Brazil
    ((2, 4, 4), "123456789"),  # Brazil, Mexico
    ((3, 4, 4), "1"),  # China
    ((1, 3, 3, 2, 2), "78"),  # Russia
    ((1, 3, 2, 2, 2), "0"),  # France
)
_SERVICE = (("1300", "1800"), ((4, 3, 3), (4, 2, 4)))
# Group sizes behind an area code in brackets.
_LOCAL = frozenset(
    {(5,), (6,), (7,), (8,), (9,), (3, 3), (3, 4), (4, 3), (4, 4), (5, 4), (6, 2), (2, 2, 2), (3, 2, 2)}
)


class Run(NamedTuple):
    """Digits in groups and what is around them: ``gaps[i]`` stands before ``groups[i]``."""

    groups: list[str]
    gaps: list[str]
    before: str
    after: str

    def has_own_end(self, stop: int) -> bool:
        """Return whether the number does not go on behind group *stop* - 1, in digits or letters."""
        if stop < len(self.groups):
            return self.gaps[stop] not in ("-", ".", "/", "+", ")", "(")
        following = self.after[:1]
        return not (following.isalnum() and following not in "xe") and following not in ("_", "@")

    def has_own_start(self, at: int) -> bool:
        """Return whether group *at* begins a number."""
        if at > 0:
            # Neither a fraction nor one of the groups of a longer number.
            return " " in self.gaps[at] and not len(self.groups[at - 1]) == len(self.groups[at]) == 4
        before, last = self.before, self.before[-1:]
        if last in (".", ":", "-"):
            # A part of a longer number, the seconds of a time, a part of a name.
            return not (before[-2:-1].isdigit() or (last != ":" and before[-2:-1].isalnum()))
        if last.isalnum():
            return _ESCAPE.search(before) is not None
        return last not in ("_", "$", "€", "£", "*")


def phone_groups(run: Run, at: int) -> int:
    """Return how many groups from *at* on make a phone number; 0: none do."""
    if at > 0 and not run.has_own_start(at):
        return 0
    if count := _international(run, at):
        return count
    before = run.before.rpartition(MARK)[2] if at == 0 else ""  # the mark is no word for a number
    if (before and _CUE.search(before)) or (at == 0 and run.after and _CUE_BEHIND.search(run.after)):
        return _taken(run, at, FEWEST_DIGITS, _MOST)
    if not run.has_own_start(at) or (before and (_OTHER_CUE.search(before) is not None)):
        return 0
    count = _national(run, at)
    return count if count and run.has_own_end(at + count) else 0


def _international(run: Run, at: int) -> int:
    lead, first = run.gaps[at], run.groups[at]
    if lead.endswith(("+", "+(")) and first[0] != "0":
        return _taken(run, at, _SHORTEST, _longest(run, at)) if run.has_own_start(at) else 0
    if not run.has_own_start(at) or first[:2] != "00" or (at == 0 and _OTHER_CUE.search(run.before)):
        return 0
    following = first[2:] or "".join(run.groups[at + 1 : at + 2])
    if following[:1] in ("", "0") or (first == "00" and run.gaps[at + 1] == "."):
        return 0
    return _taken(run, at, 11 if len(first) > 9 else 10, _MOST + 2)


def _longest(run: Run, at: int) -> int:
    here = run.groups[at : at + 4]
    if len(here[0]) > 7:
        return _MOST
    joined = "".join(here)
    most = _LONGEST.get(joined[:1]) or _LONGEST.get(joined[:2], _MOST_GROUPED)
    return most + ("0" in here)


def _national(run: Run, at: int) -> int:
    groups, gaps = run.groups[at : at + _MOST_GROUPS], run.gaps[at + 1 : at + _MOST_GROUPS]
    first = groups[0]
    if count := _north_american(groups, gaps) or _bracketed(run, at):
        return count
    if len(first) >= 2 and first[0] == "0" and first[1] != "0" and _is_written_so(groups, gaps):
        if len(first) > _LONGEST_PREFIX and at == 0 and _ID_CUE.search(run.before) is not None:
            return 0
        least = 8 if first == "0800" or run.gaps[at].endswith("(") else 9
        return _taken(run, at, least, 12)
    if len(run.groups) > _MOST_GROUPS:
        return 0
    sizes = tuple(map(len, groups))
    is_alone = at == 0 and run.gaps[0] in ("", "(") and set(gaps) <= {" ", "-", ") ", " ("}
    if not is_alone or _UNIT.search(run.after) is not None:
        return 0
    is_known = any(sizes == shape and first[0] in starts for shape, starts in _SHAPES)
    is_service = first in _SERVICE[0] and sizes in _SERVICE[1]
    return len(sizes) if is_known or is_service else 0


def _taken(run: Run, at: int, least: int, most: int) -> int:
    """Return how many groups from *at* on make a number of *least* to *most* digits, as many as possible."""
    total = best = 0
    for index in range(at, len(run.groups)):
        total += len(run.groups[index])
        if total > most or (index > at and run.gaps[index] not in JOINTS):
            break
        if total >= least:
            best = index - at + 1
    return best


def _is_written_so(groups: list[str], gaps: list[str]) -> bool:
    """Return whether it is no time and no fraction, which have dots too; 01.23.45.67.89 is a number."""
    if gaps[:1] != ["."]:
        return True
    sizes = [len(group) for group in groups[:5]]
    return sizes == [2] * 5 or sizes[0] in (3, 4) or (len(sizes) > 2 and sizes[1] > 2)


def _north_american(groups: list[str], gaps: list[str]) -> int:
    skip = 1 if groups[0] == "1" else 0
    local = groups[skip : skip + 3]
    if [len(group) for group in local] != [3, 3, 4] or min(local[0][0], local[1][0]) < "2":
        return 0
    count = skip + 3
    between = gaps[: count - 1]
    if set(between) == {" "} and len(groups) > count:
        return 0  # three of many numbers
    return count if JOINTS.issuperset(between) else 0


def _bracketed(run: Run, at: int) -> int:
    """Return how many groups an area code in brackets and the number behind it take."""
    if not run.gaps[at].endswith("(") or run.gaps[at + 1 : at + 2] not in (
        [")"],
        [") "],
        [")-"],
        [") - "],
        [")."],
    ):
        return 0
    if run.groups[at][0] == "0" or not 2 <= len(run.groups[at]) <= 4 or run.before[-1:].isalnum():
        return 0
    for count in (4, 3, 2):
        sizes = tuple(map(len, run.groups[at + 1 : at + count]))
        inner = run.gaps[at + 2 : at + count]
        if len(sizes) == count - 1 and sizes in _LOCAL and set(inner) <= {" ", "-", "."}:
            return count
    return 0
