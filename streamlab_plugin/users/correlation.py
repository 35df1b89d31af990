"""Correlation ids: how a reply finds its request, and a request its trace (W3C Trace Context)."""

from __future__ import annotations

import os
import random

# Of our own, so that a test that seeds `random` does not repeat ids; Locust forks workers (`--processes`).
_random = random.Random()
os.register_at_fork(after_in_child=_random.seed)

_FREE = (1 << 128) - 1 - (0xF << 76) - (0x3 << 62)
_VERSION_4 = (0x4 << 76) | (0x2 << 62)
_HEX = frozenset("0123456789abcdef")
_PART_LENGTHS = (2, 32, 16, 2)  # version, trace id, parent id, flags


def new_id() -> str:
    """Return a random UUID (version 4) as 32 hex digits.

    The same as ``uuid.uuid4().hex`` without its system call: it counts once per request.
    """
    return f"{_random.getrandbits(128) & _FREE | _VERSION_4:032x}"


def traceparent(trace_id: str) -> str:
    """Return a ``traceparent`` header (version 00) for a request of the trace: a new span, sampled."""
    return f"00-{trace_id}-{_random.getrandbits(64) or 1:016x}-01"


def trace_id_of(header: str) -> str | None:
    """Return the trace id in a ``traceparent`` header, or None where the header is not valid."""
    parts = header.split("-")
    version = parts[0]
    if version == "ff" or (version == "00" and len(parts) != 4):
        return None
    if tuple(map(len, parts[:4])) != _PART_LENGTHS or not all(_HEX.issuperset(part) for part in parts[:4]):
        return None
    trace_id, parent_id = parts[1:3]
    return trace_id if trace_id.strip("0") and parent_id.strip("0") else None
