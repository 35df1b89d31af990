"""Identifiers as they stand in error texts: the corpus of test_identifiers.py.

Values come from generators that are not ours where there are any (faker, python-stdnum, phonenumbers), so
that a detector is not measured by its own idea of what it looks for.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from typing import NamedTuple

import phonenumbers
from faker import Faker
from phonenumbers import PhoneNumberFormat, PhoneNumberType
from stdnum import luhn
from stdnum.iso7064 import mod_97_10

from tests.privacy.confusable import CONFUSABLE
from tests.privacy.sentence import SENTENCES

SEED = 20_261_122
LOCALES = (
    "en_US",
    "en_GB",
    "de_DE",
    "fr_FR",
    "es_ES",
    "it_IT",
    "nl_NL",
    "en_IN",
    "ja_JP",
    "pt_BR",
    "en_AU",
    "pl_PL",
)
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "IN", "JP", "BR", "AU")
PHONE_WORDS = ("phone", "Tel.", "mobile:", "téléphone", "Telefon", "msisdn=", "phone_number:", "call from")

Make = Callable[[random.Random], str]


class Positive(NamedTuple):
    """A text with an identifier in it, and the part that must not stay."""

    text: str
    part: str


class Kind(NamedTuple):
    """One class of identifiers.

    ``make`` gives the identifier as written and, after ``\\0``, the part that must not stay if it is not
    the whole; ``similar`` are the confusable values that are tried more often than others.
    """

    name: str
    mark: str
    make: Make
    similar: tuple[str, ...] = ()


def _chars(rng: random.Random, alphabet: str, length: int) -> str:
    return "".join(rng.choices(alphabet, k=length))


BASE62 = string.ascii_letters + string.digits
_FAKERS = {locale: Faker(locale) for locale in LOCALES}


def _faker(rng: random.Random) -> Faker:
    fake = _FAKERS[rng.choice(LOCALES)]
    fake.seed_instance(rng.getrandbits(32))
    return fake


def email(rng: random.Random) -> str:
    """Return an address as mail providers, companies and people write them."""
    fake = _faker(rng)
    local, domain = fake.user_name(), fake.domain_name()
    return rng.choice(
        (
            fake.email(),
            fake.company_email(),
            f"{local}+{_chars(rng, string.ascii_lowercase, 4)}@{domain}",
            f"{local.title()}.{fake.last_name().replace(' ', '')}@mail.{domain}",
            f"{local}_{rng.randint(1, 99)}@{domain.upper()}",
            f"o'{local}@{domain}",
            f"{local}@sub-{rng.randint(1, 9)}.{domain}.co.uk",
            f"{local}@müller-{rng.randint(1, 99)}.de",
        )
    )


_ISSUERS = (
    ("4", 16),
    ("4", 13),
    ("4", 19),
    ("51", 16),
    ("55", 16),
    ("2221", 16),
    ("2720", 16),
    ("34", 15),
    ("37", 15),
    ("300", 14),
    ("36", 14),
    ("38", 14),
    ("6011", 16),
    ("65", 16),
    ("644", 16),
    ("3528", 16),
    ("3589", 16),
    ("62", 16),
    ("62", 19),
    ("5018", 16),
    ("6304", 16),
    ("6759", 12),
    ("2204", 16),
    ("508", 16),
)


def card(rng: random.Random) -> str:
    """Return a card number of one of the issuers, plain or grouped as on the card."""
    if rng.random() < 0.2:
        return _faker(rng).credit_card_number()
    prefix, length = rng.choice(_ISSUERS)
    body = prefix + _chars(rng, string.digits, length - 1 - len(prefix))
    digits = body + luhn.calc_check_digit(body)
    separator = rng.choice(("", "", " ", "-", "\u00a0"))
    sizes = {15: (4, 6, 5), 14: (4, 6, 4)}.get(length, (4, 4, 4, 4, 4))
    groups, at = [], 0
    for size in sizes:
        groups.append(digits[at : at + size])
        at += size
    return separator.join(filter(None, groups))


_BBANS = {
    "DE": "n18",
    "FR": "n10 c11 n2",
    "GB": "a4 n14",
    "ES": "n20",
    "IT": "a1 n10 c12",
    "NL": "a4 n10",
    "BE": "n12",
    "AT": "n16",
    "CH": "n5 c12",
    "PL": "n24",
    "SE": "n20",
    "NO": "n11",
    "DK": "n14",
    "FI": "n14",
    "IE": "a4 n14",
    "PT": "n21",
    "GR": "n7 c16",
    "CZ": "n20",
    "HU": "n24",
    "RO": "a4 c16",
    "BR": "n23 a1 c1",
    "SA": "n2 c18",
    "AE": "n19",
    "TR": "n6 c16",
    "MT": "a4 n5 c18",
    "LU": "n3 c13",
    "EE": "n16",
    "LT": "n16",
    "LV": "a4 c13",
}


def iban(rng: random.Random) -> str:
    """Return an account number of one of 29 countries, plain, grouped, with dashes or in small letters."""
    country = rng.choice(list(_BBANS))
    kinds = {"n": string.digits, "a": string.ascii_uppercase, "c": string.ascii_uppercase + string.digits}
    bban = "".join(_chars(rng, kinds[part[0]], int(part[1:])) for part in _BBANS[country].split())
    check = mod_97_10.calc_check_digits(f"{bban}{country}")
    compact = f"{country}{check}{bban}"
    groups = [compact[at : at + 4] for at in range(0, len(compact), 4)]
    return rng.choice(
        (compact, compact, " ".join(groups), "-".join(groups), compact.lower(), "\u00a0".join(groups))
    )


def _example(rng: random.Random) -> phonenumbers.PhoneNumber:
    region = rng.choice(REGIONS)
    kind = rng.choice((PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE))
    number = phonenumbers.example_number_for_type(region, kind)
    assert number is not None
    # The last digits of an example vary; most stay valid.
    for _ in range(20):
        varied = phonenumbers.PhoneNumber()
        varied.merge_from(number)
        varied.national_number = (
            number.national_number - number.national_number % 10_000 + rng.randrange(10_000)
        )
        if phonenumbers.is_valid_number(varied):
            return varied
    return number


def phone_e164(rng: random.Random) -> str:
    """Return a number with its country code: E.164, international or as RFC 3966."""
    formats = (PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL)
    text = phonenumbers.format_number(_example(rng), rng.choice(formats))
    return rng.choice((text, text, text.replace(" ", "-"), text.replace("+", "00"), text.replace(" ", ".")))


def phone_national(rng: random.Random) -> str:
    """Return a number as people of eleven countries write it; bare digits only behind a word for it."""
    number = _example(rng)
    text = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    text = rng.choice(
        (
            text,
            text,
            text.replace(" ", "-") if text[0] in "0(" else text,
            text.replace(" ", "/", 1) if number.country_code == 49 else text,
        )
    )
    bare = "".join(filter(str.isdigit, text))
    if rng.random() < 0.2:
        return f"{rng.choice(PHONE_WORDS)} {bare}\0{bare}"
    return text


def ipv4(rng: random.Random) -> str:
    """Return an address, with a port, a mask, a scheme or a host's name before it, or alone."""
    address = (
        f"{rng.choice((10, 172, 192, rng.randint(11, 223)))}.{rng.randint(0, 255)}.{rng.randint(1, 255)}"
    )
    address = f"{address}.{rng.randint(1, 254)}" if not address.startswith("127.") else "203.0.113.9"
    port = rng.randint(1024, 65535)
    return (
        rng.choice(
            (
                address,
                address,
                f"{address}:{port}",
                f"tcp://{address}:{port}",
                f"{address}/24",
                f"('{address}', {port})",
                f"node-1/{address}:{port}",
                f"[{address}]",
            )
        )
        + f"\0{address}"
    )


