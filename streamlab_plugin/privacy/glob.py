"""Patterns for endpoints and topics: ``/api/users/*``, ``sensors/+/temperature``, ``fleet/#``.

``*`` stands for any characters within a level, ``**`` for any at all; ``+`` and ``#`` as whole levels mean
what they mean in MQTT. Everything else is itself, ``{id}`` of an endpoint's template too.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import re2

_WILD: Final = re.compile(r"\*\*|\*|(?:(?<=/)|^)\+(?=/|$)|/#$|^#$")
_MEANING: Final = {"**": ".*", "*": "[^/]*", "+": "[^/]+", "/#": "(?:/.*)?", "#": ".*"}


class Glob(NamedTuple):
    """A compiled pattern; of several that match, the one with the greatest ``weight`` counts."""

    text: str
    weight: tuple[int, int]  # characters that are themselves; fewer wildcards
    matcher: re2._Regexp

    def matches(self, endpoint: str) -> bool:
        """Return whether the whole of *endpoint* fits."""
        return self.matcher.fullmatch(endpoint) is not None


def compile_glob(text: str) -> Glob:
    """Compile a pattern; every text is one."""
    pieces: list[str] = []
    end = literal = wildcards = 0
    for match in _WILD.finditer(text):
        before = text[end : match.start()]
        pieces += (re2.escape(before), _MEANING[match.group()])
        literal += len(before)
        wildcards += 1
        end = match.end()
    rest = text[end:]
    pieces.append(re2.escape(rest))
    return Glob(text, (literal + len(rest), -wildcards), re2.compile("(?s)" + "".join(pieces)))
