"""The forms in which personal data travels through tests: documents, raw bodies, texts, paths.

A disguise takes some of a person's values by field and returns what is sent. Of documents only fields that
the packaged policy keeps may have values there that are known by their form; everything else stands where the
policy's promise covers it (see docs/privacy.md, "What it cannot do").
"""

from __future__ import annotations

import base64
import csv
import gzip
import html
import io
import json
import re
import struct
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from streamlab_plugin.canary.person import RECOGNISABLE

Values = Mapping[str, str]
_NUMBERS = ("user_id", "card", "phone", "latitude", "longitude")
# The fields of the packaged policy that keep a text, and what they then say.
_KEPT = {
    "email": ("status", "sent to {}"), "phone": ("result", "call {} now"),
    "ip": ("state", "from {}"), "iban": ("code", "{}"), "card": ("value", "paid with {}"),
    "ssn": ("reason_code", "ssn {}"), "token": ("level", "Bearer {}"),
}  # fmt: skip
_NAMES = {"birth_date": "date_of_birth", "city": "postal_address", "sentence": "comment", "street": "address"}
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


class Body(NamedTuple):
    """Bytes with their media type."""

    media_type: str
    make: Callable[[Values], bytes]


def number(field: str, value: str) -> int | float | str:
    """Return a value as the number that a careless program makes of it."""
    if field not in _NUMBERS:
        return value
    return float(value) if "." in value else int(value)


def prose(values: Values) -> str:
    """Return a sentence as error messages have it."""
    said = (f"password={value}" if field == "password" else value for field, value in values.items())
    return "no account for " + ", ".join(said)


def wrapped(values: Values, wrap: Callable[[str], str]) -> str:
    """Return `prose` with each value wrapped in an encoding."""
    return prose({field: wrap(value) for field, value in values.items()})


def kept(values: Values, wrap: Callable[[str], str] = str) -> dict[str, Any]:
    """Return a document: what is known by its form in fields that are kept, the rest in unlisted ones."""
    document: dict[str, Any] = {"event_type": "canary"}
    for field, value in values.items():
        if field in _KEPT:
            key, text = _KEPT[field]
            document[key] = text.format(wrap(value))
        else:
            document[f"zz_{field}"] = value
    return document


def _known(values: Values) -> dict[str, Any]:
    return {_NAMES.get(field, field): number(field, value) for field, value in values.items()}


def _unknown(values: Values) -> dict[str, Any]:
    return {f"zz_{field}": value for field, value in values.items()} | {"score": 0.5}


def _nested(values: Values) -> dict[str, Any]:
    items = list(values.items())
    inner = {"extra": {"deep": [{f"q_{field}": value} for field, value in items[::2]]}}
    return {"user_id": dict(items[1::2]), "data": {"result": inner, "status": "ok"}}


def _lists(values: Values) -> dict[str, Any]:
    return {"zz_list": list(values.values()), "data": [[value] for value in values.values()], "count": 2}


def _pairs(values: Values) -> dict[str, Any]:
    pairs = [{"name": field, "value": value} for field, value in values.items()]
    return {
        "zz_pairs": pairs[::2],
        "data": [{"key": one["name"], "val": one["value"]} for one in pairs[1::2]],
    }


def _keys(values: Values) -> dict[str, Any]:
    # A single word without a long number looks like a field's name: a documented limit.
    scores = {value: {"score": 1, "status": "ok"} for value in values.values() if not _is_word(value)}
    words = {f"zz_{field}": value for field, value in values.items() if _is_word(value)}
    return {"data": scores, "state": "ok"} | words


def _is_word(text: str) -> bool:
    return re.search(r"\d{4}|[^A-Za-z0-9_.-]", text) is None


def _numbers(values: Values) -> dict[str, Any]:
    document = {
        field if field in _NUMBERS else f"zz_{field}": number(field, v) for field, v in values.items()
    }
    if "card" in values:
        document["total"] = int(values["card"])
    return document


def _string(values: Values) -> dict[str, Any]:
    return _in_strings(values, json.dumps)


def _query(values: Values) -> dict[str, Any]:
    return _in_strings(values, lambda part: f"GET https://x.test/a?{urlencode(part)}")


def _in_strings(values: Values, write: Callable[[dict[str, str]], str]) -> dict[str, Any]:
    """Return a document of strings with three values each behind a harmless id, the first ones kept."""
    # An id may stay in a kept text (a documented limit), what stands beside it may not.
    items = [(field, value) for field, value in values.items() if field != "device_id"]
    parts = [{"request_id": _trace(values), **dict(items[at : at + 3])} for at in range(0, len(items), 3)]
    keys = ("status", "result", "state", "zz_body", "zz_text", "zz_raw", "zz_more")
    strings = {key: write(part) for key, part in zip(keys, parts, strict=False)}
    return strings | {"zz_device": values.get("device_id")}


def _traced(values: Values) -> dict[str, Any]:
    return kept(values, lambda value: f"{_trace(values)} {value}")


def _trace(values: Values) -> str:
    """Return a UUID that is nobody's."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(values.values())))


def percent(text: str) -> str:
    """Return *text* with every character as percent escapes."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


def entities(text: str) -> str:
    """Return *text* with every other character as an HTML entity."""
    return "".join(f"&#{ord(char)};" if at % 2 else html.escape(char) for at, char in enumerate(text))


def escapes(text: str) -> str:
    r"""Return *text* with every character as ``\uXXXX``."""
    units = struct.iter_unpack(">H", text.encode("utf-16-be"))
    return "".join(f"\\u{unit:04x}" for (unit,) in units)