def ipv6(rng: random.Random) -> str:
    """Return an address: full, shortened, with a zone, in brackets with a port, with a prefix length."""
    head = rng.choice(("2001", "2a02", "2600", "fd12", "fe80", "2001"))
    groups = [head, *(f"{rng.randrange(65536):x}" for _ in range(7))]
    full = ":".join(groups)
    short = f"{head}:{groups[1]}::{groups[6]}:{groups[7]}"
    address = rng.choice(
        (
            full,
            short,
            short,
            f"{head}::{groups[7]}",
            ":".join(g.zfill(4) for g in groups),
            short.upper(),
            f"::ffff:10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.7",
        )
    )
    port = rng.randint(1024, 65535)
    return (
        rng.choice(
            (
                address,
                f"[{address}]:{port}",
                f"{address}%eth0",
                f"{address}/64",
                f"[{address}]",
                f"('{address}', {port}, 0, 0)",
                f"http://[{address}]:{port}/",
            )
        )
        + f"\0{address}"
    )


def _b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def jwt(rng: random.Random) -> str:
    """Return a signed or an unsigned token."""
    head = _b64(json.dumps({"alg": rng.choice(("HS256", "RS256", "none")), "typ": "JWT"}))
    body = _b64(
        json.dumps({"sub": str(rng.randrange(10**9)), "name": _faker(rng).name(), "iat": 1_763_710_000})
    )
    token = f"{head}.{body}.{_chars(rng, BASE62 + '-_', 43)}"
    return rng.choice((token, token, f"Bearer {token}\0{token}", f"jwt={token}\0{token}"))


