"""The people the demo target talks about: synthetic, seeded, and distinctive enough to search for.

After a demo somebody has to prove that no personal value was kept. That needs a finite set of exact strings
which cannot occur by accident, so every value here is long, ASCII (no JSON or HTML escape changes it) and
drawn from a seeded generator. No person, account or number is real.
"""

from __future__ import annotations

import base64
import json
import random
from dataclasses import dataclass

PERSON_COUNT = 24

_FIRST = ("Valentina", "Benedikt", "Ottoline", "Thaddeus", "Rosalinde", "Casimir", "Philippa", "Leopold")
_LAST = ("Oberhuber-Strand", "Quastenfels", "Brandlmayr", "Zwickenpflug", "Hollerwoeger", "Marchetti-Lund")
_STREETS = ("Kastanienweg", "Am Alten Gaswerk", "Lerchenfeldgasse", "Nordhafenufer")
_TOWNS = ("99084 Erfurt", "18055 Rostock", "94032 Passau", "26721 Emden")


@dataclass(frozen=True, slots=True)
class Person:
    """One synthetic person; ``user_id`` is the only field that is not a personal value.

    Latitude and longitude are degrees with eight decimals, ``voice_sample`` is base64 of random bytes.
    """

    user_id: str
    name: str
    email: str
    phone: str
    address: str
    latitude: float
    longitude: float
    token: str
    iban: str
    card: str
    voice_sample: str

    @property
    def values(self) -> list[str]:
        """Return each personal value as the exact text it has in JSON, without quotes."""
        return [
            self.name,
            self.email,
            self.phone,
            self.address,
            repr(self.latitude),
            repr(self.longitude),
            self.token,
            self.iban,
            self.card,
            self.voice_sample,
        ]


def persons(seed: int) -> list[Person]:
    """Return the `PERSON_COUNT` people of *seed*, the same ones in every process."""
    rng = random.Random(f"streamlab demo persons {seed}")
    names = rng.sample([(first, last) for first in _FIRST for last in _LAST], PERSON_COUNT)
    return [_person(rng, number, first, last) for number, (first, last) in enumerate(names)]


def personal_values(seed: int) -> list[str]:
    """Return every personal string that the target of *seed* may send, each once."""
    return [value for person in persons(seed) for value in person.values]


def _person(rng: random.Random, number: int, first: str, last: str) -> Person:
    user_id = f"user-{number:04d}"
    return Person(
        user_id=user_id,
        name=f"{first} {last}",
        email=f"{first}.{last}.{rng.randrange(1000, 10000)}@mail.example.org".lower(),
        # 030 23125 is the block of Berlin numbers that is never given to a subscriber.
        phone=f"+49 30 23125 {number:02d}{rng.randrange(10)}",
        address=f"{rng.choice(_STREETS)} {rng.randrange(100, 999)}, {rng.choice(_TOWNS)}",
        latitude=_degrees(rng, 47, 54),
        longitude=_degrees(rng, 7, 14),
        token=_token(rng, user_id),
        iban=_iban(rng),
        card=_card(rng),
        voice_sample=base64.b64encode(rng.randbytes(240)).decode(),
    )


def _degrees(rng: random.Random, low: int, high: int) -> float:
    # A last digit other than 0 keeps all eight decimals in the shortest text of the number.
    return float(f"{rng.randrange(low, high)}.{rng.randrange(10**6, 10**7)}{rng.randrange(1, 10)}")


def _token(rng: random.Random, user_id: str) -> str:
    header = json.dumps({"alg": "HS256", "typ": "JWT"}).encode()
    claims = json.dumps({"sub": user_id, "jti": rng.randbytes(8).hex()}).encode()
    parts = (header, claims, rng.randbytes(32))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _iban(rng: random.Random) -> str:
    account = f"{rng.randrange(10**18):018d}"
    check = 98 - int(f"{account}131400") % 97  # "DE00" as digits, ISO 7064
    return f"DE{check:02d}{account}"


def _card(rng: random.Random) -> str:
    digits = f"400000{rng.randrange(10**9):09d}"
    # Counted from the right, the check digit is first: every digit at an even index here is doubled.
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::2])
    return f"{digits}{-(doubled + sum(map(int, digits[1::2]))) % 10}"
