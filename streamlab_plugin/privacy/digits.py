"""Cards, phone numbers and US social security numbers in a run of digits and separators.

Load test texts are full of numbers that are none of these: times, latencies, versions, epoch milliseconds.
So a number counts as personal only by its form: check digits, grouping, a leading + or 0, or a word such as
"phone" before it.
"""

from __future__ import annotations

CARD, PHONE, SSN = "[card]", "[phone]", "[ssn]"

_PHONE_CUES = ("phone", "tel", "mobile", "cell", "fax", "sms", "whatsapp", "msisdn")
_SSN_CUES = ("ssn", "social security", "social security number")
_CARD_DIGITS = range(13, 20)
_CARD_GROUPINGS = ([4, 6, 5], [4, 6, 4], [6, 13])
_MOST_GROUPS = 19

# A number is told by its groups of digits and the gaps around them: gaps[i] stands before groups[i].
_Groups = list[str]


def replace_numbers(run: str, before: str) -> str:
    """Replace the personal numbers in *run* by what they are.

    Args:
        run: ASCII digits with blanks, dashes, dots, brackets and plus signs between them.
        before: The text before it, for a word that says what comes.
    """
    groups, gaps = _split(run)
    cue = before.rstrip(" :=#.(+\"'").lower()
    pieces: list[str] = []
    at = 0
    while at < len(groups):
        mark, count = _number_at(groups, gaps, at, cue if at == 0 else "")
        gap = gaps[at]
        if mark == PHONE:
            gap = gap.rstrip("+(")
        pieces.append(gap)
        if mark:
            pieces.append(mark)
        else:
            pieces.append(groups[at])
            for index in range(at + 1, at + count):
                pieces += (gaps[index], groups[index])
        at += count
    return "".join(pieces)


def _split(run: str) -> tuple[_Groups, list[str]]:
    """Return the groups of digits in *run* and the gap before each; *run* ends with a digit."""
    groups: _Groups = []
    gaps: list[str] = []
    rest = run
    while rest:
        tail = rest.lstrip(" ().+-")
        gaps.append(rest[: len(rest) - len(tail)])
        rest = tail.lstrip("0123456789")
        groups.append(tail[: len(tail) - len(rest)])
    return groups, gaps


def _number_at(groups: _Groups, gaps: list[str], at: int, cue: str) -> tuple[str, int]:
    """Return the mark and the number of groups of what starts at group *at*; no mark: leave them."""
    here = groups[at : at + _MOST_GROUPS]
    between = gaps[at + 1 : at + _MOST_GROUPS]
    if count := _clock_groups(here):
        return "", count
    is_fraction = at > 0 and gaps[at] == "."
    # Single digits are tried from the first of a row only: a long row would cost a check at each place.
    is_inside_row = at > 0 and len(groups[at]) == len(groups[at - 1]) == 1
    if not is_fraction and not is_inside_row and (count := _card_groups(here, between)):
        return CARD, count
    if count := _ssn_groups(here, between, cue):
        return SSN, count
    if count := _phone_groups(here, between, gaps[at], cue):
        return PHONE, count
    return "", 1


def _clock_groups(groups: _Groups) -> int:
    """Return how many groups a date takes, with the time of day after it; 0: no date."""
    if len(groups) < 3:
        return 0
    first, second, third = groups[:3]
    if (len(first), len(second), len(third)) == (4, 2, 2):
        month, day = int(second), int(third)
    elif len(third) == 4 and len(first) <= 2 and len(second) <= 2:
        month, day = sorted((int(first), int(second)))
    else:
        return 0
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return 0
    count = 3
    while count < len(groups) and count < 6 and len(groups[count]) == 2:
        count += 1
    has_fraction = count == 6 and count < len(groups) and len(groups[count]) in (3, 6, 9)
    return count + 1 if has_fraction else count


def _card_groups(groups: _Groups, gaps: list[str]) -> int:
    if len(groups[0]) >= _CARD_DIGITS[0]:
        return int(not _is_clock(groups[0]) and is_card(groups[0]))
    joined = groups[0]
    best = 0
    for count, (gap, group) in enumerate(zip(gaps, groups[1:], strict=False), start=2):
        joined += group
        if gap not in (" ", "-", ".") or len(joined) > _CARD_DIGITS[-1]:
            break
        if len(joined) in _CARD_DIGITS and _is_card_grouping(groups[:count]) and is_card(joined):
            best = count
    return best


def _is_card_grouping(groups: _Groups) -> bool:
    sizes = [len(group) for group in groups]
    if all(size == 1 for size in sizes) or all(size % 4 == 0 for size in sizes[:-1]):
        return True
    return sizes in _CARD_GROUPINGS


def is_card(digits: str) -> bool:
    """Return whether *digits* has the length and check digit (Luhn) of a payment card."""
    if len(digits) not in _CARD_DIGITS or digits.count("0") == len(digits):
        return False
    total = sum(map(int, digits[-1::-2])) + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return total % 10 == 0


def _is_clock(digits: str) -> bool:
    """Return whether *digits* reads as epoch ms, µs or ns (until 2033), or as YYYYMMDDhhmmss[ms]."""
    if len(digits) in (13, 16, 19):
        return digits[0] == "1"
    if len(digits) in (14, 17):
        return digits[:2] in ("19", "20") and 1 <= int(digits[4:6]) <= 12 and 1 <= int(digits[6:8]) <= 31
    return False


def _ssn_groups(groups: _Groups, gaps: list[str], cue: str) -> int:
    has_cue = cue.endswith(_SSN_CUES)
    if len(groups[0]) == 3 and [len(group) for group in groups[1:3]] == [2, 4]:
        area, group, serial = groups[:3]
        dashed = gaps[0] == gaps[1] and (gaps[0] == "-" or has_cue)
        issued = area not in ("000", "666") and group != "00" and serial != "0000"
        return 3 if dashed and issued else 0
    return int(has_cue and len(groups[0]) == 9)


def _phone_groups(groups: _Groups, gaps: list[str], lead: str, cue: str) -> int:
    first = groups[0]
    if lead.endswith(("+", "+(")) and first[0] != "0":
        return _take(groups, gaps, 8, 15)
    if first.startswith("00") and first[2:3] not in ("", "0"):
        return _take(groups, gaps, 10, 17)
    if cue.endswith(_PHONE_CUES):
        return _take(groups, gaps, 7, 15)
    if count := _north_american(groups, gaps):
        return count
    # With dots only as in 01.23.45.67.89: times of day and fractions have dots as well.
    is_written_so = gaps[:1] != ["."] or [len(group) for group in groups[:5]] == [2] * 5
    if len(first) >= 2 and first[0] == "0" and first[1] != "0" and is_written_so:
        return _take(groups, gaps, 10 if len(first) > 8 else 9, 12)
    return 0


def _take(groups: _Groups, gaps: list[str], least: int, most: int) -> int:
    """Return how many groups make a number of *least* to *most* digits, as many as possible."""
    total = best = 0
    for count, group in enumerate(groups, start=1):
        total += len(group)
        if total > most or (count > 1 and len(gaps[count - 2]) > 2):
            break
        if total >= least:
            best = count
    return best


def _north_american(groups: _Groups, gaps: list[str]) -> int:
    skip = 1 if groups[0] == "1" else 0
    local = groups[skip : skip + 3]
    if [len(group) for group in local] != [3, 3, 4] or min(local[0][0], local[1][0]) < "2":
        return 0
    count = skip + 3
    return count if all(len(gap) <= 2 for gap in gaps[: count - 1]) else 0
