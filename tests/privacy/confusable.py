"""What only looks like an identifier: numbers, names and marks that error texts are full of."""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable, Mapping

from stdnum import ean, iban, isbn, luhn

HEX = "0123456789abcdef"


def _digits(rng: random.Random, count: int) -> str:
    return rng.choice("123456789") + "".join(rng.choices(string.digits, k=count - 1))


def _hex(rng: random.Random, count: int) -> str:
    return "".join(rng.choices(HEX, k=count))


def failing_card(rng: random.Random) -> str:
    """Return 16 digits, plain or grouped, whose check digit is wrong."""
    body = rng.choice("3456") + _digits(rng, 14)
    wrong = next(
        digit
        for digit in string.digits
        if (not luhn.is_valid(body + digit) and rng.random() < 0.5) or digit == "9"
    )
    digits = body + wrong
    if luhn.is_valid(digits):
        digits = body + str((int(wrong) + 1) % 10)
    separator = rng.choice(("", "", " ", "-"))
    return separator.join(digits[at : at + 4] for at in range(0, 16, 4))


def failing_iban(rng: random.Random) -> str:
    """Return 22 characters that begin like an account number and fail its check digits."""
    text = f"{rng.choice(('DE', 'GB', 'FR', 'NO'))}{rng.randint(10, 97)}{_digits(rng, 18)}"
    return text if not iban.is_valid(text) else f"{text[:-1]}{(int(text[-1]) + 1) % 10}"


def failing_ssn(rng: random.Random) -> str:
    """Return a number with the dashes of a social security number that none can be."""
    return rng.choice(
        (
            f"000-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
            f"666-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
            f"{rng.randint(100, 600)}-00-{rng.randint(1000, 9999)}",
            f"{rng.randint(100, 600)}-{rng.randint(10, 99)}-0000",
            f"{rng.randint(1000, 9999)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
            f"INV-{rng.randint(100, 899)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
        )
    )


def order_number(rng: random.Random) -> str:
    """Return the number of an order, a ticket or an invoice."""
    return rng.choice(
        (
            f"order {_digits(rng, rng.randint(6, 12))}",
            f"ORD-{_digits(rng, 5)}-{_digits(rng, 4)}",
            f"#{_digits(rng, rng.randint(5, 10))}",
            f"INV-2026-{_digits(rng, 6)}",
            f"order {_digits(rng, 3)}-{_digits(rng, 7)}-{_digits(rng, 7)}",
            f"ticket {_digits(rng, 3)}-{_digits(rng, 3)}-{_digits(rng, 4)}",
            f"order no. 0{_digits(rng, 9)}",
            f"PO{_digits(rng, 8)}",
            _digits(rng, rng.randint(5, 11)),
        )
    )


def epoch(rng: random.Random) -> str:
    """Return a time since 1970 in s, ms, µs or ns."""
    seconds = rng.randint(1_500_000_000, 1_900_000_000)
    length = rng.choice((0, 3, 6, 9))
    return f"{seconds}{_digits(rng, length) if length else ''}"


def version(rng: random.Random) -> str:
    """Return a version of four parts, with what says that it is one."""
    parts = [str(rng.randint(0, 30)) for _ in range(4)]
    text = ".".join(parts)
    return rng.choice(
        (
            f"version {text}",
            f"v{text}",
            f"Version: {text}",
            f"release {text}",
            f"build {text}",
            f"lib=={text}",
            f"Chrome/{rng.randint(90, 140)}.0.{rng.randint(4000, 7000)}.{rng.randint(10, 250)}",
            f"19.{rng.randint(3, 25)}.0.0.0",
            f"Oracle Database 19.{rng.randint(3, 25)}.0.0",
            f"{text}-rc1",
            f"driver-{text}.jar",
            f"10.0.{rng.randint(17000, 22999)}.{rng.randint(1, 999)}",
            f"OID 1.3.6.1.4.1.{text}",
            f">={text}",
            "127.0.0.1",
            "0.0.0.0",
        )
    )


