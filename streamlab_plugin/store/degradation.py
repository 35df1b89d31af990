"""Windows of a run in which a part of the intended load was missing, because a process had vanished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from streamlab_plugin.store import tables
from streamlab_plugin.store.run_writer import ProcessState

# Gauges come about once a second; a process counts with its last one for this long.
CARRY_S = 5


def degradations(
    connection: Connection, processes: Sequence[ProcessState], stopped_at: float
) -> list[dict[str, Any]]:
    """Return, per process that was lost before *stopped_at*, how long its users were missing.

    Each is ``{kind, process, role, since, until, users}``: from the moment it vanished (epoch seconds) to the
    second in which the others had taken over its users, or to the end of the test; ``users`` were its own.
    """
    lost = [
        (one, since)
        for one in processes
        if one.role != "master" and one.state != "closed" and (since := _gone_at(one)) < stopped_at
    ]
    if not lost:
        return []
    users = _users(connection, [one.id for one in processes if one.role != "master"])
    windows = []
    for one, since in sorted(lost, key=lambda pair: pair[1]):
        before = int(since) - 1
        wanted = sum(_at(by_second, before) for by_second in users.values())
        others = [by_second for ident, by_second in users.items() if ident != one.id]
        until = next(
            (
                float(second)
                for second in range(int(since) + 1, int(stopped_at) + 1)
                if sum(_at(by_second, second) for by_second in others) >= wanted
            ),
            stopped_at,
        )
        windows.append(
            {
                "kind": "process_lost", "process": one.process, "role": one.role, "since": since,
                "until": max(since, until), "users": _at(users.get(one.id, {}), before),
            }
        )  # fmt: skip
    return windows


def _gone_at(process: ProcessState) -> float:
    if process.state == "lost" and process.closed_at is not None:
        return process.closed_at
    return process.seen_at or process.opened_at


def _users(connection: Connection, processes: Sequence[int]) -> dict[int, dict[int, int]]:
    gauges = tables.gauges.c
    found: dict[int, dict[int, int]] = {process: {} for process in processes}
    query = select(gauges.process_id, gauges.start, gauges.users).where(gauges.process_id.in_(processes))
    with connection.begin():
        for process, start, users in connection.execute(query):
            found[process][start] = users
    return found


def _at(by_second: dict[int, int], second: int) -> int:
    for at in range(second, second - CARRY_S - 1, -1):
        if at in by_second:
            return by_second[at]
    return 0
