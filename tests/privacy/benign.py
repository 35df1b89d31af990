"""Values of fields that say nothing about anybody, and are like what does: the corpus of test_benign.py."""

from __future__ import annotations

import base64
import random
import string
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from stdnum import ean, isbn

SEED = 20_261_122

_HEX = "0123456789abcdef"
_BASE58 = "".join(set(string.ascii_letters + string.digits) - set("0OIl"))
_NOW = 1_763_710_000


def _digits(rng: random.Random, count: int) -> str:
    return rng.choice("123456789") + "".join(rng.choices(string.digits, k=count - 1))


def _chars(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choices(sorted(alphabet), k=count))


def _moment(rng: random.Random) -> datetime:
    return datetime.fromtimestamp(rng.uniform(_NOW - 2e8, _NOW + 2e8), UTC)


def version(rng: random.Random) -> str:
    """Return a version of two to four parts, with what often stands around it."""
    parts = [str(rng.randint(0, 30 if index else 20)) for index in range(rng.choice((2, 3, 3, 4)))]
    if len(parts) == 4:
        parts[0] = str(rng.choice((*range(10), 11, 12, 19)))
    text = ".".join(parts)
    return rng.choice(
        (
            text,
            text,
            f"v{text}",
            f"{text}-rc.{rng.randint(1, 9)}",
            f"{text}+build.{_digits(rng, 4)}",
            f"Chrome/{rng.randint(80, 140)}.0.{rng.randint(4000, 7000)}.{rng.randint(1, 255)}",
            f"locust/{text}",
            f"{rng.randint(10, 22)}.04.{rng.randint(1, 5)}-LTS",
        )
    )


def epoch(rng: random.Random) -> int | str:
    """Return a time since 1970 in s, ms, µs or ns, as a number or as text."""
    number = int(rng.uniform(_NOW - 2e8, _NOW + 2e8) * rng.choice((1, 10**3, 10**6, 10**9)))
    return rng.choice((number, str(number)))


def product_number(rng: random.Random) -> str:
    """Return an EAN-13 or an ISBN with a right check digit, an ASIN or an SKU."""
    body = rng.choice(("40", "50", "76", "30", "84", "00", "69")) + _digits(rng, 10)
    book = "978" + _digits(rng, 9)
    book += ean.calc_check_digit(book)
    return rng.choice(
        (
            body + ean.calc_check_digit(body),
            book,
            isbn.format(book),
            isbn.to_isbn10(book),
            f"B0{_chars(rng, string.ascii_uppercase + string.digits, 8)}",
            f"SKU-{_digits(rng, 5)}-{_chars(rng, string.ascii_uppercase, 2)}",
            f"{_chars(rng, string.ascii_uppercase, 3)}-{_digits(rng, 4)}-{_digits(rng, 4)}",
        )
    )


def order_number(rng: random.Random) -> int | str:
    """Return the number of an order."""
    return rng.choice(
        (
            f"ORD-{_digits(rng, 8)}",
            _digits(rng, 10),
            _digits(rng, 16),
            int(_digits(rng, rng.choice((8, 12, 16)))),
            f"{_digits(rng, 3)}-{_digits(rng, 7)}-{_digits(rng, 7)}",
            f"#{_digits(rng, 6)}",
            f"2026-{_digits(rng, 6)}",
        )
    )


def build(rng: random.Random) -> int | str:
    """Return the number of a build."""
    return rng.choice(
        (
            rng.randint(1, 10**6),
            f"#{rng.randint(1, 9999)}",
            f"{_moment(rng):%Y%m%d}.{rng.randint(1, 99)}",
            f"{_moment(rng):%Y%m%d%H%M%S}",
            f"build-{_digits(rng, 7)}",
            f"main-{_chars(rng, _HEX, 7)}-{_digits(rng, 4)}",
        )
    )


def iso_date(rng: random.Random) -> str:
    """Return a date or time as ISO 8601 has it."""
    moment = _moment(rng)
    return rng.choice(
        (
            moment.isoformat(),
            f"{moment:%Y-%m-%d}",
            f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            f"{moment:%Y%m%dT%H%M%SZ}",
            f"{moment:%Y-%m-%d %H:%M:%S}.{rng.randint(0, 999999):06}",
            f"{moment:%G-W%V-%u}",
            f"P{rng.randint(1, 9)}DT{rng.randint(1, 23)}H",
            f"{moment:%H:%M:%S}.{rng.randint(100, 999)}",
        )
    )


