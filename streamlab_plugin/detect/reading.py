"""Strict reading of parsed YAML: each function returns a checked value or raises `ConfigError` with its path.

A document is judged once, at load; nothing behind it needs to check a type again.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping
from typing import cast

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.core.wording import choices, shown

Path = tuple[str | int, ...]

# Above this a whole number has no float, and an infinity is no limit.
_LARGEST = sys.float_info.max

# Names end up in comma-separated columns, URLs and shell commands.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def read_mapping(
    data: object, path: Path, *, required: Iterable[str], optional: Iterable[str] = ()
) -> Mapping[str, object]:
    """Return *data* as a mapping that has every *required* key and no key outside the two sets.

    Raises:
        ConfigError: *data* is no mapping, a key is unknown (with the nearest known one) or missing.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"expected keys and values, got {shown(data)}", path=path)
    required = tuple(required)
    known = (*required, *optional)
    for key in data:
        if key not in known:
            raise unknown("key", key, known, (*path, key))
    for key in required:
        if key not in data:
            raise ConfigError(f"the key {key!r} is missing", path=path, remedy=f"add {key!r}")
    return cast("Mapping[str, object]", data)


def read_list(data: object, path: Path) -> list[object]:
    """Return *data* as a list."""
    if not isinstance(data, list):
        raise ConfigError(
            f"expected a list, got {shown(data)}", path=path, remedy="start each entry with '-'"
        )
    return data


def read_text(data: object, path: Path) -> str:
    """Return *data* as a text that is not blank, without surrounding white space."""
    if not isinstance(data, str) or not data.strip():
        raise ConfigError(f"expected a text, got {shown(data)}", path=path)
    return data.strip()


def read_texts(data: object, path: Path) -> tuple[str, ...]:
    """Return *data*, a list of texts, as a tuple."""
    return tuple(read_text(item, (*path, index)) for index, item in enumerate(read_list(data, path)))


def read_name(data: object, path: Path) -> str:
    """Return *data* as a name of letters, digits, ``_``, ``.`` and ``-``."""
    name = read_text(data, path)
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is not a name", path=path, remedy="use letters, digits, '_', '.' and '-' only"
        )
    return name


def read_choice(data: object, path: Path, what: str, choices: Iterable[str]) -> str:
    """Return *data* if it is one of *choices*; *what* names the thing in the error."""
    known = tuple(choices)
    if not isinstance(data, str) or data not in known:
        raise unknown(what, data, known, path)
    return data


def read_number(data: object, path: Path, *, low: float = -math.inf, high: float = math.inf) -> float:
    """Return *data* as a finite number from *low* to *high*; True and False are no numbers."""
    if isinstance(data, bool) or not isinstance(data, int | float) or data != data or abs(data) > _LARGEST:
        raise ConfigError(f"expected a number, got {shown(data)}", path=path)
    if not low <= data <= high:
        bounds = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise ConfigError(f"{data} is out of range", path=path, remedy=f"use a number {bounds}")
    return data


def read_count(data: object, path: Path, *, low: int = 1) -> int:
    """Return *data* as a whole number of at least *low*."""
    if isinstance(data, bool) or not isinstance(data, int):
        raise ConfigError(f"expected a whole number, got {shown(data)}", path=path)
    return int(read_number(data, path, low=low))


def unknown(what: str, value: object, known: Iterable[str], path: Path) -> ConfigError:
    """Build the error for a *value* that is none of *known*; the remedy names the nearest one, then all."""
    return ConfigError(f"unknown {what} {shown(value)}", path=path, remedy=choices(value, known))
