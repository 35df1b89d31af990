"""What a rule looks at: comparisons of one field each, all of which must hold.

The meaning of every operator is stated plainly in `holds`; `judge` compiles the same decision for the
recorder, and a property test keeps the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import re2

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.core.record import PROTOCOLS
from streamlab_plugin.core.wording import shown
from streamlab_plugin.detect.reading import Path, read_number, unknown

NUMBER_FIELDS = ("latency_ms", "wait_ms", "size_bytes", "status")
TEXT_FIELDS = (
    "protocol",
    "operation",
    "endpoint",
    "direction",
    "user_class",
    "outcome",
    "error_type",
    "error_message",
)
FIELDS = (*TEXT_FIELDS, *NUMBER_FIELDS)
PAYLOAD_PREFIX = "payload."

ORDERINGS = ("gt", "gte", "lt", "lte")
OPERATORS = (*ORDERINGS, "eq", "ne", "in", "contains", "regex")

# A regular expression sees this much of a text at most (characters).
REGEX_LIMIT = 4096

# Fields with few possible values: a misspelt one would silently never match. An interrupted request is never
# judged.
_VALUES = {
    "protocol": PROTOCOLS,
    "direction": ("out", "in"),
    "outcome": ("success", "error", "timeout"),
}

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison of a rule: *field* *operator* *value*.

    *value* is a number for orderings, a tuple of scalars for ``in``, a tuple of texts for ``contains``, the
    pattern for ``regex``, a scalar for ``eq`` and ``ne``.
    """

    field: str
    operator: str
    value: Scalar | tuple[Scalar, ...]

    @property
    def values(self) -> tuple[Scalar, ...]:
        """The value as a tuple, also when it is a single one."""
        return self.value if isinstance(self.value, tuple) else (self.value,)


def parse_condition(data: object, path: Path) -> tuple[Comparison, ...]:
    """Read ``{field: {operator: value}}``.

    Raises:
        ConfigError: It is empty, or a field, operator or value is not what it has to be.
    """
    if not isinstance(data, Mapping) or not data:
        raise ConfigError(
            f"expected a condition, got {shown(data)}", path=path, remedy="write e.g. latency_ms: {gt: 200}"
        )
    comparisons: list[Comparison] = []
    for field, operators in data.items():
        here = (*path, field)
        if not _is_field(field):
            raise unknown("field", field, (*FIELDS, f"{PAYLOAD_PREFIX}<path>"), here)
        if not operators or not isinstance(operators, Mapping):
            raise ConfigError(
                f"expected an operator and a value, got {shown(operators)}",
                path=here,
                remedy=f"write e.g. {field}: {{eq: ...}}",
            )
        for operator, value in operators.items():
            comparisons.append(_parse_comparison(field, operator, value, (*here, operator)))
    return tuple(comparisons)


def _is_field(field: object) -> bool:
    if not isinstance(field, str):
        return False
    return field in FIELDS or (field.startswith(PAYLOAD_PREFIX) and all(field.split(".")))


def _parse_comparison(field: str, operator: object, value: object, path: Path) -> Comparison:
    if operator not in OPERATORS:
        raise unknown("operator", operator, OPERATORS, path)
    kind = "of any type"
    usable: tuple[str, ...] = OPERATORS
    if field in NUMBER_FIELDS:
        kind, usable = "a number", (*ORDERINGS, "eq", "ne", "in")
    elif field in TEXT_FIELDS:
        kind, usable = "a text", ("eq", "ne", "in", "contains", "regex")
    if operator not in usable:
        raise ConfigError(
            f"{operator!r} does not fit {field!r}, which is {kind}",
            path=path,
            remedy=f"use {', '.join(usable)}",
        )
    return Comparison(field, operator, _READERS[operator](field, value, path))


def _read_ordering(_field: str, value: object, path: Path) -> Scalar:
    return read_number(value, path)