def date(rng: random.Random) -> str:
    """Return a date or time in one of the usual forms."""
    year, month, day = rng.randint(2019, 2027), rng.randint(1, 12), rng.randint(1, 28)
    clock = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}"
    return rng.choice(
        (
            f"{year}-{month:02}-{day:02}",
            f"{year}-{month:02}-{day:02}T{clock}Z",
            f"{day:02}.{month:02}.{year} {clock}",
            f"{month:02}/{day:02}/{year}",
            f"{year}/{month:02}/{day:02} {clock}",
            f"{year}{month:02}{day:02}",
            f"{year}{month:02}{day:02}{clock.replace(':', '')}",
            f"{year}-{month:02}-{day:02}T{clock}.123456789+01:00",
            f"{day:02}/Nov/{year}:{clock} +0100",
            f"{day:02}-{month:02}-{year}",
            f"07.{clock[3:].replace(':', '.')}.123",
        )
    )


def coordinates(rng: random.Random) -> str:
    """Return a place on a map or on a screen."""
    lat, lon = rng.uniform(-90, 90), rng.uniform(-180, 180)
    return rng.choice(
        (
            f"{lat:.6f},{lon:.6f}",
            f"{lat:.4f} {lon:.4f}",
            f"x={rng.randint(0, 1920)},y={rng.randint(0, 1080)}",
            f"POINT({lon:.5f} {lat:.5f})",
        )
    )


def product_number(rng: random.Random) -> str:
    """Return an EAN-13 or an ISBN with a right check digit, plain or with dashes."""
    body = rng.choice(("40", "50", "76", "30", "84", "978")) + _digits(rng, 10)
    body = body[:12]
    text = body + ean.calc_check_digit(body)
    return isbn.format(text) if text.startswith("978") and rng.random() < 0.5 else text


_CLASSES = (
    *("Connection", "Handler", "Http2", "Frame", "Codec", "Abstract", "Utf8", "Message", "Factory", "Async"),
    *("Client", "Sha256", "Base64", "Order", "V2"),
)


def java(rng: random.Random) -> str:
    """Return a class, an object or a method of Java."""
    name = "".join(rng.sample(_CLASSES, rng.randint(2, 6)))
    return rng.choice(
        (
            f"com.example.shop.{name}",
            f"com.example.{name}@{_hex(rng, 8)}",
            f"{name}.handle({name}.java:42)",
            f"org.apache.kafka.clients.{name}$1",
            name,
        )
    )


def pod(rng: random.Random) -> str:
    """Return the name of a pod, a container image or a node."""
    alphabet = "bcdfghjklmnpqrstvwxz2456789"
    return rng.choice(
        (
            f"checkout-api-{''.join(rng.choices(alphabet, k=10))}-{''.join(rng.choices(alphabet, k=5))}",
            f"web-{_digits(rng, 10)}-{''.join(rng.choices(alphabet, k=5))}",
            f"registry/shop/api@sha256:{_hex(rng, 64)}",
            f"gke-prod-pool-1-{_hex(rng, 8)}-{''.join(rng.choices(alphabet, k=4))}",
            f"kafka-{rng.randint(0, 9)}.kafka-headless.prod.svc.cluster.local",
            f"job-0{_digits(rng, 9)}-x{_hex(rng, 3)}",
        )
    )


