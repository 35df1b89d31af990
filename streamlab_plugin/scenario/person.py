"""Synthetic people for payloads: the same ones for the same seed, none of them real.

A handful of words per list is enough: what a test needs is the shape of personal data, not a population.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

# Each connection is somebody; more people than this would only cost memory.
_COUNT = 1000

_FIRST = (
    "Amalia",
    "Bertram",
    "Cosima",
    "Dietmar",
    "Elfriede",
    "Falko",
    "Gesine",
    "Hartwig",
    "Irmela",
    "Joost",
)
_LAST = ("Abendroth", "Birnbaum", "Cornelsen", "Dunkelmann", "Eisenhut", "Feldkirch", "Grünwald", "Harkensee")
_STREETS = ("Ahornweg", "Bachgasse", "Deichstraße", "Eichenallee", "Fährufer", "Gartenweg")
_TOWNS = ("00001 Musterstadt", "00002 Beispielhausen", "00003 Probedorf", "00004 Testingen")
_PLATFORMS = (("android", "Pixel 9", "16"), ("android", "Galaxy S25", "15"), ("ios", "iPhone 17", "26.1"))


@dataclass(frozen=True, slots=True)
class Person:
    """One synthetic person with a phone. Coordinates are degrees with six decimals."""

    user_id: str
    device_id: str
    name: str
    email: str
    phone: str
    address: str
    latitude: float
    longitude: float
    platform: str
    device_model: str
    os_version: str


def person_of(seed: int, connection: int) -> Person:
    """Return whom *connection* stands for; 1,000 connections on, the same people come again."""
    number = connection % _COUNT
    rng = random.Random(f"person {seed} {number}")
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    platform, device_model, os_version = rng.choice(_PLATFORMS)
    return Person(
        user_id=f"user-{number:04d}",
        device_id=f"{rng.getrandbits(64):016x}",
        name=f"{first} {last}",
        email=f"{first}.{last}.{number}@mail.example.org".lower().replace("ü", "ue"),
        # 030 23125 is the block of Berlin numbers that is never given to a subscriber.
        phone=f"+49 30 23125 {number:03d}",
        address=f"{rng.choice(_STREETS)} {rng.randrange(1, 200)}, {rng.choice(_TOWNS)}",
        latitude=round(rng.uniform(47.3, 54.9), 6),
        longitude=round(rng.uniform(6.1, 14.9), 6),
        platform=platform,
        device_model=device_model,
        os_version=os_version,
    )
