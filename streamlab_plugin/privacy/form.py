"""Bodies that can be redacted field by field: JSON, and forms (``application/x-www-form-urlencoded``)."""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec
import re2

MOST_FIELDS = 500

# Names of letters, digits and what frameworks add; no blanks, quotes or angle brackets anywhere: neither
# prose nor XML or CSV may pass for a form.
_PAIR = r"[\w.\-\[\]%+]{1,64}=[^\s&=<>{}\"',;]*"
_FORM = re2.compile(rf"{_PAIR}(?:&{_PAIR})*")


_decode = msgspec.json.Decoder().decode


def decode_body(raw: bytes | str) -> object:
    """Return the value of a JSON text, or the fields of a form.

    Raises:
        ValueError, RecursionError: *raw* is neither.
    """
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        if (fields := parse_form(raw)) is None:
            raise
        return fields


def parse_form(raw: bytes | str) -> dict[str, object] | None:
    """Return the fields of a form body, None if *raw* is none.

    Values are text; those of a name that comes several times are a list. Escapes that are no UTF-8 make it
    no form.
    """
    try:
        text = raw.decode("ascii") if isinstance(raw, bytes) else raw
        if not text.isascii() or _FORM.fullmatch(text) is None:
            return None
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        return None
    fields: dict[str, object] = {}
    for name, value in pairs:
        known = fields.get(name)
        if known is None:
            fields[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            fields[name] = [known, value]
    return fields
