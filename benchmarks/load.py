"""A headless Locust test in a place: started, waited for, and what Locust itself says about it."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.place import ROOT, Place

# A test may take so much longer than it should, starting and stopping included.
PATIENCE_S = 90.0


def run_locust(
    place: Place,
    locustfile: str,
    host: str,
    users: int,
    seconds: float,
    *,
    spawn_rate: float | None = None,
    **variables: str,
) -> list[dict[str, Any]]:
    """Run *locustfile* of this folder and return Locust's own statistics.

    Args:
        place: Where it runs.
        locustfile: Its name.
        host: URL of the target.
        users: How many.
        seconds: Length of the test; the locustfile may end it before.
        spawn_rate: Users that start in a second; None: all.
        variables: For its environment.
    """
    place.run(
        "locust", "-f", str(ROOT / "benchmarks" / locustfile), "--headless", "--only-summary",
        "-u", str(users), "-r", str(spawn_rate or users), "-t", f"{seconds:.0f}s",
        "--host", host, "--json-file", "stats", "--exit-code-on-error", "0",
        timeout_s=seconds + PATIENCE_S, python=None, **variables,
    )  # fmt: skip
    (path,) = place.folder.glob("stats*")
    entries: list[dict[str, Any]] = json.loads(path.read_text())
    return entries


def busiest(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the entry with the most requests: what the test is about, beside connects and closes."""
    return max(entries, key=lambda one: int(one["num_requests"]))


def rate(found: dict[str, Any]) -> float:
    """Return the requests per second of an entry, by Locust's own count and time."""
    return float(found["num_requests"] / (found["last_request_timestamp"] - found["start_time"]))


def stored(place: Place, name: str) -> int:
    """Return how many successes with this *name* are in the database, once the recorder has ended."""
    place.wait_recorders()
    query = f"SELECT count(*) FROM records_flat WHERE endpoint = '{name}' AND outcome = 'success'"
    return int(place.storage.scalar(query))
