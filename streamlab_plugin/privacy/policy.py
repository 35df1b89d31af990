"""What a payload field's name decides about its value, endpoint by endpoint.

A policy is an allow-list: a field that no list names is dropped. Names are compared without case and
separators (see `name.normalise`), and always as a whole, so that ``latency_ms`` and ``platform`` are no
coordinates. Some names are removed whatever a policy says; a policy that keeps or hashes one is refused,
unless the operator allows it for a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.privacy.bucket import Bucket
from streamlab_plugin.privacy.glob import Glob, compile_glob
from streamlab_plugin.privacy.name import NAME_LIMIT, normalise, removed_class, telling_word

LISTS = ("keep", "hash", "bucket", "remove")
BUCKET_DEGREES = 0.1  # about 11 km of latitude: a city
ALLOW_UNSAFE = "allow_unsafe"
MOST_ENDPOINTS = 1_000
_SECTION_KEYS = (*LISTS, "bucket_degrees")
_KEYS = (*_SECTION_KEYS, "endpoints", "error_texts", "vocabulary")
ERROR_TEXTS = ("class", "template", "scan")
DEFAULT_ERROR_TEXTS = "template"
_BUCKET_KINDS = ("degrees", "step", "minutes")


class Action(Enum):
    """What happens to a field."""

    KEEP = "keep"
    HASH = "hash"
    BUCKET = "bucket"
    REMOVE = "remove"
    DROP = "drop"  # not listed: a scalar goes, a container is judged by its own keys


class Decision(NamedTuple):
    """What a policy says about one name, and why."""

    action: Action
    bucket: Bucket | None
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    """Field names by what happens to them, normalised; a name is in one set at most.

    ``unsafe`` are the names that are stored although they would always be removed. ``endpoints`` are the
    policies of the endpoints that have their own. ``error_texts`` says how much of error texts stays, and
    ``vocabulary`` which words stay beside the packaged ones (lower case).
    """

    keep: frozenset[str] = frozenset()
    hash: frozenset[str] = frozenset()
    bucket: Mapping[str, Bucket] = field(default_factory=dict)
    remove: frozenset[str] = frozenset()
    unsafe: frozenset[str] = frozenset()
    endpoints: tuple[tuple[Glob, Policy], ...] = ()
    title: str = "the policy"
    error_texts: str = DEFAULT_ERROR_TEXTS
    vocabulary: frozenset[str] = frozenset()

    def action(self, name: str) -> Action:
        """Return what happens to a field called *name*; removing wins over hashing, bucketing, keeping."""
        return self.decide(name).action

    def decide(self, name: str) -> Decision:
        """Return what happens to a field called *name*, and why."""
        if len(name) > NAME_LIMIT:
            return Decision(Action.REMOVE, None, f"a key of more than {NAME_LIMIT} characters is data itself")
        plain = normalise(name)
        kind = removed_class(plain)
        if kind is not None and plain not in self.unsafe:
            return Decision(Action.REMOVE, None, f"always removed: {kind}")
        listed = f"listed in {self.title}"
        if plain in self.remove:
            return Decision(Action.REMOVE, None, listed)
        if plain in self.hash:
            return Decision(Action.HASH, None, listed)
        if plain in self.bucket:
            return Decision(Action.BUCKET, self.bucket[plain], listed)
        if plain in self.keep:
            return Decision(Action.KEEP, None, listed)
        word = telling_word(name)
        if word is not None:
            return Decision(Action.REMOVE, None, f"not listed, and its name says {word!r}")
        return Decision(Action.DROP, None, "not listed")

    @property
    def unsafe_names(self) -> list[str]:
        """Return the names that are stored anywhere although they would always be removed, in order."""
        return sorted(self.unsafe.union(*(policy.unsafe for _glob, policy in self.endpoints)))

    def at(self, endpoint: str) -> Policy:
        """Return the policy for *endpoint*: that of its most specific pattern, or this one."""
        matching = [(glob.weight, index) for index, (glob, _policy) in enumerate(self.endpoints)
                    if glob.matches(endpoint)]  # fmt: skip
        return self.endpoints[max(matching)[1]][1] if matching else self


def parse_policy(data: object) -> Policy:
    """Return the policy that the document *data* describes (see docs/privacy.md).

    Args:
        data: The decoded document: lists ``keep``, ``hash``, ``bucket``, ``remove``; number
            ``bucket_degrees``; ``endpoints``, a mapping of patterns to such lists; ``error_texts``, a level;
            ``vocabulary``, a list of words; ``allow_unsafe``, which only the command line sets.

    Raises:
        ConfigError: An unknown key, a wrong type, a name in two lists, or an always removed name in
            ``keep``, ``hash`` or ``bucket``.
    """
    document = _mapping(data, (), (*_KEYS, ALLOW_UNSAFE))
    allows_unsafe = document.get(ALLOW_UNSAFE, False) is True
    whole = _section(document, (), "the policy", allows_unsafe)
    sections = document.get("endpoints") or {}
    if not isinstance(sections, Mapping):
        raise ConfigError(
            f"expected a mapping of endpoint patterns, got {type(sections).__name__}",
            path=("endpoints",),
            remedy='for example "/api/users/*": {keep: [plan]}',
        )
    if len(sections) > MOST_ENDPOINTS:
        raise ConfigError(
            f"{len(sections)} patterns", path=("endpoints",), remedy=f"use {MOST_ENDPOINTS} at most"
        )
    endpoints: list[tuple[Glob, Policy]] = []
    for pattern, section in sections.items():
        path = ("endpoints", str(pattern))
        if not isinstance(pattern, str) or not pattern:
            raise ConfigError(f"expected a pattern, got {pattern!r}", path=path, remedy="quote it")
        _mapping(section, path, _SECTION_KEYS)
        _section(section, path, "", allows_unsafe)  # by itself, so that a mistake is reported where it is
        own = extended_policy({key: document.get(key) for key in _SECTION_KEYS if key in document}, section)
        endpoints.append(
            (compile_glob(pattern), _section(own, (), f"the policy for {pattern}", allows_unsafe))
        )
    return Policy(
        whole.keep, whole.hash, whole.bucket, whole.remove, whole.unsafe, tuple(endpoints), whole.title,
        _error_texts(document), _vocabulary(document),
    )  # fmt: skip


def extended_policy(default: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document that *own* means when it extends *default*; both are valid policies.

    A name that *own* lists leaves the list in which *default* has it: so a kept field can be removed.
    """
    listed = {normalise(_name_of(entry)) for which in LISTS for entry in own.get(which) or ()}
    merged: dict[str, Any] = {**default, **own}
    for which in LISTS:
        inherited = [entry for entry in default.get(which) or () if normalise(_name_of(entry)) not in listed]
        merged[which] = [*inherited, *(own.get(which) or ())]
    if default.get("vocabulary") and own.get("vocabulary"):
        merged["vocabulary"] = [*default["vocabulary"], *own["vocabulary"]]
    if default.get("endpoints") or own.get("endpoints"):
        merged["endpoints"] = {**(default.get("endpoints") or {}), **(own.get("endpoints") or {})}
    return merged


