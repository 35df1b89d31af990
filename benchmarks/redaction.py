"""Row 12: what redaction costs the recorder, and that unusual payloads stay bounded."""

from __future__ import annotations

import json

from benchmarks.figure import Figure, Peer
from benchmarks.place import new_place
from benchmarks.process import progress

PEER = "the same policy, written straightforwardly"


def measure(*, is_quick: bool) -> list[Figure]:
    """Redact in a fresh process per round; ours and the straightforward one in turn within it."""
    rounds, count, shapes = (1, 2_000, 10_000) if is_quick else (5, 50_000, 1_000_000)
    answers = []
    for number in range(rounds):
        # Shapes are unusual payloads without end: once is enough to see what they leave behind.
        wanted = (str(count), str(shapes if number == 0 else 0))
        with new_place() as place:
            answer = json.loads(place.run("benchmarks.redaction_process", *wanted, timeout_s=300))
        answers.append(answer)
        progress(f"row 12: {answer['ours_us']:.2f} µs, straightforward {answer['plain_us']:.1f} µs")
    growth_mb = answers[0]["growth_mb"]
    return [
        Figure(12, "redaction of a decoded 12-field payload", "µs",
               tuple(answer["ours_us"] for answer in answers), 4.0,
               peer=Peer(PEER, tuple(answer["plain_us"] for answer in answers)),
               details={"with decoding, µs": answers[0]["json_us"]}),
        Figure(12, "memory after a million payloads, each of another shape", "MB", (growth_mb,), 50.0,
               details={"time per payload, µs": answers[0]["shape_us"]}),
    ]  # fmt: skip
