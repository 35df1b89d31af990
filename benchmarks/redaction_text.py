"""What cleaning a text costs the recorder: ordinary texts of 1 KB, and the worst of 64 KB that are known."""

from __future__ import annotations

import json
import random
import string
import time
from collections.abc import Iterable

from benchmarks.figure import Figure
from benchmarks.process import progress
from streamlab_plugin.privacy.detector import clean_text

ROW = 13
_ORDINARY_BYTES, _LONG_BYTES = 1_024, 65_536
_TRACEBACK = """Traceback (most recent call last):
  File "/usr/lib/python3.11/site-packages/urllib3/connection.py", line 174, in _new_conn
    conn = connection.create_connection(
  File "/usr/lib/python3.11/site-packages/urllib3/util/connection.py", line 95, in create_connection
    raise err
ConnectionRefusedError: [Errno 111] Connection refused

During handling of the above exception, another exception occurred:

"""
_NGINX = (
    "2026/11/21 07:40:00 [error] 29#29: *18423 connect() failed (111: Connection refused) while connecting to"
    ' upstream, client: 10.1.2.3, server: api.example.com, request: "GET /api/v1/orders?page=2 HTTP/1.1",'
    ' upstream: "http://10.0.3.7:8080/api/v1/orders?page=2", host: "api.example.com"\n'
)
_ITEM = {"id": 4711, "status": "failed", "code": 503, "latency_ms": 12.75, "ts": "2026-11-21T07:40:00.123Z"}
_PROSE = (
    "The connection to the broker was lost while the client was waiting for an acknowledgement of the last"
    " message, and the next attempt was rejected because the session had expired. "
)
ORDINARY = {
    "traceback": _TRACEBACK,
    "nginx error": _NGINX,
    "JSON": json.dumps({"errors": [_ITEM] * 6}),
    "prose": _PROSE,
}
# Units that a search over repeated fragments found to be slow, and those that are known to be hard.
HOSTILE = (
    "@", "7", "%41", "QUJDREVGR0hJSktM", "a:", "1-", "12-", "1 ", "(1", "1.", "0171 ", "4111 ", "token=a ",
    "/a?b ",
    "{'", "&#64;", "\\u0040", "ａ１＠", "a\u200b", "bob@example.com ", "%2541YWJjQGV4YW1wbGUuY29t ",
    "41111.2.3.4\\x40%40//u:p@h &#64;", "?%40 4111//u:p@h ' 41111.2.3.4",
)  # fmt: skip


def measure(*, is_quick: bool) -> list[Figure]:
    """Clean each text many times and take the best: what others do on the machine only adds."""
    repeats = 50 if is_quick else 2_000
    ordinary = {
        name: _best_s([_filled(unit, _ORDINARY_BYTES)] * repeats) * 1e6 for name, unit in ORDINARY.items()
    }
    progress(f"row {ROW}: {', '.join(f'{name} {cost:.1f} µs' for name, cost in ordinary.items())}")
    hostile = {unit: _best_s([_filled(unit, _LONG_BYTES)] * 9) * 1e3 for unit in HOSTILE}
    worst = max(hostile, key=lambda unit: hostile[unit])
    chars = random.Random(1)
    fresh = _best_s("".join(chars.choices(string.printable, k=_LONG_BYTES)) for _ in range(9)) * 1e3
    return [
        *(
            Figure(ROW, f"cleaning 1 KB of text: {name}", "µs", (cost,), 50.0, 25.0)
            for name, cost in ordinary.items()
        ),
        Figure(
            ROW, "cleaning 64 KB of text: the worst", "ms", (hostile[worst],), 10.0, 5.0,
            details={"made of": repr(worst), "random characters, ms": fresh},
        ),
    ]  # fmt: skip


def _filled(unit: str, size: int) -> str:
    return (unit * (size // len(unit) + 1))[:size]


def _best_s(texts: Iterable[str]) -> float:
    best = float("inf")
    for text in texts:
        begun = time.perf_counter()
        clean_text(text)
        best = min(best, time.perf_counter() - begun)
    return best
