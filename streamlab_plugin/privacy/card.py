"""Payment card numbers: proven by issuer, length and check digit.

One in ten numbers passes the check digit alone; with the issuer's prefix and length it is one in a hundred.
"""

from __future__ import annotations

# First and last prefix (ISO/IEC 7812) of an issuer, and the lengths of its numbers.
_ISSUERS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("1800", "1800", (15,)),  # JCB
    ("2131", "2131", (15,)),
    ("2200", "2204", (16, 17, 18, 19)),  # Mir
    ("2221", "2720", (16,)),  # Mastercard
    ("300", "305", (14, 16, 19)),  # Diners Club
    ("3095", "3095", (14, 16, 19)),
    ("34", "34", (15,)),  # American Express
    ("35", "35", (16, 17, 18, 19)),  # JCB
    ("0604", "0604", (12,)),  # Maestro, in the United Kingdom
    ("36", "36", (14, 15, 16, 17, 18, 19)),  # Diners Club
    ("37", "37", (15,)),
    ("38", "39", (14, 16, 17, 18, 19)),
    ("4", "4", (13, 16, 19)),  # Visa
    ("50", "50", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro, Verve, Elo
    ("51", "55", (16,)),  # Mastercard
    ("56", "58", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("60", "60", (16, 17, 18, 19)),  # Discover, RuPay
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("6304", "6304", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("636", "639", (12, 16, 17, 18, 19)),
    ("644", "659", (16, 17, 18, 19)),  # Discover, RuPay
    ("67", "67", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("81", "82", (16, 17, 18, 19)),  # UnionPay, RuPay
    ("9792", "9792", (16,)),  # Troy
)
SHORTEST, LONGEST = 12, 19
_COUNTED_TWICE = str.maketrans("0123456789", "0246813579")
# A 4-6-5 (American Express), 4-6-4 (Diners Club) or 6-13 (UnionPay) grouping; others are of fours.
_GROUPINGS = ([4, 6, 5], [4, 6, 4], [6, 13])
_GAPS = frozenset((" ", "-", "."))


def is_card(digits: str) -> bool:
    """Return whether *digits* has the prefix and length of an issuer and the check digit (Luhn)."""
    return _has_issuer(digits) and _has_check_digit(digits)


def card_groups(groups: list[str], gaps: list[str]) -> int:
    """Return how many of *groups* of digits, with *gaps* between them, make a card number; 0: none do."""
    if len(groups[0]) >= SHORTEST:
        return int(is_card(groups[0]))
    if len(groups[0]) not in (1, 4, 6, 8):
        return 0
    joined = groups[0]
    best = 0
    for count, (gap, group) in enumerate(zip(gaps, groups[1:], strict=False), start=2):
        joined += group
        if gap not in _GAPS or len(joined) > LONGEST:
            break
        # Three of four groups are a part of a number.
        is_part = len(joined) == SHORTEST and gaps[count - 1 : count] == [gap]
        if len(joined) >= SHORTEST and not is_part and _is_grouping(groups[:count]) and is_card(joined):
            best = count
    return best


def _has_issuer(digits: str) -> bool:
    return any(
        len(digits) in lengths and first <= digits[: len(first)] <= last for first, last, lengths in _ISSUERS
    )


def _has_check_digit(digits: str) -> bool:
    counted = digits[-1::-2] + digits[-2::-2].translate(_COUNTED_TWICE)
    return sum(map(int, counted)) % 10 == 0


def _is_grouping(groups: list[str]) -> bool:
    sizes = [len(group) for group in groups]
    if set(sizes) == {1} or (all(size % 4 == 0 for size in sizes[:-1]) and sizes[-1] <= 8):
        return True
    return sizes in _GROUPINGS