def cloud_key(rng: random.Random) -> str:
    """Return a key of a cloud or of a service, with the name that it has in settings where it has no form."""
    upper, url = string.ascii_uppercase + "234567", BASE62 + "-_"
    secret = _chars(rng, BASE62 + "+/", 40)
    azure = base64.b64encode(rng.randbytes(64)).decode()
    signature = base64.b64encode(rng.randbytes(32)).decode().replace("+", "%2B").replace("/", "%2F")
    signature = signature.replace("=", "%3D")
    return rng.choice(
        (
            f"{rng.choice(('AKIA', 'ASIA', 'AROA'))}{_chars(rng, upper, 16)}",
            secret,
            f"aws_secret_access_key={secret}\0{secret}",
            f'"SecretAccessKey": "{secret}"\0{secret}',
            f"AIza{_chars(rng, url, 35)}",
            f"DefaultEndpointsProtocol=https;AccountName=acct{rng.randint(1, 99)};AccountKey={azure};"
            f"EndpointSuffix=core.windows.net\0{azure}",
            f"AccountKey={azure}\0{azure}",
            azure,
            f"https://acct.blob.core.windows.net/c/b?sv=2022-11-02&sr=b&sp=r&sig={signature}\0{signature}",
            f"sv=2022-11-02&sp=rl&sig={signature}\0{signature}",
            f"{rng.choice(('ghp_', 'gho_', 'ghs_'))}{_chars(rng, BASE62, 36)}",
            f"github_pat_{_chars(rng, BASE62, 22)}_{_chars(rng, BASE62, 59)}",
            f"glpat-{_chars(rng, url, 20)}",
            f"xoxb-{rng.randrange(10**11, 10**12)}-{rng.randrange(10**12, 10**13)}-{_chars(rng, BASE62, 24)}",
            f"{rng.choice(('sk_live_', 'sk_test_', 'rk_live_', 'pk_live_'))}{_chars(rng, BASE62, 24)}",
            f"sk-{_chars(rng, BASE62, 48)}",
            f"sk-proj-{_chars(rng, url, 64)}",
            f"sk-ant-api03-{_chars(rng, url, 93)}",
            f"SG.{_chars(rng, url, 22)}.{_chars(rng, url, 43)}",
            f"npm_{_chars(rng, BASE62, 36)}",
        )
    )


def private_key(rng: random.Random) -> str:
    """Return a PEM block, with real or with escaped line ends, whole or cut off."""
    label = rng.choice(("RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", ""))
    lines = [_chars(rng, BASE62 + "+/", 64) for _ in range(rng.randint(2, 6))]
    block = "\n".join((f"-----BEGIN {label}PRIVATE KEY-----", *lines, f"-----END {label}PRIVATE KEY-----"))
    block = rng.choice((block, block.replace("\n", "\\n"), block[: -rng.randint(30, 60)]))
    return f"{block}\0{lines[0]}"


def ssn(rng: random.Random) -> str:
    """Return a social security number: with dashes, or otherwise behind a word for it."""
    area = rng.choice([number for number in range(1, 900) if number != 666])
    parts = (f"{area:03}", f"{rng.randint(1, 99):02}", f"{rng.randint(1, 9999):04}")
    dashed = "-".join(parts)
    spaced, bare = " ".join(parts), "".join(parts)
    return rng.choice(
        (
            dashed,
            dashed,
            dashed,
            f"SSN {spaced}\0{spaced}",
            f"ssn={bare}\0{bare}",
            f"social security number {bare}\0{bare}",
        )
    )


KINDS = (
    Kind("e-mail", "[email]", email, ("package", "java", "git")),
    Kind("payment card", "[card]", card, ("failing card", "order number", "epoch", "product number")),
    Kind("IBAN", "[iban]", iban, ("order number", "hash", "failing iban", "sku")),
    Kind("phone, international", "[phone]", phone_e164, ("order number", "zone", "date", "epoch")),
    Kind(
        "phone, national", "[phone]", phone_national, ("order number", "date", "failing card", "coordinates")
    ),
    Kind("IPv4", "[ip]", ipv4, ("version", "date", "duration", "price")),
    Kind("IPv6", "[ip]", ipv6, ("scope", "duration", "mac", "date")),
    Kind("JWT", "[token]", jwt, ("java", "hash", "pod")),
    Kind("cloud and service key", "[token]", cloud_key, ("java", "pod", "path", "hash", "name")),
    Kind("private key", "[token]", private_key, ("certificate", "path")),
    Kind("US social security number", "[ssn]", ssn, ("date", "order number", "zone", "failing ssn")),
)


def positives(kind: Kind, count: int) -> Iterator[Positive]:
    """Yield *count* sentences with an identifier of *kind*; one in ten has another identifier as well."""
    rng = random.Random(f"{SEED} {kind.name}")
    for index in range(count):
        whole, _zero, part = kind.make(rng).partition("\0")
        sentence = SENTENCES[index % len(SENTENCES)]
        text = sentence.replace("{}", whole)
        if rng.random() < 0.1:
            other = rng.choice([other for other in KINDS if other.name != kind.name])
            text = f"{text} / {other.make(rng).partition(chr(0))[0]}"
        yield Positive(text, part or whole)


def negatives(kind: Kind, count: int) -> Iterator[str]:
    """Yield *count* sentences without anything of *kind*, half of them with what is easily taken for it."""
    rng = random.Random(f"{SEED} not {kind.name}")
    for index in range(count):
        name = rng.choice(kind.similar) if index % 2 else rng.choice(list(CONFUSABLE))
        yield SENTENCES[index % len(SENTENCES)].replace("{}", CONFUSABLE[name](rng))
