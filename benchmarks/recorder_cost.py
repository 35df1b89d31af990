"""Rows 2 and 8: what a record costs the recorder, and the disk, on either engine."""

from __future__ import annotations

import json
from collections import defaultdict
from statistics import median

from benchmarks.figure import Figure
from benchmarks.place import ENGINES, LABELS, Place, place_on
from benchmarks.postgres import Server, new_server
from benchmarks.process import progress, round_robin

SERVER_TIME = "the server's own time per record, µs"
LOG = "write-ahead log, B"

Measured = dict[str, list[float]]


def measure(*, is_quick: bool) -> list[Figure]:
    """Feed a fresh recorder with a fresh database, several times."""
    count, rounds = (20_000, 1) if is_quick else (300_000, 3)
    measured: dict[str, Measured] = {engine: defaultdict(list) for engine in ENGINES}
    with new_server() as server:
        for engine in round_robin(ENGINES, rounds):
            with place_on(engine, server) as place:
                for name, value in _measure(place, server, count).items():
                    measured[engine][name].append(value)
            newest = {name: values[-1] for name, values in measured[engine].items()}
            progress(
                f"row 2, {engine}: {newest['cpu_us']:.2f} µs, {newest['per_second']:,.0f}/s;"
                f" row 8: {newest['disk']:.0f} B"
            )
    return [figure for engine in ENGINES for figure in _figures(LABELS[engine], measured[engine])]


def _measure(place: Place, server: Server, count: int) -> dict[str, float]:
    logged, worked_s = place.storage.log_bytes(), server.cpu_s()
    answer = _feed(place, count)
    place.wait_recorders()
    worked_s, logged = server.cpu_s() - worked_s, place.storage.log_bytes() - logged
    stored = place.storage.count_records()
    assert stored == count, f"{stored} of {count} records are in the database"
    size = place.storage.size_bytes()
    place.storage.vacuum()
    return {
        **answer,
        "server_us": worked_s * 1e6 / count,
        "log": logged / count,
        "disk": size / count,
        "vacuumed": place.storage.size_bytes() / count,
    }


def _feed(place: Place, count: int) -> dict[str, float]:
    socket = str(place.runtime / "recorder.sock")
    answer: dict[str, float] = json.loads(
        place.run("benchmarks.feed_process", socket, str(count), timeout_s=180)
    )
    return answer


def _figures(label: str, measured: Measured) -> list[Figure]:
    middle = {name: median(values) for name, values in measured.items()}
    work: dict[str, float | str] = {}
    disk: dict[str, float | str] = {"after VACUUM, B": middle["vacuumed"]}
    if label == LABELS["postgresql"]:
        work = {SERVER_TIME: middle["server_us"]}
        disk[LOG] = middle["log"]
    return [
        Figure(2, f"recorder, time per record ({label})", "µs", tuple(measured["cpu_us"]), 14.0, 8.0,
               details=work),
        Figure(2, f"recorder, rate ({label})", "/s", tuple(measured["per_second"]), 60_000, 100_000,
               is_ceiling=False),
        Figure(8, f"disk per record with a 12-field payload ({label})", "B", tuple(measured["disk"]),
               300, 150, details=disk),
    ]  # fmt: skip
