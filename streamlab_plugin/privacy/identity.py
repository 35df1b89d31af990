"""What tells people and machines apart in texts: addresses, account and phone numbers, ids."""

from __future__ import annotations

from typing import Final

import re2

from streamlab_plugin.privacy.address import IPV4, IPV6, MAC, judge_ipv4, judge_ipv6, judge_mac
from streamlab_plugin.privacy.digits import PHONE, replace_numbers
from streamlab_plugin.privacy.iban import CANDIDATE, replace_ibans
from streamlab_plugin.privacy.pattern import Pattern, always, judged

_LOCAL = r"[^\s@<>()\[\]{}\"'`,;:=/\\|?&#…]+"
_LABEL = r"[\pL\pN_-]+"
_EMAIL = (
    rf"(?:\"[^\"@\s][^\"@\r\n]*\"|(?:{_LOCAL}')?{_LOCAL}|[\"'`=/|?&#{{}}])(?:@|%40|\\u0040|&#64;)"
    rf"(?:(?:{_LABEL}\.)+[\pL][\pL\pN-]*[\pL\pN]|\[?\d+\.\d+\.\d+\.\d+\]?|\[(?:IPv6:)?[0-9A-Fa-f:]+\]|localhost\b)"
)
_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_HEX = r"(?:0[xX])?[0-9a-fA-F]{16,}"
_NUMBER = r"[+(]*\d[\d ().+/-]{5,}\d(?:(?:x| ?ext\.? ?)\d{1,6})?"
# Whose directory it is says who works here.
_HOME = r"(?:/home|/Users|\b[A-Za-z]:\\+Users)[/\\]+[^/\\\s:\"',;)]+"

_BEFORE = _AFTER = 40
# A package and its version, an outer object in Kotlin: no person's address.
_PACKAGE = re2.compile(rb"@\d+\.\d+\.\d+-[^@]*$|^(?:this|super)@")


def _judge_email(data: bytes, start: int, stop: int) -> bytes | None:
    return None if _PACKAGE.search(data[start:stop]) is not None else b"[email]"


def _judge_hex(data: bytes, start: int, stop: int) -> bytes | None:
    return None if data[start:stop].isdigit() else b"{hash}"


def _judge_home(data: bytes, start: int, _stop: int) -> bytes | None:
    lead = data[max(0, start - 64) : start].split()[-1:]
    # Only in an absolute path: a/home/kitchen is a topic.
    is_relative = (
        data[start : start + 1] == b"/" and data[start - 1 : start].isalnum() and b"/" not in lead[0][:8]
    )
    return None if is_relative else b"~"


def _judge_number(data: bytes, start: int, stop: int) -> bytes | None:
    found = data[start:stop]
    if len(found) <= 13 and (_is_date(found) or len(found.translate(None, b" ().+/-")) < 7):
        return None
    bare = found.rstrip(b"0123456789")
    # An extension goes with its number.
    run = (bare.rstrip(b" .ext") if b"x" in bare else found).decode()
    before = data[max(0, start - _BEFORE) : start].decode(errors="replace")
    replaced = replace_numbers(run, before, data[stop : stop + _AFTER].decode(errors="replace"))
    if replaced == run:
        return None
    extension = b"" if replaced.endswith(PHONE) else found[len(run) :]
    return replaced.encode() + extension


def _is_date(found: bytes) -> bool:
    """Return whether *found* is YYYY-MM-DD, with the hour behind it or not: quick, for there are many."""
    return (
        len(found) in (10, 13)
        and found[4:5] == found[7:8]
        and found[4:5] in (b"-", b".", b"/")
        and found[:2] == b"20"
    )


# In the order in which they must run: an IBAN or a UUID contains what looks like a number.
# Ids say nothing about anybody: they are only normalised.
UUIDS: Final = always(_UUID, b"{uuid}")
HASHES: Final = judged(_HEX, _judge_hex)
ID_TEXT: Final = rf"{_UUID}|{_HEX}|\bQm[1-9A-HJ-NP-Za-km-z]{{44}}\b"
IDENTITIES: Final = (
    judged(_HOME, _judge_home),
    judged(_EMAIL, _judge_email),
    UUIDS,
    Pattern(CANDIDATE, replace_ibans),
    HASHES,
    judged(IPV6, judge_ipv6),
    judged(MAC, judge_mac),
    judged(IPV4, judge_ipv4),
    judged(_NUMBER, _judge_number, trigger=r"[\d ().+/-]{6}\d"),
)
