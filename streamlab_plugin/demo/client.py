"""What the demo's locustfiles share: where the target is, who its people are, and numbers for messages."""

from __future__ import annotations

import os
import sys
import uuid
from itertools import count

from streamlab_plugin.demo.person import persons

# The target's seed decides who its people are; the devices belong to the same ones.
PEOPLE = persons(int(os.environ.get("STREAMLAB_DEMO_SEED", "7")))

_prefix = uuid.uuid4().hex[:8]
_numbers = count(1)


def target(variable: str, example: str) -> str:
    """Return the URL in an environment variable, or end Locust with one line."""
    url = os.environ.get(variable)
    if not url:
        sys.exit(f"error: {variable} is not set; give the target's URL, e.g. {variable}={example}")
    return url


def next_seq() -> str:
    """Return a number that no other message has; the process id tells forked workers apart."""
    return f"{_prefix}-{os.getpid()}-{next(_numbers)}"
