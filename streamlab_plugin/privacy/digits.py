"""Cards, phone numbers and US social security numbers in a run of digits and separators.

Load test texts are full of numbers that are none of these: times, latencies, versions, epoch milliseconds.
So a number counts as personal only by its form: check digits, grouping, a leading + or 0, or a word such as
"phone" before it.
"""

from __future__ import annotations

import re2

from streamlab_plugin.privacy.card import card_groups
from streamlab_plugin.privacy.phone import FEWEST_DIGITS, JOINTS, MARK, Run, phone_groups

CARD, PHONE, SSN = "[card]", MARK, "[ssn]"

_SSN_CUE = re2.compile(
    r"(?i)(?:(?:\b|_)(?:ssn|itin)|social[ _-]?security)(?:[ _-]?(?:no|nr|number|num|is))*[^\pL\pN\r\n]{0,6}$"
)
_OTHER_CUE = re2.compile(
    r"(?i)\b(?:order|invoice|ticket|case|ref|sku|part|batch|serial|article|item|job|build)"
    r"(?:[ _-]?(?:no|nr|id|number))?[^\pL\pN\r\n]{0,3}$"
)
_MOST_GROUPS = 19
_SEPARATORS = " ().+/-"


def replace_numbers(digits: str, before: str, after: str) -> str:
    """Replace the personal numbers in *digits* by what they are.

    Args:
        digits: ASCII digits with blanks, dashes, dots, slashes, brackets and plus signs between them.
        before: The text before it, for a word that says what comes.
        after: The text behind it, for a unit, or for what the number is a part of.
    """
    groups, gaps = _split(digits)
    run = Run(groups, gaps, before, after)
    reach = _reach(run)
    pieces: list[str] = []
    at = 0
    while at < len(groups):
        mark, count = _number_at(run, at) if reach[at] >= FEWEST_DIGITS else ("", 1)
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
        if mark and at < len(groups):
            # What follows begins as if it stood alone: the mark says nothing about it.
            gap = gaps[at].rstrip("+(")
            pieces.append(gap)
            run = Run(groups[at:], [gaps[at][len(gap) :], *gaps[at + 1 :]], mark + gap, after)
            groups, gaps, reach, at = run.groups, run.gaps, reach[at:], 0
    return "".join(pieces)


def _split(run: str) -> tuple[list[str], list[str]]:
    """Return the groups of digits in *run* and the gap before each; *run* ends with a digit."""
    groups: list[str] = []
    gaps: list[str] = []
    rest = run
    while rest:
        tail = rest.lstrip(_SEPARATORS)
        gaps.append(rest[: len(rest) - len(tail)])
        rest = tail.lstrip("0123456789")
        groups.append(tail[: len(tail) - len(rest)])
    return groups, gaps


def _reach(run: Run) -> list[int]:
    """Return for each group how many digits there are from it to where no number goes on."""
    reach = list(map(len, run.groups))
    for at in range(len(reach) - 2, -1, -1):
        if run.gaps[at + 1] in JOINTS:
            reach[at] += reach[at + 1]
    return reach


def _number_at(run: Run, at: int) -> tuple[str, int]:
    """Return the mark and the number of groups of what starts at group *at*; no mark: leave them."""
    groups, gap = run.groups, run.gaps[at]
    # Single digits are tried from the first of a row only: a long row would cost a check at each place.
    if at > 0 and len(groups[at]) == len(groups[at - 1]) == 1 and "+" not in gap:
        return "", 1
    here = groups[at : at + _MOST_GROUPS]
    if count := _clock_groups(here):
        return "", count
    is_fraction = at > 0 and gap == "."
    if not is_fraction and (count := card_groups(here, run.gaps[at + 1 : at + _MOST_GROUPS])):
        return CARD, count
    if count := _ssn_groups(run, at):
        return SSN, count
    if count := phone_groups(run, at):
        return PHONE, count
    return "", 1


def _clock_groups(groups: list[str]) -> int:
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


def _ssn_groups(run: Run, at: int) -> int:
    groups = run.groups[at : at + 3]
    has_cue = at == 0 and _SSN_CUE.search(run.before) is not None
    if [len(group) for group in groups] == [3, 2, 4]:
        area, group, serial = groups
        gaps = set(run.gaps[at + 1 : at + 3])
        if area in ("000", "666") or group == "00" or serial == "0000" or len(gaps) > 1:
            return 0
        is_alone = run.has_own_start(at) and run.has_own_end(at + 3) and gaps == {"-"}
        return 3 if has_cue or (is_alone and (at > 0 or _OTHER_CUE.search(run.before) is None)) else 0
    return int(has_cue and len(groups[0]) == 9)