def content_id(rng: random.Random) -> str:
    """Return an id of content, of a correlation or of a container."""
    return rng.choice(
        (
            f"Qm{_chars(rng, _BASE58, 44)}",
            f"bafybei{_chars(rng, string.ascii_lowercase + '234567', 52)}",
            f"sha256:{_chars(rng, _HEX, 64)}",
            _chars(rng, _HEX, 12),
            _chars(rng, string.ascii_letters + string.digits, 22),
            f"01{_chars(rng, '0123456789ABCDEFGHJKMNPQRSTVWXYZ', 24)}",
            f"cid-{_digits(rng, 9)}",
            base64.b64encode(rng.randbytes(12)).decode(),
            f"req_{_chars(rng, string.ascii_lowercase + string.digits, 14)}",
            f"00-{_chars(rng, _HEX, 32)}-{_chars(rng, _HEX, 16)}-01",
        )
    )


BENIGN: Mapping[str, Callable[[random.Random], object]] = {
    "uuid": lambda rng: rng.choice((str, lambda one: one.hex, lambda one: str(one).upper()))(
        uuid.UUID(int=rng.getrandbits(128), version=4)
    ),
    "git hash": lambda rng: _chars(rng, _HEX, rng.choice((7, 8, 10, 12, 40, 64))),
    "version": version,
    "epoch time": epoch,
    "latency": lambda rng: rng.choice(
        (
            rng.uniform(0, 9000),
            f"{rng.uniform(0, 900):.3f} ms",
            f"{rng.randint(1, 9999)}ms",
            rng.randint(0, 10**10),
            f"{rng.uniform(0, 9):.15f}",
        )
    ),
    "price": lambda rng: rng.choice(
        (
            f"{rng.uniform(0, 9999):.2f}",
            f"€{rng.uniform(0, 99):.2f}",
            f"{rng.randint(1, 999)},99 EUR",
            f"${rng.randint(1, 9)},{rng.randint(100, 999)},{rng.randint(100, 999)}.00",
            f"{rng.randint(1, 9)}.{rng.randint(100, 999)}.{rng.randint(100, 999)},50 €",
        )
    ),
    "button coordinates": lambda rng: rng.choice(
        (
            f"x={rng.randint(0, 3840)},y={rng.randint(0, 2160)}",
            f"{rng.randint(0, 3840)},{rng.randint(0, 2160)}",
            f"({rng.randint(0, 999)}, {rng.randint(0, 999)})",
        )
    ),
    "product number": product_number,
    "build number": build,
    "order number": order_number,
    "ISO date": iso_date,
    "size": lambda rng: rng.choice(
        (
            rng.randint(0, 2**40),
            f"{rng.randint(1, 2**40)} bytes",
            f"{rng.uniform(0, 999):.1f} MiB",
            f"{rng.randint(1, 4096)}x{rng.randint(1, 4096)}",
        )
    ),
    "MIME type": lambda rng: rng.choice(
        (
            "application/json",
            "text/html; charset=utf-8",
            "application/vnd.api+json;version=1.2",
            "image/svg+xml",
            "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk",
            'video/mp4; codecs="avc1.42E01E, mp4a.40.2"',
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        )
    ),
    "locale": lambda rng: rng.choice(
        ("de_DE", "en-US,en;q=0.9,de;q=0.8", "zh-Hant-TW", "pt_BR.UTF-8", "fr", "sr@latin")
    ),
    "colour": lambda rng: rng.choice(
        (
            f"#{_chars(rng, _HEX, rng.choice((3, 6, 8)))}",
            f"rgb({rng.randint(0, 255)}, 0, 128)",
            f"hsl({rng.randint(0, 360)}, 50%, 50%)",
            "rgba(255,255,255,0.87)",
        )
    ),
    "topic": lambda rng: rng.choice(
        (
            f"sensors/floor{rng.randint(1, 9)}/temp",
            "building/home/kitchen/humidity",
            "$SYS/broker/load",
            f"v1/devices/{_digits(rng, 6)}/telemetry",
            "a/+/b/#",
            f"orders.{rng.randint(1, 99)}.created",
            f"fleet/{_chars(rng, _HEX, 8)}/gps",
        )
    ),
    "HTTP date": lambda rng: f"{_moment(rng):%a, %d %b %Y %H:%M:%S} GMT",
    "time zone": lambda rng: rng.choice(
        (
            "Europe/Berlin",
            "UTC",
            "+01:00",
            "-0530",
            "UTC+05:45",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT-14",
            "GMT+0100 (CET)",
        )
    ),
    "content id": content_id,
    "code": lambda rng: rng.choice(
        (
            f"ORA-{rng.randint(1, 65535):05}",
            f"0x{_chars(rng, _HEX, 8)}",
            f"E{_digits(rng, 5)}",
            "23505",
            f"HTTP_{rng.randint(400, 599)}",
            "ECONNREFUSED",
            f"{_chars(rng, string.ascii_uppercase, 2)}-{_digits(rng, 6)}",
        )
    ),
}


def values(count: int) -> Iterator[tuple[str, object]]:
    """Yield *count* values with their kinds, all kinds alike."""
    rng = random.Random(SEED)
    kinds = list(BENIGN)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        yield kind, BENIGN[kind](rng)
