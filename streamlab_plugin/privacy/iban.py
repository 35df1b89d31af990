"""Bank account numbers: found by country and length, proven by their check digits."""

from __future__ import annotations

# Length of an IBAN by country, from the registry of ISO 13616.
_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH CR HR LI LV",
        22: "BG BH DE GB GE IE ME RS VA",
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


def replace_ibans(run: str, mark: str) -> str:
    """Replace each IBAN in *run*, a stretch of ASCII letters, digits, blanks and dashes, by *mark*."""
    upper = run.upper()
    compact = [index for index, char in enumerate(upper) if char not in " -"]
    pieces: list[str] = []
    end = at = 0
    while at < len(compact):
        start = compact[at]
        length = _LENGTHS.get(upper[start : start + 2])
        if length is not None and at + length <= len(compact):
            stop = compact[at + length - 1] + 1
            if is_iban("".join(upper[index] for index in compact[at : at + length])):
                pieces += (run[end:start], mark)
                end = stop
                at += length
                continue
        at += 1
    return "".join((*pieces, run[end:]))
