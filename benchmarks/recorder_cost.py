"""Rows 2 and 8: what a record costs the recorder, and the disk."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

from benchmarks.figure import Figure
from benchmarks.place import Place, new_place, progress


def measure(*, is_quick: bool) -> list[Figure]:
    """Feed a fresh recorder with a fresh database, several times."""
    count, rounds = (20_000, 1) if is_quick else (300_000, 3)
    cpu_us, per_second, disk_bytes = [], [], []
    for _round in range(rounds):
        with new_place() as place:
            answer = _feed(place, count)
            cpu_us.append(answer["cpu_us"])
            per_second.append(answer["per_second"])
            disk_bytes.append(_database_bytes(place, count) / count)
        progress(f"row 2: {cpu_us[-1]:.2f} µs, {per_second[-1]:,.0f}/s; row 8: {disk_bytes[-1]:.0f} B")
    return [
        Figure(2, "recorder, time per record (SQLite)", "µs", tuple(cpu_us), 14.0, 8.0),
        Figure(2, "recorder, rate (SQLite)", "/s", tuple(per_second), 60_000, 100_000, is_ceiling=False),
        Figure(8, "disk per record with a 12-field payload", "B", tuple(disk_bytes), 300, 150),
    ]  # fmt: skip


def _feed(place: Place, count: int) -> dict[str, float]:
    socket = str(place.runtime / "recorder.sock")
    answer: dict[str, float] = json.loads(
        place.run("benchmarks.feed_process", socket, str(count), timeout_s=180)
    )
    return answer


def _database_bytes(place: Place, count: int) -> int:
    """Return the size of the database, rollups included, after checking that every record is in it."""
    with closing(sqlite3.connect(place.database)) as connection:
        (stored,) = connection.execute("SELECT count(*) FROM records").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert stored == count, f"{stored} of {count} records are in the database"
    return place.database.stat().st_size
