"""How often each action and each detector of privacy had something to do, and how that is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import re2

from streamlab_plugin.privacy.masking import MASK

ACTIONS: Final = ("kept", "dropped", "hashed", "bucketed", "scrubbed", "failed", "masked")
FOUND: Final = "found_"

# What detectors leave in the place of personal data and secrets; ids and quoted bodies are neither.
DETECTED: Final = ("email", "phone", "card", "iban", "ssn", "ip", "mac", "token", "encoded", "unreadable")

_MARK = re2.compile(rf"\[({'|'.join(DETECTED)})\]")
_WORDS: Final = {"scrubbed": "texts scrubbed", "failed": "payloads unread", "masked": "error texts masked"}


def marks(text: str) -> Counter[str]:
    """Return what was done to a cleaned *text*, by counter: its detectors' marks, such as ``[email]``."""
    data: bytes = text.encode(errors="replace")
    counts = Counter(f"{FOUND}{match.group(1).decode()}" for match in _MARK.finditer(data))
    if MASK in text:
        counts["masked"] = 1
    return counts


def total(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of counters, every action of `ACTIONS` among them."""
    counts = Counter(dict.fromkeys(ACTIONS, 0))
    for part in parts:
        counts.update(part)
    return dict(counts)


def found(counts: Mapping[str, int]) -> dict[str, int]:
    """Return what detectors found in error texts and kept values, most first."""
    named = {name.removeprefix(FOUND): count for name, count in counts.items() if name.startswith(FOUND)}
    return dict(sorted(named.items(), key=lambda pair: (-pair[1], pair[0])))


def found_text(counts: Mapping[str, int]) -> str:
    """Return what detectors found as a text; empty when that is nothing."""
    return " · ".join(f"{name} {count:,}" for name, count in found(counts).items())


def tally_text(counts: Mapping[str, int]) -> str:
    """Return the counters as one line."""
    actions = " · ".join(f"{_WORDS.get(name, name)} {counts.get(name, 0):,}" for name in ACTIONS)
    seen = found_text(counts)
    return f"{actions}; found in texts: {seen}" if seen else actions
