"""Strict reading of parsed YAML and JSON for objectives and results.

The rooms beside this one have their own: siblings do not import each other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import cast

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.core.wording import choices, shown

Path = tuple[str | int, ...]

_LARGEST = sys.float_info.max


def read_mapping(data: object, path: Path) -> Mapping[str, object]:
    """Return *data* as a mapping.

    Raises:
        ConfigError: It is none.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"expected keys and values, got {shown(data)}", path=path)
    return cast("Mapping[str, object]", data)


def refuse_unknown(data: Mapping[str, object], known: Iterable[str], path: Path) -> None:
    """Raise `ConfigError` for the first key of *data* that is not *known*, with the nearest one that is."""
    names = tuple(known)
    for key in data:
        if key not in names:
            raise ConfigError(f"unknown key {key!r}", path=(*path, key), remedy=choices(key, names))


def read_key(data: Mapping[str, object], key: str, path: Path, remedy: str = "") -> object:
    """Return ``data[key]``.

    Raises:
        ConfigError: It is missing.
    """
    if key not in data:
        raise ConfigError(f"the key {key!r} is missing", path=path, remedy=remedy or f"add {key!r}")
    return data[key]


def read_text(data: object, path: Path) -> str:
    """Return *data* as a text."""
    if not isinstance(data, str):
        raise ConfigError(f"expected a text, got {shown(data)}", path=path)
    return data


def read_number(data: object, path: Path, high: float = _LARGEST) -> float:
    """Return *data* as a finite number from 0 to *high*; True and False are no numbers."""
    if isinstance(data, bool) or not isinstance(data, int | float) or data != data or abs(data) > _LARGEST:
        raise ConfigError(f"expected a number, got {shown(data)}", path=path)
    if not 0 <= data <= high:
        bounds = "0 or more" if high == _LARGEST else f"from 0 to {high:g}"
        raise ConfigError(f"{data} is out of range", path=path, remedy=f"use a number {bounds}")
    return data


def read_count(data: object, path: Path, low: int = 0) -> int:
    """Return *data* as a whole number of at least *low*."""
    if isinstance(data, bool) or not isinstance(data, int):
        raise ConfigError(f"expected a whole number, got {shown(data)}", path=path)
    if data < low:
        raise ConfigError(f"{data} is out of range", path=path, remedy=f"use {low} or more")
    return data


def read_switch(data: object, path: Path) -> bool:
    """Return *data* as True or False."""
    if not isinstance(data, bool):
        raise ConfigError(f"expected true or false, got {shown(data)}", path=path)
    return data
