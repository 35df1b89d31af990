"""What tells people and machines apart in texts: addresses, account and phone numbers, ids."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv6Address

import re2

from streamlab_plugin.privacy.digits import replace_numbers
from streamlab_plugin.privacy.iban import replace_ibans
from streamlab_plugin.privacy.pattern import always, judged

_LOCAL = r"[^\s@<>()\[\]{}\"'`,;:=/\\|?&#…]+"
_LABEL = r"[\pL\pN_-]+"
_EMAIL = (
    rf"(?:(?:{_LOCAL}')?{_LOCAL}|[\"'`=/|?&#{{}}])(?:@|%40|\\u0040|&#64;)"
    rf"(?:(?:{_LABEL}\.)+[\pL][\pL\pN-]*[\pL\pN]|\d+\.\d+\.\d+\.\d+|localhost\b)"
)
_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_IBAN = r"[A-Za-z]{2}\d\d[A-Za-z0-9 -]{11,}"
_HEX = r"(?:0[xX])?[0-9a-fA-F]{16,}"
_IPV6 = r"(?:[0-9A-Fa-f]*:){5,}[0-9A-Fa-f:.]*|[0-9A-Fa-f:]*::[0-9A-Fa-f:.]*"
_IPV4 = r"\d+(?:\.\d+){3,}"
_NUMBER = r"[+(]*\d[\d ().+-]{5,}\d"


def _judge_iban(_data: bytes, match: re2._Match) -> bytes | None:
    run: str = match.group().decode()
    replaced = replace_ibans(run, "[iban]")
    return None if replaced == run else replaced.encode()


def _judge_hex(_data: bytes, match: re2._Match) -> bytes | None:
    return None if match.group().isdigit() else b"{hash}"


def _judge_ipv6(data: bytes, match: re2._Match) -> bytes | None:
    start, stop = match.span()
    if _is_word(data[start - 1 : start]) or _is_word(data[stop : stop + 1]):
        return None
    whole: bytes = data[start:stop]
    found = whole.rstrip(b".")
    tail = whole[len(found) :]
    if found.count(b":") == 5 and all(len(part) == 2 for part in found.split(b":")):
        return b"[mac]" + tail
    if not found.endswith(b"::"):
        bare = found.rstrip(b":")
        found, tail = bare, found[len(bare) :] + tail
    if len(found.replace(b":", b"")) < 3 and found != b"::":
        return None  # a scope operator, as in a::b
    try:
        address = IPv6Address(found.decode())
    except AddressValueError:
        return None
    mapped = address.ipv4_mapped
    if address.is_loopback or address.is_unspecified or (mapped is not None and mapped.is_loopback):
        return None
    return b"[ip]" + tail


def _judge_ipv4(data: bytes, match: re2._Match) -> bytes | None:
    start, stop = match.span()
    found = data[start:stop]
    parts = found.split(b".")
    if len(parts) != 4 or any(len(part) > 3 or int(part) > 255 for part in parts):
        return None
    if parts[0] == b"127" or found == b"0.0.0.0":
        return None  # this machine: identifies nobody, and says that the target was local
    if any(len(part) == 2 and part[:1] == b"0" for part in parts):
        return None  # a time of day with dots
    before: bytes = data[max(0, start - 9) : start].lower()
    if before.endswith((b"version ", b"version=", b"version: ")) or before[-1:] == b"v":
        return None
    return b"[ip]"


def _judge_number(data: bytes, match: re2._Match) -> bytes | None:
    start, stop = match.span()
    found = data[start:stop]
    if len(found.translate(None, b" ().+-")) < 7:
        return None
    run = found.decode()
    before = data[max(0, start - 32) : start].decode(errors="replace")
    replaced = replace_numbers(run, before)
    return None if replaced == run else replaced.encode()


def _is_word(char: bytes) -> bool:
    return char.isalnum() or char == b"_"


# Whose directory it is says who works here.
_HOME = r"(?:/home|/Users|\b[A-Za-z]:\\+Users)[/\\]+[^/\\\s:\"',;)]+"

# In the order in which they must run: an IBAN or a UUID contains what looks like a number.
IDENTITIES = (
    always(_HOME, b"~"),
    always(_EMAIL, b"[email]"),
    always(_UUID, b"{uuid}"),
    judged(_IBAN, _judge_iban),
    judged(_HEX, _judge_hex),
    judged(_IPV6, _judge_ipv6),
    judged(_IPV4, _judge_ipv4),
    judged(_NUMBER, _judge_number),
)
