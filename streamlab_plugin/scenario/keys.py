"""Forms of mappings: which keys there are, and which of several sets of keys another key chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from streamlab_plugin.core.errors import ConfigError, DocumentError
from streamlab_plugin.core.wording import choices, shown
from streamlab_plugin.scenario.form import Build, Choice, Form, Path, Schema


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a mapping: form, meaning in a sentence, whether it must be there, older names."""

    form: Form
    about: str
    required: bool = False
    others: tuple[str, ...] = ()


def camel(name: str) -> str:
    """Return ``ramp_up_seconds`` as ``rampUpSeconds``."""
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def spellings(name: str, key: Key) -> tuple[str, ...]:
    """Return every way in which *key* may be written, the documented one first."""
    return tuple(dict.fromkeys([name, camel(name), *key.others]))


@dataclass(frozen=True, slots=True)
class Keys:
    """A mapping of known keys, each at most once whatever its spelling; *build* gets what was given."""

    keys: Mapping[str, Key]
    build: Build

    def read(self, data: object, path: Path) -> Any:
        """Return what was built.

        Raises:
            DocumentError: keys that are unknown, missing or there twice, and the problems of all values.
        """
        if not isinstance(data, Mapping):
            raise ConfigError(
                f"expected keys and values, got {shown(data)}",
                path=path,
                remedy=f"known: {', '.join(self.keys)}",
            )
        values, places, problems = dict[str, Any](), dict[str, Path](), list[ConfigError]()
        names = {spelling: name for name, key in self.keys.items() for spelling in spellings(name, key)}
        for written, value in data.items():
            here = (*path, _part(written))
            name = names.get(written) if isinstance(written, str) else None
            try:
                if name is None:
                    raise ConfigError(
                        f"unknown key {shown(written)}", path=here, remedy=choices(written, self.keys)
                    )
                if name in places:
                    raise ConfigError(
                        f"the same as {places[name][-1]!r}, which is there too",
                        path=here,
                        remedy="keep one of them",
                    )
                places[name] = here
                values[name] = self.keys[name].form.read(value, here)
            except ConfigError as error:
                problems += error.problems
        for name, key in self.keys.items():
            if name not in places:
                places[name] = (*path, name)
                if key.required:
                    problems.append(ConfigError("is missing", path=places[name], remedy=f"add {name!r}"))
        if problems:
            raise DocumentError(problems)
        return self.build(values, places)

    def schema(self, shared: Schema) -> Schema:
        """Return properties in every spelling, and which of them must and must not stand together."""
        return {"type": "object", **_members(self.keys, shared), "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Tagged:
    """A mapping whose key *tag* decides which others it has: *common* ones and those of its *variants*."""

    tag: str
    about: str
    choice: Choice
    common: Mapping[str, Key]
    variants: Mapping[str, Mapping[str, Key]]
    build: Build

    def variant(self, name: str) -> Keys:
        """Return the form of one variant, the tag among its keys."""
        tag = Key(self.choice, self.about, required=True)
        return Keys({self.tag: tag, **self.common, **self.variants[name]}, self.build)

    def read(self, data: object, path: Path) -> Any:
        """Return what was built of the variant that *data* names."""
        if not isinstance(data, Mapping):
            raise ConfigError(
                f"expected keys and values, got {shown(data)}", path=path, remedy=f"start with {self.tag!r}"
            )
        here = (*path, self.tag)
        if self.tag not in data:
            raise ConfigError("is missing", path=here, remedy=f"use one of {', '.join(self.choice.known)}")
        return self.variant(self.choice.read(data[self.tag], here)).read(data, path)

    def schema(self, shared: Schema) -> Schema:
        """Return what is common, and a condition for each variant."""
        tag = Key(self.choice, self.about, required=True)
        schema = {"type": "object", **_members({self.tag: tag, **self.common}, shared)}
        for name, keys in self.variants.items():
            written = [name, *(other for other, meant in self.choice.others.items() if meant == name)]
            chosen = {"properties": {self.tag: {"enum": written}}, "required": [self.tag]}
            if keys:
                schema.setdefault("allOf", []).append({"if": chosen, "then": _members(keys, shared)})
        return {**schema, "unevaluatedProperties": False}


def _members(keys: Mapping[str, Key], shared: Schema) -> Schema:
    properties, required, rules = Schema(), list[str](), list[Schema]()
    for name, key in keys.items():
        form = key.form.schema(shared)
        first, *others = spellings(name, key)
        properties[first] = {"description": key.about, **form}
        properties |= {other: {"description": f"The same as {first}.", **form} for other in others}
        if key.required and others:
            rules.append({"anyOf": [{"required": [one]} for one in (first, *others)]})
        elif key.required:
            required.append(first)
        rules += [{"not": {"required": list(pair)}} for pair in combinations((first, *others), 2)]
    parts = {"properties": properties, "required": required, "allOf": rules}
    return {name: part for name, part in parts.items() if part}


def _part(key: object) -> str | int:
    """Return a key as the reader of the file names it in a path."""
    return key if isinstance(key, str | int) else str(key)
