"""Correlation ids: how a reply finds its request."""

from __future__ import annotations

import os
import random

# Of our own, so that a test that seeds `random` does not repeat ids; Locust forks workers (`--processes`).
_random = random.Random()
os.register_at_fork(after_in_child=_random.seed)

_FREE = (1 << 128) - 1 - (0xF << 76) - (0x3 << 62)
_VERSION_4 = (0x4 << 76) | (0x2 << 62)


def new_id() -> str:
    """Return a random UUID (version 4) as 32 hex digits.

    The same as ``uuid.uuid4().hex`` without its system call: it counts once per request.
    """
    return f"{_random.getrandbits(128) & _FREE | _VERSION_4:032x}"