def based(text: str) -> str:
    """Return *text* in base64."""
    return base64.b64encode(text.encode()).decode()


def jwt(values: Values) -> str:
    """Return a token whose payload holds the values."""
    parts = (json.dumps({"alg": "HS256"}), json.dumps(dict(values)), "signature of the token")
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


def invisible(text: str) -> str:
    """Return *text* with a zero-width space after every third character."""
    return "\u200b".join(text[at : at + 3] for at in range(0, len(text), 3))


def wide(text: str) -> str:
    """Return *text* in full-width forms."""
    return text.translate(_WIDE)


def _escaped_within(values: Values) -> bytes:
    return json.dumps(_unknown(values)).encode()


def _latin(values: Values) -> bytes:
    """Return JSON in ISO 8859-1; a value that it cannot write is escaped as a whole."""
    fields = (f'"zz_{field}":{_latin_text(value)}' for field, value in values.items())
    return f"{{{','.join(fields)}}}".encode("latin-1")


def _latin_text(value: str) -> str:
    return json.dumps(value, ensure_ascii=any(ord(char) > 255 for char in value))


def _csv(values: Values) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([list(values), list(values.values())])
    return text.getvalue().encode()


def _xml(values: Values) -> bytes:
    inner = "".join(f"<{field}>{html.escape(value)}</{field}>" for field, value in values.items())
    return f'<?xml version="1.0"?><person email="x">{inner}</person>'.encode()


def _multipart(values: Values) -> bytes:
    parts = (
        f'--canary\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
        for field, value in values.items()
    )
    return ("".join(parts) + "--canary--\r\n").encode()


def _binary(values: Values) -> bytes:
    encoded = (value.encode() for value in values.values())
    return b"\x00\x01\xff" + b"".join(struct.pack(">H", len(value)) + value for value in encoded)


DOCUMENTS: Final[Mapping[str, Callable[[Values], dict[str, Any]]]] = {
    "known names": _known,
    "unknown names": _unknown,
    "nested": _nested,
    "lists": _lists,
    "pairs": _pairs,
    "personal keys": _keys,
    "numbers": _numbers,
    "JSON in strings": _string,
    "query strings": _query,
    "kept texts": kept,
    "kept texts with ids": _traced,
    "kept, percent": lambda values: kept(values, percent),
    "kept, HTML": lambda values: kept(values, entities),
    "kept, backslash-u": lambda values: kept(values, escapes),
    "kept, base64": lambda values: kept(values, based),
    "kept, JWT": lambda values: {"status": "ok"} | kept({}) | {"level": jwt_of(values)} | _unlisted(values),
    "kept, zero-width": lambda values: kept(values, invisible),
    "kept, full-width": lambda values: kept(values, wide),
}

BODIES: Final[Mapping[str, Body]] = {
    "form": Body("application/x-www-form-urlencoded", lambda values: urlencode(dict(values)).encode()),
    "XML": Body("application/xml", _xml),
    "CSV": Body("text/csv", _csv),
    "multipart": Body("multipart/form-data; boundary=canary", _multipart),
    "binary": Body("application/octet-stream", _binary),
    "gzip": Body("application/gzip", lambda values: gzip.compress(_escaped_within(values), 1, mtime=0)),
    "latin-1": Body("application/json; charset=iso-8859-1", _latin),
    "UTF-16": Body(
        "application/json; charset=utf-16",
        lambda values: json.dumps(_unknown(values), ensure_ascii=False).encode("utf-16"),
    ),
    "JSON": Body("application/json", _escaped_within),
    "plain text": Body("text/plain; charset=utf-8", lambda values: prose(values).encode()),
    "HTML page": Body("text/html", lambda values: f"<p>{html.escape(prose(values))}</p>".encode()),
}

TEXTS: Final[Mapping[str, Callable[[Values], str]]] = {
    "prose": prose,
    "JSON": lambda values: f"bad request: {json.dumps(dict(values), ensure_ascii=False)}",
    "escaped JSON": lambda values: f"bad request: {json.dumps(json.dumps(dict(values)))}",
    "Python dict": lambda values: f"KeyError in {dict(values)!r}",
    "form": lambda values: f"cannot parse {urlencode(dict(values))}",
    "query string": lambda values: f"GET https://x.test/people?{urlencode(dict(values))} failed",
    "CSV": lambda values: f"bad row: {_csv(values).decode().splitlines()[-1]}",
    "XML": lambda values: f"invalid: {_xml(values).decode()}",
    "HTML": lambda values: wrapped(values, entities),
    "percent": lambda values: wrapped(values, percent),
    "backslash-u": lambda values: wrapped(values, escapes),
    "base64": lambda values: wrapped(values, based),
    "JWT": lambda values: f"token rejected: {jwt(values)}",
    "zero-width": lambda values: wrapped(values, invisible),
    "full-width": lambda values: wrapped(values, wide),
    "bytes": lambda values: f"cannot decode {prose(values).encode()!r}",
    # A key in capitals is no key any more.
    "upper case": lambda values: prose({k: v if k == "token" else v.upper() for k, v in values.items()}),
}

PATHS: Final[Mapping[str, Callable[[Values], str]]] = {
    "segments": lambda values: "/".join(quote(value, safe="") for value in values.values()),
    "raw segments": lambda values: "/".join(quote(value, safe="@:.-") for value in values.values()),
}


def jwt_of(values: Values) -> str:
    """Return a JWT of those values that are known by their form."""
    return jwt({field: value for field, value in values.items() if field in RECOGNISABLE})


def _unlisted(values: Values) -> dict[str, Any]:
    return {f"zz_{field}": value for field, value in values.items() if field not in RECOGNISABLE}
