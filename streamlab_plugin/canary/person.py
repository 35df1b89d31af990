"""The people the canary plants: synthetic, seeded, from many countries.

Every value must be one that nothing else in a run can contain, or a hit would prove nothing. Names, streets
and sentences are faker's; accounts and ids are drawn here in the forms that detectors promise to know. No
person, account or number is real.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from faker import Faker

LOCALES: Final = (
    "de_DE", "en_US", "fr_FR", "pl_PL", "ru_RU", "ja_JP", "zh_CN", "es_ES", "tr_TR", "pt_BR", "nl_NL",
    "sv_SE", "cs_CZ", "el_GR", "bg_BG", "ko_KR", "hi_IN", "ar_AA", "fa_IR", "he_IL", "da_DK", "fi_FI",
    "hu_HU", "ro_RO", "en_GB", "vi_VN", "sk_SK", "ka_GE", "hy_AM",
)  # fmt: skip
_LETTERS = "abcdefghijkmnopqrstuvwxyz"
_CAPITALS = _LETTERS.upper()
_DIGITS = "0123456789"
# Forms in which A is a letter and 0 a digit.
# faker's own depend on the time of day, and processes would not agree about them.
_NATIONAL_IDS = ("00000000000", "000000-0000", "AA000000A", "AAAAAA00A00A000A", "0-0000-00000-00-0")
# Countries and their account numbers.
_IBANS = (
    ("DE", "0" * 18), ("GB", "AAAA" + "0" * 14), ("FR", "0" * 10 + "A0000000000" + "00"),
    ("NL", "AAAA" + "0" * 10), ("ES", "0" * 20), ("IT", "A" + "0" * 22), ("PL", "0" * 24), ("NO", "0" * 11),
)  # fmt: skip


class Person(NamedTuple):
    """One synthetic person; coordinates are degrees with six decimals, the last of which is not 0."""

    full_name: str
    email: str
    phone: str  # E.164
    local_phone: str  # as people of that country write it
    street: str
    city: str  # with its postcode
    birth_date: str
    user_id: str  # digits
    device_id: str  # a UUID
    ip: str
    iban: str
    card: str
    ssn: str
    national_id: str
    password: str
    token: str
    latitude: str
    longitude: str
    sentence: str


FIELDS: Final = Person._fields
# What has a form by which it is known wherever it stands.
RECOGNISABLE: Final = ("email", "phone", "device_id", "ip", "iban", "card", "ssn", "token")


def people(seed: str, count: int) -> Iterator[Person]:
    """Yield the first *count* people of *seed*, the same ones in every process."""
    return islice(_people(seed), count)


def forms(field: str, value: str) -> tuple[str, ...]:
    """Return the texts in which somebody would recognise a value, itself first."""
    if field == "phone":
        return value, value.removeprefix("+")
    if field in ("iban", "card"):
        groups = [value[at : at + 4] for at in range(0, len(value), 4)]
        return value, " ".join(groups), "-".join(groups)
    return (value,)


def _people(seed: str) -> Iterator[Person]:
    rng = random.Random(f"streamlab canary {seed}")
    countries = [Faker(locale) for locale in LOCALES]
    for country in countries:
        country.seed_instance(rng.getrandbits(64))
    while True:
        for country in countries:
            yield _person(rng, country)


def _person(rng: random.Random, country: Faker) -> Person:
    local = "".join(rng.choices(_LETTERS, k=8))
    return Person(
        full_name=country.name(),
        email=f"{local}.{rng.randrange(100, 1000)}@{rng.choice(('mail', 'post', 'inbox'))}.example.org",
        phone=f"+{rng.choice((1, 33, 44, 48, 49, 81, 90, 380))}{rng.randrange(200_000_000, 1_000_000_000)}",
        local_phone=country.phone_number(),
        street=country.street_address().replace("\n", ", "),
        city=f"{country.postcode()} {country.city()}",
        birth_date=f"{rng.randrange(1930, 2007)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}",
        user_id=f"{rng.randrange(2, 9)}{rng.randrange(10**10):010d}",
        device_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        ip=_ip(rng),
        iban=_iban(rng),
        card=_card(rng),
        ssn=f"{rng.randrange(100, 600)}-{rng.randrange(10, 100)}-{rng.randrange(1000, 10_000)}",
        national_id=_filled(rng, rng.choice(_NATIONAL_IDS)),
        password="".join(rng.choices(_LETTERS + _DIGITS, k=10)) + "!7Q",
        token="sk_live_" + "".join(rng.choices(_LETTERS + _DIGITS, k=24)),
        latitude=_degrees(rng, 10, 70),
        longitude=_degrees(rng, -120, 140),
        sentence=country.sentence(),
    )


def _ip(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return ":".join(["2001", "db8", *(f"{rng.randrange(4096, 65536):x}" for _ in range(6))])
    return f"{rng.randrange(20, 120)}." + ".".join(str(rng.randrange(100, 255)) for _ in range(3))


def _iban(rng: random.Random) -> str:
    country, pattern = rng.choice(_IBANS)
    account = _filled(rng, pattern)
    # ISO 7064: letters count from 10 on, and the country and two zeros stand behind the account.
    check = 98 - int("".join(str(int(char, 36)) for char in f"{account}{country}00")) % 97
    return f"{country}{check:02d}{account}"


def _filled(rng: random.Random, pattern: str) -> str:
    kinds = {"A": _CAPITALS, "0": _DIGITS}
    return "".join(rng.choice(kinds[char]) if char in kinds else char for char in pattern)


def _card(rng: random.Random) -> str:
    digits = f"4{rng.randrange(10**14):014d}"
    # Counted from the right, the check digit is first: every digit at an even index here is doubled.
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::2])
    return f"{digits}{-(doubled + sum(map(int, digits[1::2]))) % 10}"


def _degrees(rng: random.Random, low: int, high: int) -> str:
    return f"{rng.randrange(low, high)}.{rng.randrange(10_000, 100_000)}{rng.randrange(1, 10)}"