def _error_texts(data: Mapping[str, Any]) -> str:
    level = data.get("error_texts", DEFAULT_ERROR_TEXTS)
    if level not in ERROR_TEXTS:
        raise ConfigError(
            f"expected one of {', '.join(ERROR_TEXTS)}, got {level!r}",
            path=("error_texts",),
            remedy=f"{DEFAULT_ERROR_TEXTS} is the default",
        )
    return str(level)


def _vocabulary(data: Mapping[str, Any]) -> frozenset[str]:
    words = data.get("vocabulary")
    if words is None:
        return frozenset()
    if not isinstance(words, list):
        raise ConfigError(
            f"expected a list of words, got {type(words).__name__}",
            path=("vocabulary",),
            remedy="write one word per line, each after `- `",
        )
    for index, word in enumerate(words):
        if not isinstance(word, str) or not word.isalpha():
            raise ConfigError(
                f"expected a word of letters, got {word!r}", path=("vocabulary", index), remedy="quote it"
            )
    return frozenset(map(str.casefold, words))


def _mapping(data: object, path: tuple[str | int, ...], known: tuple[str, ...]) -> Mapping[str, Any]:
    shown = ", ".join(key for key in known if key != ALLOW_UNSAFE)
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"a privacy policy is a mapping, got {type(data).__name__}",
            path=path,
            remedy=f"use the keys {shown}",
        )
    for key in data:
        if key not in known:
            raise ConfigError(f"unknown key {key!r}", path=(*path, str(key)), remedy=f"known: {shown}")
    return data


