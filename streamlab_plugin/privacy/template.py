"""Endpoint templates: one name for all requests that mean the same.

`/users/42/orders?page=2` and `/users/43/orders` are one endpoint. Templates keep personal data out of
names and the number of series small.
"""

from __future__ import annotations

from urllib.parse import unquote

import re2

from streamlab_plugin.privacy.detector import UNREADABLE, clean_text

NAME_LIMIT = 200

_READ_LIMIT = 2048
_SEGMENT_LIMIT = 64
_TOKEN_LENGTH = 20
_ROUNDS = 6
_CUT = "…"
_JOINERS = "-_:.~,="

_ORIGIN = re2.compile(r"(?i)\b[a-z][a-z0-9+.-]*://[^\s/?#]*/?")
_ESCAPE = re2.compile(r"%[0-9a-fA-F]{2}")
_VERSION = re2.compile(r"[vV]\d{1,3}(?:\.\d{1,3})*|\d{1,2}(?:\.\d{1,2}){1,2}")
_NUMBER = re2.compile(r"[+-]?\d+(?:[.,;:-]\d+)*")
_UUID = re2.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX = re2.compile(r"[0-9a-fA-F]{16,}")
_PLAIN = re2.compile(r"[A-Za-z0-9._~-]+")


def template(name: str) -> str:
    """Return the template of a request's *name*: no host, query, ids, personal data; at most 200 characters.

    A name without a slash is a label that the test's author chose: its digits stay. Applying `template`
    to its own result changes nothing. Never raises.
    """
    try:
        current = _printable(name[:_READ_LIMIT]).strip()
        for _ in range(_ROUNDS):
            following = _once(current)
            if following == current:
                return current
            current = following
    except Exception:  # noqa: BLE001 - fails closed: no name rather than a raw one
        return UNREADABLE
    return UNREADABLE


def path_template(path: str) -> str:
    """Return the template of a path alone, without query: numbers, ids and the like as marks."""
    return _path(path)


def _printable(name: str) -> str:
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else " " for char in name)


def _once(name: str) -> str:
    if "/" in name:
        if " " in name:
            name = clean_text(name)  # before a number with blanks in it is taken for ids
        if "://" in name:
            name = _ORIGIN.sub("/", name)
        slash, mark = name.find("/"), name.find("?")
        if 0 <= slash < mark:
            name = name[:mark]
        name = " ".join(_path(word) if "/" in word else word for word in name.split(" "))
    return _capped(clean_text(name).strip())


def _capped(name: str) -> str:
    if len(name) <= NAME_LIMIT:
        return name
    head = name[: NAME_LIMIT - 2]
    slash = head.rfind("/")
    return f"{head[:slash]}/{_CUT}" if slash > 0 else head + _CUT


def _path(path: str) -> str:
    segments: list[str] = []
    for segment in path.split("/"):
        before, hash_mark, _fragment = segment.partition("#")
        # A lone # is an MQTT wildcard, anything else after it the fragment of a URL.
        if hash_mark and segment != "#":
            segments.append(_segment(before))
            break
        segments.append(segment if hash_mark else _segment(segment))
    return "/".join(segments)


def _segment(segment: str) -> str:
    if segment.isascii() and segment.isalpha() and len(segment) < 16:
        return segment
    if _is_number(segment) or segment == "{id}":
        return "{id}"
    segment = segment.partition(";")[0]
    if "%" in segment and _ESCAPE.search(segment):
        plain = unquote(unquote(segment))
        if "@" in plain:
            return "{email}"
        if not _PLAIN.fullmatch(plain):
            return "{text}"
        segment = plain
    if "@" in segment:
        return "{email}"
    if len(segment) > _SEGMENT_LIMIT:
        return "{token}"
    if segment.isalpha() or _VERSION.fullmatch(segment):
        return "{hash}" if _HEX.fullmatch(segment) else segment
    if _NUMBER.fullmatch(segment):
        return "{id}"
    if len(segment) >= 16:
        segment = _HEX.sub(_hash_or_id, _UUID.sub("{uuid}", segment))
    parts = _parts(segment)
    replaced = "".join("{id}" if _is_number(part) else _without_tail_number(part) for part in parts)
    return "{token}" if len(replaced) >= _TOKEN_LENGTH and any(map(_is_mixed, _parts(replaced))) else replaced


def _hash_or_id(match: re2._Match) -> str:
    return "{id}" if match.group().isdigit() else "{hash}"


def _parts(segment: str) -> list[str]:
    """Split *segment* at its joiners, which stay in the list."""
    parts = [""]
    for char in segment:
        if char in _JOINERS:
            parts += [char, ""]
        else:
            parts[-1] += char
    return parts


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit()


def _is_mixed(part: str) -> bool:
    return any(char.isdigit() for char in part) and any(char.isalpha() for char in part)


def _without_tail_number(part: str) -> str:
    """Replace four digits and more after letters: ``device0042``, but not ``sha256``."""
    head = part.rstrip("0123456789")
    return f"{head}{{id}}" if head and len(part) - len(head) >= 4 else part
