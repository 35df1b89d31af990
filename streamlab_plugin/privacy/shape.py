"""The shape of a payload: which keys it has and what types their values are, without any value.

The shape's hash shows schema drift; its paths say what drifted. Keys may be data too (a map from e-mail
address to score), so only what looks like a field's name appears as itself.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import re2

from streamlab_plugin.privacy.detector import is_clean

DEPTH_LIMIT = 16
NODE_LIMIT = 2000
SAMPLE = 20  # elements of an array that are looked at
ANY_KEY = "‹key›"

_TYPE_NAMES = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
    dict: "object",
    list: "array",
}
_NAME = re2.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_LONG_NUMBER = re2.compile(r"\d{4}")


@lru_cache(maxsize=8192)
def is_field_name(key: object) -> bool:
    """Return whether *key* looks like a field's name rather than data such as an id or an address."""
    return (
        isinstance(key, str)
        and len(key) <= 64
        and _NAME.fullmatch(key) is not None
        and _LONG_NUMBER.search(key) is None
        and is_clean(key)
    )


def shape_paths(payload: object) -> tuple[str, ...]:
    """Return the sorted ``path:type`` strings of *payload*; array elements are at ``path[]``.

    Of an array the first `SAMPLE` elements count, together. What lies below `DEPTH_LIMIT` or beyond
    `NODE_LIMIT` nodes is left out.
    """
    paths: set[str] = set()
    # Breadth first and with a list as the stack: neither deep nor wide payloads can exhaust anything.
    pending: list[tuple[str, object, int]] = [("", payload, 0)]
    nodes = 0
    for path, value, depth in pending:
        nodes += 1
        if nodes > NODE_LIMIT:
            break
        if path or not isinstance(value, dict):
            paths.add(f"{path or '$'}:{_TYPE_NAMES.get(type(value), 'other')}")
        if depth >= DEPTH_LIMIT or len(pending) > NODE_LIMIT:
            continue
        if type(value) is dict:
            prefix = f"{path}." if path else ""
            pending += (
                (f"{prefix}{key if is_field_name(key) else ANY_KEY}", inner, depth + 1)
                for key, inner in value.items()
            )
        elif type(value) is list:
            pending += ((f"{path}[]", inner, depth + 1) for inner in value[:SAMPLE])
    return tuple(sorted(paths))


def schema_hash(paths: tuple[str, ...]) -> str:
    """Return 16 hex characters for *paths*, equal for equal shapes on every machine."""
    return hashlib.blake2b("\n".join(paths).encode(), digest_size=8).hexdigest()


def shape_key(payload: object, depth: int = 0) -> object:
    """Return a hashable value that is equal only for payloads of one shape, keys in their order.

    Finer than `shape_paths` and quicker: ints and floats, and the orders of keys, are told apart.
    """
    if depth >= DEPTH_LIMIT:
        return type(payload)
    if type(payload) is dict:
        return (
            *payload,
            *[
                shape_key(value, depth + 1) if type(value) is dict or type(value) is list else type(value)
                for value in payload.values()
            ],
        )
    if type(payload) is list:
        return frozenset([shape_key(value, depth + 1) for value in payload[:SAMPLE]])
    return type(payload)


def key_size(key: object) -> int:
    """Return how many nodes the `shape_key` *key* holds."""
    if isinstance(key, tuple | frozenset):
        return 1 + sum(map(key_size, key))
    return 1
