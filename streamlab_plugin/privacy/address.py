"""Network addresses: IPv4 apart from versions and times, IPv6 apart from scope operators, MAC."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv6Address
from typing import Final

import re2

IPV4: Final = r"\d+(?:\.\d+){3,}"
IPV6: Final = (
    r"(?:(?:[0-9A-Fa-f]*:){5,}[0-9A-Fa-f:.]*|[0-9A-Fa-f:]*::[0-9A-Fa-f:.]*)(?:%(?:25)?[0-9A-Za-z_-]+)?"
)
MAC: Final = r"\b[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}\b"

_IP, _MAC = b"[ip]", b"[mac]"
_MAC_OCTETS = 6
_GROUPS = 8
_ESCAPES = (b"\\n", b"\\t", b"\\r")

# What makes four numbers with dots a version: a word or sign before, or what follows.
_VERSION_CUE = re2.compile(
    rb"(?i)(?:(?:\b|_)(?:versions?|ver|v|rel|release|rev|revision|build|firmware|fw|driver|patch|sdk|oid|section"
    rb"|chapter)(?:\s+(?:is|was|to|from))?[\"']?\s?[.:= ]?\s?[\"'(]?|[=<>~!]=\s?|[\^~]|\bv|\d[.-]"
    rb"|(?:^|[\s\"'(,;])(?-i:[A-Z])[A-Za-z]*/)$"
)
_VERSION_TAIL = re2.compile(
    rb"(?i)(?:[-.+](?:[a-z]+\d|rc|beta|alpha|snapshot|final|release|jar|dll|so|zip|exe|deb"
    rb"|rpm|war|whl|tar|tgz|nupkg|ga|dev|post|build|g[0-9a-f]{6})|[-+]\d)"
)
_CONTEXT = 24
# With what a text ends that `_VERSION_CUE` can match; not empty.
_VERSION_SIGNS = tuple(bytes([sign]) for sign in b"=^~.,-/vV")
_VERSION_WORDS = (
    b"version", b"versions", b"ver", b"v", b"rel", b"release", b"rev", b"revision", b"build", b"firmware",
    b"fw", b"driver", b"patch", b"sdk", b"oid", b"section", b"chapter", b"is", b"was", b"to", b"from",
)  # fmt: skip
_ZERO_PADDED = frozenset(f"0{digit}".encode() for digit in range(10))
_LONGEST_IPV4 = 15
_HIGHEST_MAJOR = 30


def judge_ipv4(data: bytes, start: int, stop: int) -> bytes | None:
    """Return the mark for an IPv4 address that identifies somebody; None for what only looks like one."""
    found = data[start:stop]
    parts = found.split(b".")
    if len(parts) != 4 or stop - start > _LONGEST_IPV4:
        return None
    for part in parts:
        if len(part) > 2 and int(part) > 255:
            return None
    if parts[0] in (b"127", b"255", b"0"):
        return None  # this machine or a mask: identifies nobody, and says that the target was local
    if not _ZERO_PADDED.isdisjoint(parts):
        return None  # a time of day with dots
    behind = data[stop : stop + 1]
    if behind == b":" or data[start - 2 : start] == b"//":
        return _IP
    is_part = data[start - 1 : start] == b"." and data[start - 2 : start - 1].isalnum()
    if is_part or (parts[2] == b"0" == parts[3] and behind != b"/"):
        return None  # part of a longer number; or a version: 10.5.0.0 is no host
    is_named = data[start - 1 : start] in (b"/", b"-", b"_") and data[start - 2 : start - 1].isalpha()
    if is_named and is_version(found.decode()):
        return None  # curl/7.81.0.2
    if _is_called_version(data[max(0, start - _CONTEXT) : start]):
        return None
    is_suffixed = behind in (b"-", b".", b"+") and _VERSION_TAIL.match(data, stop) is not None
    return None if is_suffixed else _IP


def _is_called_version(before: bytes) -> bool:
    """Return whether the text *before* four numbers says that they are a version."""
    # Most is told by the last word; the pattern takes longer than everything else about an address.
    word = before.rstrip(b" \t\r\n\v\f\"'(:.=").lower()
    may_be = before[-1:] in _VERSION_SIGNS or b"=" in before[-3:] or word.endswith(_VERSION_WORDS)
    return may_be and _VERSION_CUE.search(before) is not None


def is_version(value: str) -> bool:
    """Return whether *value*, a whole field, is a version rather than an IPv4 address.

    Four numbers below 100, the first at most 30 but not 10: of all addresses, 1 in 140 is so, and nearly
    every version.
    """
    parts = value.split(".")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) <= 2 for part in parts):
        return False
    return int(parts[0]) <= _HIGHEST_MAJOR and parts[0] != "10"


def judge_ipv6(data: bytes, start: int, stop: int) -> bytes | None:
    """Return the mark for an IPv6 or MAC address; None for times, scope operators and this machine."""
    has_colon = data[start : start + 1] == b":" != data[start + 1 : start + 2]  # the sign in from:2001:db8::1
    is_inside = _is_word(data[start - 1 : start]) and data[start - 2 : start] not in _ESCAPES
    if (is_inside and not has_colon) or _is_word(data[stop : stop + 1]):
        return None
    whole: bytes = data[start:stop]
    address, percent, _zone = whole.partition(b"%")
    head = b""
    if address[:1] == b":" and address[:2] != b"::":
        head, address = b":", address[1:]
    found = address.rstrip(b".") if not percent else address
    tail = address[len(found) :]
    if not found.endswith(b"::"):
        bare = found.rstrip(b":")
        found, tail = bare, found[len(bare) :] + tail
    mark = _mark_of(found)
    return None if mark is None else head + mark + tail


def judge_mac(data: bytes, start: int, stop: int) -> bytes | None:
    """Return the mark for a MAC address with dashes; None for digits only, which may be a time."""
    return None if data[start:stop].replace(b"-", b"").isdigit() else _MAC


def _mark_of(found: bytes) -> bytes | None:
    groups = found.split(b":")
    if all(len(group) == 2 for group in groups):
        return _MAC if len(groups) in (_MAC_OCTETS, _GROUPS) else None
    if len(groups) == _GROUPS + 1 and b"" not in groups:
        groups.pop()  # the port
    if b"" in groups and not _is_plausible(groups):
        return None  # a scope operator, as in a::b
    try:
        address = IPv6Address(b":".join(groups).decode())
    except AddressValueError:
        return None
    mapped = address.ipv4_mapped
    if address.is_loopback or address.is_unspecified or (mapped is not None and mapped.is_loopback):
        return None
    return _IP


def _is_plausible(groups: list[bytes]) -> bool:
    """Return whether a shortened address has digits, and begins as addresses that are in use do."""
    if not any(48 <= byte <= 57 for group in groups for byte in group):
        return False
    filled = [group for group in groups if group]
    first = groups[0].lower()
    is_assigned = len(first) == 4 and (first[:1] in b"23" or first[:2] in (b"fc", b"fd", b"fe", b"ff"))
    return (
        is_assigned
        or first in (b"64", b"100")
        or (not first and sum(map(len, filled)) > 2)
        or len(filled) > 3
    )


def _is_word(char: bytes) -> bool:
    return char.isalnum() or char == b"_"
