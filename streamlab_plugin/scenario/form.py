"""What a part of a document must look like, said once: a form reads it, and describes itself as JSON schema.

Forms know no scenario. Reading goes on after a mistake, so that a file is corrected in one go, and every
problem has the path of the document's own spelling.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from streamlab_plugin.core.errors import ConfigError, DocumentError
from streamlab_plugin.core.wording import choices, shown

Path = tuple[str | int, ...]
Schema = dict[str, Any]
# What a mapping with these values and, for each key, this path in the document means.
Build = Callable[[dict[str, Any], Mapping[str, Path]], Any]


class Form(Protocol):
    """One form."""

    def read(self, data: object, path: Path) -> Any:
        """Return what *data* means, or raise `ConfigError` with its *path*."""

    def schema(self, shared: Schema) -> Schema:
        """Return the JSON schema of what is accepted; definitions used in several places go into *shared*."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number from *low* to *high*; *whole* ones may be written 5 and 5.0, *above* leaves *low* out."""

    low: float
    high: float
    whole: bool = False
    above: bool = False

    def read(self, data: object, path: Path) -> float:
        """Return the number; True and False are none."""
        is_number = isinstance(data, int | float) and not isinstance(data, bool) and data == data
        if not is_number or (self.whole and isinstance(data, float) and not data.is_integer()):
            raise ConfigError(
                f"expected a {'whole ' if self.whole else ''}number, got {shown(data)}",
                path=path,
                remedy=f"use {self._range()}",
            )
        assert isinstance(data, int | float)
        if not self.low <= data <= self.high or (self.above and data == self.low):
            raise ConfigError(f"{shown(data)} is out of range", path=path, remedy=f"use {self._range()}")
        return int(data) if self.whole else float(data)

    def _range(self) -> str:
        if self.above:
            return f"a number above {self.low:,g} and up to {self.high:,g}"
        return f"a number from {self.low:,g} to {self.high:,g}"

    def schema(self, shared: Schema) -> Schema:  # noqa: ARG002
        """Return type and bounds."""
        low = "exclusiveMinimum" if self.above else "minimum"
        return {"type": "integer" if self.whole else "number", low: self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Text:
    """A text of at most *longest* characters that matches *pattern*; *wanted* says in words what that takes.

    A *secretive* text may hold a password: a wrong one is not shown.
    """

    longest: int
    pattern: str = r"^[^\x00-\x1f\x7f-\x9f]*$"
    wanted: str = "write it on one line"
    secretive: bool = False

    def read(self, data: object, path: Path) -> str:
        """Return the text."""
        if not isinstance(data, str):
            got = "" if self.secretive else f", got {shown(data)}"
            raise ConfigError(f"expected a text{got}", path=path, remedy="put it in quotes")
        if len(data) > self.longest:
            raise ConfigError(
                f"a text of {len(data):,} characters is too long",
                path=path,
                remedy=f"use {self.longest:,} at most",
            )
        # As everywhere but in Python, `$` is the end and not the place before a last line break.
        if not re.search(re.sub(r"\$$", r"\\Z", self.pattern), data):
            what = "the value" if self.secretive else shown(data)
            raise ConfigError(f"{what} is not accepted", path=path, remedy=self.wanted)
        return data

    def schema(self, shared: Schema) -> Schema:  # noqa: ARG002
        """Return length and pattern."""
        return {"type": "string", "maxLength": self.longest, "pattern": self.pattern}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of *known* texts; *others* are accepted spellings, by what they mean."""

    known: tuple[str, ...]
    others: Mapping[str, str] = field(default_factory=dict)

    def read(self, data: object, path: Path) -> str:
        """Return the text as in *known*."""
        if isinstance(data, str) and (data in self.known or data in self.others):
            return self.others.get(data, data)
        raise ConfigError(f"unknown value {shown(data)}", path=path, remedy=choices(data, self.known))

    def schema(self, shared: Schema) -> Schema:  # noqa: ARG002
        """Return the accepted texts."""
        return {"enum": [*self.known, *self.others]}


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def read(self, data: object, path: Path) -> bool:
        """Return the truth value."""
        if isinstance(data, bool):
            return data
        raise ConfigError(
            f"expected true or false, got {shown(data)}", path=path, remedy="use one of the two"
        )

    def schema(self, shared: Schema) -> Schema:  # noqa: ARG002
        """Return the type."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of *fewest* to *most* items, read as a tuple."""

    item: Form
    most: int
    fewest: int = 0
    build: Callable[[tuple[Any, ...], Path], Any] = lambda items, _path: items

    def read(self, data: object, path: Path) -> Any:
        """Return what the items mean together."""
        if not isinstance(data, list | tuple):
            raise ConfigError(
                f"expected a list, got {shown(data)}", path=path, remedy="start each entry with '-'"
            )
        if not self.fewest <= len(data) <= self.most:
            raise ConfigError(
                f"a list of {len(data):,} is not accepted",
                path=path,
                remedy=f"use {self.fewest:,} to {self.most:,} entries",
            )
        items, problems = [], list[ConfigError]()
        for index, one in enumerate(data):
            try:
                items.append(self.item.read(one, (*path, index)))
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise DocumentError(problems)
        return self.build(tuple(items), path)

    def schema(self, shared: Schema) -> Schema:
        """Return items and lengths."""
        items = self.item.schema(shared)
        return {"type": "array", "items": items, "minItems": self.fewest, "maxItems": self.most}


@dataclass(frozen=True, slots=True)
class Made:
    """What *build* makes of what another form reads."""

    form: Form
    build: Callable[[Any], Any]

    def read(self, data: object, path: Path) -> Any:
        """Return what was made."""
        return self.build(self.form.read(data, path))

    def schema(self, shared: Schema) -> Schema:
        """Return the other form's."""
        return self.form.schema(shared)


@dataclass(frozen=True, slots=True)
class Shared:
    """A form that is used in several places; the schema has it once, under its name."""

    name: str
    form: Form

    def read(self, data: object, path: Path) -> Any:
        """Return what the form reads."""
        return self.form.read(data, path)

    def schema(self, shared: Schema) -> Schema:
        """Return a reference to the definition."""
        if self.name not in shared:
            shared[self.name] = {}  # keeps the order in which names are met
            shared[self.name] = self.form.schema(shared)
        return {"$ref": f"#/$defs/{self.name}"}


_TYPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "boolean": (bool, "true or false"),
    "number": ((int, float), "a number"),
    "string": (str, "a text"),
    "array": ((list, tuple), "a list"),
    "object": (Mapping, "keys and values"),
}


@dataclass(frozen=True, slots=True)
class ByType:
    """One form for each JSON type that is accepted; the names are those of JSON schema."""

    forms: Mapping[str, Form]

    def read(self, data: object, path: Path) -> Any:
        """Return what the form of *data*'s type reads."""
        kind = next((name for name, (types, _words) in _TYPES.items() if isinstance(data, types)), "")
        if kind not in self.forms:
            wanted = " or ".join(_TYPES[name][1] for name in self.forms)
            raise ConfigError(
                f"expected {wanted}, got {shown(data)}", path=path, remedy="see docs/scenarios.md"
            )
        return self.forms[kind].read(data, path)

    def schema(self, shared: Schema) -> Schema:
        """Return the alternatives."""
        return {"anyOf": [form.schema(shared) for form in self.forms.values()]}