def _section(data: Mapping[str, Any], path: tuple[str | int, ...], title: str, allows_unsafe: bool) -> Policy:
    degrees = _degrees(data, path)
    homes: dict[str, str] = {}
    buckets: dict[str, Bucket] = {}
    unsafe: set[str] = set()
    for which in LISTS:
        for index, entry in enumerate(_entries(data, which, path)):
            at = (*path, which, index)
            plain = _listed_name(entry, which, at)
            if which != "remove" and removed_class(plain) is not None:
                if not allows_unsafe:
                    raise ConfigError(
                        f"{_name_of(entry)!r} is always removed and cannot be listed under `{which}`",
                        path=at,
                        remedy="take it off the list",
                    )
                unsafe.add(plain)
            if homes.setdefault(plain, which) != which:
                raise ConfigError(
                    f"{_name_of(entry)!r} is listed under `{homes[plain]}` and under `{which}`",
                    path=at,
                    remedy="names are compared without case and separators; keep one of the two",
                )
            if which == "bucket":
                buckets[plain] = _bucket(entry, degrees, at)
    lists = {which: frozenset(name for name, home in homes.items() if home == which) for which in LISTS}
    return Policy(lists["keep"], lists["hash"], buckets, lists["remove"], frozenset(unsafe), title=title)


def _entries(data: Mapping[str, Any], which: str, path: tuple[str | int, ...]) -> list[Any]:
    entries = data.get(which)
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise ConfigError(
            f"expected a list of field names, got {type(entries).__name__}",
            path=(*path, which),
            remedy="write one name per line, each after `- `",
        )
    return entries


def _listed_name(entry: object, which: str, at: tuple[str | int, ...]) -> str:
    name = entry.get("name") if which == "bucket" and isinstance(entry, Mapping) else entry
    if not isinstance(name, str) or not normalise(name):
        raise ConfigError(f"expected a field name, got {name!r}", path=at, remedy="quote it if it is a name")
    return normalise(name)


def _name_of(entry: object) -> str:
    return str(entry.get("name")) if isinstance(entry, Mapping) else str(entry)


def _bucket(entry: object, degrees: float, at: tuple[str | int, ...]) -> Bucket:
    """Return the bucket of an entry: a name alone is a coordinate."""
    if not isinstance(entry, Mapping):
        return Bucket("degrees", degrees)
    kinds = [key for key in entry if key != "name"]
    if len(kinds) != 1 or kinds[0] not in _BUCKET_KINDS:
        raise ConfigError(
            f"{_name_of(entry)!r} needs one of {', '.join(_BUCKET_KINDS)}",
            path=at,
            remedy="for example {name: age, step: 10}",
        )
    kind, size = kinds[0], entry[kinds[0]]
    if kind == "degrees":
        return Bucket(kind, _checked_degrees(size, at))
    if isinstance(size, bool) or not isinstance(size, int | float) or not 0 < size <= 10**12:
        raise ConfigError(
            f"{kind} must be a number above 0, got {size!r}",
            path=(*at, kind),
            remedy="it is the size of a bucket",
        )
    if kind == "minutes" and not float(size).is_integer():
        raise ConfigError(
            f"minutes must be a whole number, got {size!r}", path=(*at, kind), remedy="round it up"
        )
    return Bucket(kind, float(size))


def _degrees(data: Mapping[str, Any], path: tuple[str | int, ...]) -> float:
    return _checked_degrees(data.get("bucket_degrees", BUCKET_DEGREES), (*path, "bucket_degrees"))


def _checked_degrees(degrees: object, path: tuple[str | int, ...]) -> float:
    if isinstance(degrees, bool) or not isinstance(degrees, int | float):
        raise ConfigError(
            f"expected a number of degrees, got {degrees!r}",
            path=path,
            remedy=f"for example {BUCKET_DEGREES}",
        )
    if not BUCKET_DEGREES <= degrees <= 90:
        raise ConfigError(
            f"{degrees} is outside {BUCKET_DEGREES}..90 degrees",
            path=path,
            remedy="a finer bucket would be a precise location, which is always removed",
        )
    return float(degrees)
