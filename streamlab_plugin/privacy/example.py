"""Examples kept beside a policy: what is stored of a payload, as its author expects it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.privacy.plan import Redactor
from streamlab_plugin.privacy.policy import Policy
from streamlab_plugin.privacy.pseudonym import KEY_BYTES, Pseudonyms

HASHED = "<hash>"
_KEYS = ("title", "endpoint", "payload", "stored")
_MOST = 10_000


class Example(NamedTuple):
    """A payload and what is expected to be stored of it; a pseudonym is written ``<hash>``."""

    title: str
    endpoint: str
    payload: object
    stored: object


class Outcome(NamedTuple):
    """What was stored of an example, pseudonyms as ``<hash>``."""

    stored: object
    is_as_expected: bool


class _Marked(Pseudonyms):
    """Writes ``<hash>`` for every id."""

    def make(self, value: str) -> str:  # noqa: ARG002 - whatever it is
        return HASHED


def parse_examples(data: object) -> list[Example]:
    """Return the examples of a document: a mapping with a list ``examples``.

    Raises:
        ConfigError: something is missing, unknown or of the wrong type.
    """
    listed = data.get("examples") if isinstance(data, Mapping) else None
    if not isinstance(listed, list) or not listed or len(listed) > _MOST:
        raise ConfigError(
            f"expected a mapping with a list of 1 to {_MOST:,} `examples`",
            path=("examples",),
            remedy="for example: - {title: a sync, payload: {type: sync}, stored: {type: sync}}",
        )
    return [_example(entry, index) for index, entry in enumerate(listed)]


def _example(entry: object, index: int) -> Example:
    path: tuple[str | int, ...] = ("examples", index)
    if not isinstance(entry, Mapping):
        raise ConfigError(f"expected a mapping, got {type(entry).__name__}", path=path)
    for key in entry:
        if key not in _KEYS:
            remedy = f"known: {', '.join(_KEYS)}"
            raise ConfigError(f"unknown key {key!r}", path=(*path, str(key)), remedy=remedy)
    for key in ("payload", "stored"):
        if key not in entry:
            raise ConfigError(f"`{key}` is missing", path=path, remedy="an example needs payload and stored")
    for key in ("title", "endpoint"):
        if not isinstance(entry.get(key, ""), str):
            raise ConfigError(f"expected a text, got {entry[key]!r}", path=(*path, key), remedy="quote it")
    title = entry.get("title") or f"example {index + 1}"
    return Example(title, entry.get("endpoint", ""), entry["payload"], entry["stored"])


def try_example(example: Example, policy: Policy) -> Outcome:
    """Redact an example under *policy* and compare."""
    redacted = Redactor(policy, _Marked(bytes(KEY_BYTES))).redact(example.payload, example.endpoint)
    stored: Any = dict(zip(redacted.keys, redacted.values, strict=True))
    if redacted.keys == ("[]",) or isinstance(example.payload, list):
        stored = redacted.values[0] if redacted.values else []
    return Outcome(stored, stored == example.stored)