CONFUSABLE: Mapping[str, Callable[[random.Random], str]] = {
    "order number": order_number,
    "epoch": epoch,
    "version": version,
    "latency": lambda rng: rng.choice((f"{rng.uniform(0, 5000):.3f} ms", f"p99={rng.uniform(0, 9):.12f}")),
    "port": lambda rng: f"port {rng.randint(1, 65535)}",
    "date": date,
    "uuid": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
    "hash": lambda rng: _hex(rng, rng.choice((7, 8, 12, 32, 40, 64))),
    "error code": lambda rng: rng.choice(
        (
            f"ORA-{rng.randint(1, 65535):05}",
            "SQLSTATE 23505",
            "SQLSTATE[HY000] [2002]",
            f"0x8{_hex(rng, 7)}",
            f"E{_digits(rng, 4)}",
            "errno=-104",
        )
    ),
    "failing card": failing_card,
    "failing iban": failing_iban,
    "failing ssn": failing_ssn,
    "mac": lambda rng: rng.choice((":", "-")).join(_hex(rng, 2) for _ in range(6)),
    "duration": lambda rng: rng.choice(
        (
            f"00:0{rng.randint(0, 9)}:{rng.randint(10, 59)}.{rng.randint(100, 999)}",
            f"{rng.randint(1, 99)}:{rng.randint(10, 59)}:{rng.randint(10, 59)}",
            "1h12m3.5s",
            f"{rng.randint(0, 9)}:00:00::end",
        )
    ),
    "size": lambda rng: rng.choice(
        (
            f"{_digits(rng, 10)} bytes",
            f"{rng.randint(1, 999)} {rng.randint(100, 999)} {rng.randint(100, 999)} bytes",
            f"{rng.uniform(1, 99):.1f} GiB",
        )
    ),
    "thread": lambda rng: f"thread 14{_digits(rng, 13)}",
    "pointer": lambda rng: f"<Session object at 0x7f{_hex(rng, 10)}>",
    "pod": pod,
    "scope": lambda rng: rng.choice(
        (
            "std::vector<int>::at",
            "a::b",
            "ab::cd::ef",
            "Face::add",
            "dead::beef",
            "crate::io::Error",
            "Foo::Bar::baz()",
            "::1",
            "abc::def",
            "boost::asio::error",
            "App::Models::User",
        )
    ),
    "java": java,
    "pid": lambda rng: f"pid {rng.randint(1, 4194304)}, ppid {rng.randint(1, 99999)}",
    "coordinates": coordinates,
    "price": lambda rng: rng.choice(
        (
            f"{rng.randint(1, 999)}.{rng.randint(100, 999)}.{rng.randint(100, 999)},00 €",
            f"${rng.randint(1, 9999)}.{rng.randint(10, 99)}",
            f"{rng.uniform(1, 999):.2f} EUR",
        )
    ),
    "product number": product_number,
    "sku": lambda rng: f"SKU-{_digits(rng, 4)}-{_digits(rng, 4)}-{rng.choice('ABC')}{_digits(rng, 3)}",
    "zone": lambda rng: rng.choice(("+01:00", "UTC+0530", "GMT-8", "Europe/Berlin", "+0100 (CET)")),
    "package": lambda rng: rng.choice(
        (
            "@types/node@20.1.4",
            "lodash@4.17.21",
            "react@18.2.0-rc.1",
            "@app.route('/')",
            "this@MainActivity.onCreate",
            "user@host",
            "pkg@1.2.3-beta.two",
        )
    ),
    "git": lambda rng: rng.choice(
        (f"HEAD@{{{rng.randint(1, 9)}}}", f"commit {_hex(rng, 40)}", f"abc@{_hex(rng, 7)}")
    ),
    "path": lambda rng: rng.choice(
        (
            "/usr/lib/python3.11/site-packages/urllib3/connectionpool.py",
            "src/main/java/com/Example/Shop2/OrderServiceImpl.java",
            f"/var/lib/docker/overlay2/{_hex(rng, 64)}/merged",
            "node_modules/@babel/core/lib/transform-file.js",
            f"s3://bucket/year=2026/month=11/part-{_digits(rng, 5)}.parquet",
        )
    ),
    "name": lambda rng: rng.choice(
        (
            "pk_order_items_order_id_product_id",
            "sk-learn-pipeline-training-worker",
            "fk_users_orders_2024_customer_id",
            "test_send_retries_when_broker_is_down_2",
            "MAX_CONCURRENT_CONNECTIONS_PER_HOST_IPV4",
            "KafkaConsumerGroupRebalanceListenerV2Impl",
            "surveyJobIdentifierFactory",
            "task-runner-2-node-18-linux-x64-release",
        )
    ),
    "certificate": lambda rng: rng.choice(
        (
            "-----BEGIN CERTIFICATE-----",
            "PRIVATE KEY not found",
            "BEGIN PUBLIC KEY",
            f"fingerprint {':'.join(_hex(rng, 2).upper() for _ in range(20))}",
        )
    ),
}