def _read_scalar(field: str, value: object, path: Path) -> Scalar:
    if isinstance(value, list):
        raise ConfigError(
            f"expected one value, got the list {shown(value)}", path=path, remedy="use 'in' for a list"
        )
    if field in NUMBER_FIELDS:
        return read_number(value, path)
    if isinstance(value, str):
        known = _VALUES.get(field)
        if known is not None and value.casefold() not in known:
            raise unknown(field, value, known, path)
        return value
    if field in TEXT_FIELDS:
        raise ConfigError(f"expected a text, got {shown(value)}", path=path, remedy="put the value in quotes")
    if isinstance(value, bool):
        return value
    return read_number(value, path)


def _read_membership(field: str, value: object, path: Path) -> tuple[Scalar, ...]:
    if not isinstance(value, list) or not value:
        raise ConfigError(
            f"'in' needs a list, got {shown(value)}", path=path, remedy="write e.g. [401, 403], or use 'eq'"
        )
    return tuple(_read_scalar(field, item, (*path, index)) for index, item in enumerate(value))


def _read_needles(_field: str, value: object, path: Path) -> tuple[Scalar, ...]:
    needles = value if isinstance(value, list) else [value]
    if not needles:
        raise ConfigError("'contains' needs a text or a list of texts, got an empty list", path=path)
    for needle in needles:
        if not isinstance(needle, str) or not needle:
            raise ConfigError(
                f"'contains' needs a text or a list of texts, got {shown(needle)}",
                path=path,
                remedy="put the value in quotes",
            )
    return tuple(needles)


def _read_pattern(_field: str, value: object, path: Path) -> Scalar:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"'regex' needs a pattern, got {shown(value)}", path=path)
    try:
        compile_pattern(value)
    except re2.error as error:
        detail = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise ConfigError(
            f"bad regular expression {shown(value)}: {detail}",
            path=path,
            remedy="use RE2 syntax (no look-around, no back-references)",
        ) from None
    return value


_READERS: dict[str, Callable[[str, object, Path], Scalar | tuple[Scalar, ...]]] = {
    **dict.fromkeys(ORDERINGS, _read_ordering),
    "eq": _read_scalar,
    "ne": _read_scalar,
    "in": _read_membership,
    "contains": _read_needles,
    "regex": _read_pattern,
}


def compile_pattern(pattern: str) -> Callable[[str], object]:
    """Compile *pattern* with RE2 and return its search function.

    Raises:
        re2.error: The pattern is not RE2 syntax.
    """
    options = re2.Options()
    options.log_errors = False
    return cast("Callable[[str], object]", re2.compile(pattern, options=options).search)


def payload_value(payload: Mapping[str, object] | None, path: str) -> object:
    """Return what *payload* holds at the dotted *path*, or None; a key that contains the dots itself wins."""
    if payload is None:
        return None
    if path in payload:
        return payload[path]
    value: object = payload
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def same(value: object, wanted: Scalar) -> bool:
    """Whether *value* equals *wanted*: texts without regard to case, True and False only themselves."""
    if isinstance(wanted, str):
        return isinstance(value, str) and value.casefold() == wanted.casefold()
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return isinstance(value, int | float) and value == wanted


def holds(comparison: Comparison, value: object) -> bool:
    """Whether *value* passes *comparison*; a missing value (None) passes none, 0 and False are values."""
    if value is None:
        return False
    operator = comparison.operator
    if operator in ORDERINGS:
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and _ordered(operator, value, cast("float", comparison.value))
        )
    if operator == "contains":
        return isinstance(value, str) and any(
            str(needle).casefold() in value.casefold() for needle in comparison.values
        )
    if operator == "regex":
        return isinstance(value, str) and bool(compile_pattern(str(comparison.value))(value[:REGEX_LIMIT]))
    if operator == "ne":
        return not same(value, cast("Scalar", comparison.value))
    return any(same(value, wanted) for wanted in comparison.values)


def _ordered(operator: str, value: float, limit: float) -> bool:
    if operator == "gt":
        return value > limit
    if operator == "gte":
        return value >= limit
    if operator == "lt":
        return value < limit
    return value <= limit
