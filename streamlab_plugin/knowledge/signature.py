"""What makes two findings the same anomaly, in any run, process or version of Python."""

from __future__ import annotations

import functools
import hashlib
import json

# Mildest first, with the weight that a fix's confidence is multiplied by.
SEVERITY_WEIGHTS = {"info": 1, "warning": 2, "error": 3, "critical": 4}
SEVERITIES = tuple(SEVERITY_WEIGHTS)


# The recorder asks for every finding, always about the same few.
@functools.lru_cache(maxsize=10_000)
def fingerprint(anomaly_type: str, protocol: str, endpoint: str, error_class: str, rule: str) -> str:
    """Return the 16 hex digits that name this anomaly.

    Args:
        anomaly_type: e.g. ``slow_http``.
        protocol: e.g. ``http``.
        endpoint: The endpoint template.
        error_class: The class of the error, or an empty text.
        rule: Name of the rule that fired.
    """
    # JSON keeps the parts apart and is the same everywhere, which joining with a separator is not.
    identity = json.dumps([anomaly_type, protocol, endpoint, error_class, rule])
    return hashlib.blake2b(identity.encode("ascii"), digest_size=8).hexdigest()


def worst(first: str, second: str) -> str:
    """Return the graver of two severities.

    Raises:
        KeyError: One of them is no severity.
    """
    return first if SEVERITY_WEIGHTS[first] >= SEVERITY_WEIGHTS[second] else second
