"""Redacts payloads, in a process of its own: ``python -m benchmarks.redaction_process COUNT SHAPES``.

Prints a JSON object: µs per payload of Streamlab (of decoded payloads, and from JSON) and of a
straightforward implementation of the same policy; memory that SHAPES different shapes leave, in MB.
"""

from __future__ import annotations

import hmac
import json
import re
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import psutil

from benchmarks import traffic
from benchmarks.process import resident_mb
from streamlab_plugin import config
from streamlab_plugin.privacy.plan import Redactor
from streamlab_plugin.privacy.policy import parse_policy
from streamlab_plugin.privacy.pseudonym import Pseudonyms

_KEY = bytes(range(32))
_ENDPOINT = "/api/v1/resource-a"
_REPETITIONS = 3


class Straightforward:
    """The packaged policy as one would write it first: by field, with Python's `re` and HMAC-SHA256."""

    PATTERNS = tuple(
        re.compile(pattern)
        for pattern in (
            r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", r"\b(?:\d[ -]?){13,19}\b", r"\b[A-Z]{2}\d\d[A-Z0-9 ]{11,30}\b",
            r"\+\d[\d ()-]{7,}\d", r"\b\d{1,3}(?:\.\d{1,3}){3}\b", r"\beyJ[\w-]+\.[\w-]+\.[\w-]+",
            r"(?i)(?:bearer|password|token)[=: ]+\S+", r"\b\d{3}-\d{2}-\d{4}\b",
        )
    )  # fmt: skip

    def __init__(self, policy: dict[str, Any]) -> None:
        self._lists = {
            name: {self._plain(entry) for entry in policy[name] if isinstance(entry, str)}
            for name in ("keep", "hash", "bucket", "remove")
        }

    def redact(self, value: Any, name: str = "") -> Any:
        """Return what may be stored of *value*, a field called *name*; None: nothing."""
        if isinstance(value, dict):
            inner = {key: self.redact(one, self._plain(key)) for key, one in value.items()}
            return {key: one for key, one in inner.items() if one is not None}
        if isinstance(value, list):
            return [self.redact(one, name) for one in value]
        if name in self._lists["remove"]:
            return None
        if name in self._lists["hash"]:
            return hmac.new(_KEY, str(value).encode(), "sha256").hexdigest()
        if name in self._lists["bucket"]:
            return round(float(value), 1)
        if name not in self._lists["keep"]:
            return None
        if isinstance(value, str):
            for pattern in self.PATTERNS:
                value = pattern.sub("[removed]", value)
        return value

    @staticmethod
    def _plain(name: str) -> str:
        return re.sub(r"[^a-z0-9]", "", name.lower())


def main() -> None:
    """Measure."""
    count, shapes = (int(argument) for argument in sys.argv[1:3])
    document = config.load().documents["privacy"]
    raw = [message for _id, message in traffic.messages(count)]
    decoded = [json.loads(message) for message in raw]
    ours, plain = Redactor(parse_policy(document), Pseudonyms(_KEY)), Straightforward(document)
    answer = {
        "ours_us": _best_us(lambda payload: ours.redact(payload, _ENDPOINT), decoded),
        "json_us": _best_us(lambda payload: ours.redact_json(payload, _ENDPOINT), raw),
        "plain_us": _best_us(plain.redact, decoded[: count // 5]),
    }
    if shapes:
        answer["growth_mb"], answer["shape_us"] = _shapes(ours, shapes)
    json.dump(answer, sys.stdout)


def _best_us(redact: Callable[[Any], object], payloads: list[Any]) -> float:
    """Return the processor time per payload, µs; the best of some, without what else the machine did."""
    times = []
    for _repetition in range(_REPETITIONS):
        before = time.process_time()
        for payload in payloads:
            redact(payload)
        times.append(time.process_time() - before)
    return min(times) * 1e6 / len(payloads)


def _shapes(redactor: Redactor, count: int) -> tuple[float, float]:
    """Redact *count* payloads of as many shapes; return MB of growth and µs per payload."""
    process = psutil.Process()
    before_mb, before = resident_mb(process), time.process_time()
    for payload in _unusual(count):
        redactor.redact(payload, _ENDPOINT)
    return resident_mb(process) - before_mb, (time.process_time() - before) * 1e6 / count


def _unusual(count: int) -> Iterable[dict[str, object]]:
    for number in range(count):
        word = "".join(chr(97 + number // 26**place % 26) for place in range(5))
        yield {"type": "sync", "user_id": "u", "seq": number, word: number, "data": {word: {"status": "ok"}}}


if __name__ == "__main__":
    main()
