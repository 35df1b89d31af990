"""Rules as the text of a Python function.

The text holds only names made here: the fields, and ``c0``, ``c1``, … for the rules' values. What a rule's
author wrote never becomes part of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import cast

from streamlab_plugin.detect.condition import (
    ORDERINGS,
    PAYLOAD_PREFIX,
    REGEX_LIMIT,
    Comparison,
    compile_pattern,
    payload_value,
)

# What a generated function may look at, most often missing first: a rule's first field guards its others.
MEASURED = (
    "error_type",
    "error_message",
    "status",
    "latency_ms",
    "wait_ms",
    "size_bytes",
    "direction",
    "user_class",
    "endpoint",
    "payload",
)
SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

Compiled = Callable[..., tuple[int, ...]]


class Source:
    """The text of one generated function of *parameters* and the constants it refers to."""

    def __init__(self, parameters: tuple[str, ...]) -> None:
        self._parameters = parameters
        self._constants: dict[str, object] = {"payload_value": payload_value, "NUMBERS": (int, float)}
        self._names: dict[tuple[type, object], str] = {}
        self._always: list[int] = []
        self._guarded: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self._folded: set[str] = set()
        self._paths: dict[str, str] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no rule was added."""
        return not self._always and not self._guarded

    def ask_errors(self, errors: Compiled) -> None:
        """Let *errors* decide the rules that look at nothing but the error."""
        self._constants["errors"] = errors

    def compile(self) -> Compiled:
        """Return the function: it takes the parameters by position and returns the indexes of its rules."""
        text = self._text()
        namespace = dict(self._constants)
        exec(text, namespace)  # noqa: S102  only names made in this module, see its docstring
        return cast("Compiled", namespace["rest"])

    def add(self, index: int, comparisons: list[Comparison]) -> None:
        """Add rule *index*, which needs all *comparisons*."""
        if not comparisons:
            self._always.append(index)
            return
        comparisons = sorted(comparisons, key=lambda one: MEASURED.index(one.field.split(".")[0]))
        names = [self._variable(comparison.field) for comparison in comparisons]
        tests = [f"{name} is not None" for name in dict.fromkeys(names) if name != names[0]]
        tests += [self._test(one, name) for one, name in zip(comparisons, names, strict=True)]
        self._guarded[names[0]].append((index, " and ".join(tests)))

    def _text(self) -> str:
        lines = [
            f"def rest({', '.join(self._parameters)}):",
            f"    found = {self._constant(tuple(self._always))}",
        ]
        for path, name in self._paths.items():
            lines.append(f"    {name} = payload_value(payload, {self._constant(path)})")
        for name in sorted(self._folded):
            lines.append(f"    {name}_folded = {name}.casefold() if {name}.__class__ is str else {name}")
        for name, tests in self._guarded.items():
            lines.append(f"    if {name} is not None:")
            for index, test in tests:
                lines.append(f"        if {test}:")
                lines.append(f"            found += {self._constant((index,))}")
        if "errors" in self._constants:
            lines.append("    if error_message is not None or error_type is not None:")
            lines.append("        found += errors(error_type, error_message)")
        lines.append("    return found if len(found) < 2 else tuple(sorted(found))")
        return "\n".join(lines)

    def _constant(self, value: object) -> str:
        # 1, 1.0 and True are equal and are not the same constant.
        key = (value.__class__, value)
        if key not in self._names:
            self._names[key] = f"c{len(self._names)}"
            self._constants[self._names[key]] = value
        return self._names[key]

    def _variable(self, field: str) -> str:
        if not field.startswith(PAYLOAD_PREFIX):
            return field
        path = field.removeprefix(PAYLOAD_PREFIX)
        return self._paths.setdefault(path, f"p{len(self._paths)}")

    def _test(self, comparison: Comparison, name: str) -> str:
        """Return the Python expression of one comparison on the variable *name*, which is not None."""
        operator = comparison.operator
        is_payload = comparison.field.startswith(PAYLOAD_PREFIX)
        if operator in ORDERINGS:
            test = f"{name} {SIGNS[operator]} {self._constant(comparison.value)}"
            return f"({self._is_number(name)} and {test})" if is_payload else test
        if operator == "regex":
            search = self._constant(compile_pattern(str(comparison.value)))
            test = f"{search}({name}[:{REGEX_LIMIT}])"
            return f"({name}.__class__ is str and {test})" if is_payload else test
        if operator == "contains":
            self._folded.add(name)
            needles = (self._constant(str(needle).casefold()) for needle in comparison.values)
            test = " or ".join(f"{needle} in {name}_folded" for needle in needles)
            return f"({name}.__class__ is str and ({test}))" if is_payload else f"({test})"
        test = " or ".join(self._same(wanted, name, is_payload) for wanted in comparison.values)
        return f"not ({test})" if operator == "ne" else f"({test})"

    def _same(self, wanted: object, name: str, is_payload: bool) -> str:
        if isinstance(wanted, str):
            self._folded.add(name)
            return f"{name}_folded == {self._constant(wanted.casefold())}"
        if isinstance(wanted, bool):
            return f"{name} is {wanted}"
        test = f"{name} == {self._constant(wanted)}"
        return f"({self._is_number(name)} and {test})" if is_payload else test

    def _is_number(self, name: str) -> str:
        return f"{name}.__class__ in NUMBERS"
