"""Compare the rows of a run with what the target saw and sent.

Every request that the target saw must have exactly one row; a row that the target did not see must be
``interrupted`` or a failed connect; pushes and deliveries must equal what the target sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from harness import Place, Target

from streamlab_plugin.privacy.pseudonym import Pseudonyms, load_key

_ROWS = """
SELECT protocol, operation, direction, outcome, status, correlation_id, stream, stream_seq FROM records_flat
"""

# Rows beside those of requests; `late` and `orphan` are replies to one that has its row.
_ASIDE = ("connect", "close", "push", "subscribe", "late", "orphan", "ping")


def differences(place: Place, target: Target) -> list[str]:
    """Return what does not match, as sentences; an empty list means that everything does."""
    pseudonym = Pseudonyms(load_key(place.folder / "config" / "streamlab" / "key")).of
    rows = place.query(_ROWS)
    events = target.events()
    found: list[str] = []
    found += _requests("http", "request", events, rows, pseudonym)
    found += _requests("websocket", "message", events, rows, pseudonym)
    found += _pushes(events, rows, pseudonym)
    found += _streams("publish", events, rows, pseudonym)
    found += _streams("deliver", events, rows, pseudonym)
    return found


def counts(target: Target) -> Mapping[tuple[str, str], int]:
    """Return how much the target saw and sent, by protocol and kind."""
    return Counter((event["protocol"], event["what"]) for event in target.events())


def _requests(
    protocol: str, what: str, events: Iterable[Any], rows: Iterable[Any], pseudonym: Any
) -> list[str]:
    seen = Counter(
        pseudonym(one["corr"]) for one in events if one["protocol"] == protocol and one["what"] == what
    )
    wanted = [row for row in rows if row[0] == protocol and row[1] not in _ASIDE]
    stored = Counter(row[5] for row in wanted)
    lines = [
        f"{protocol}: {n} seen, {stored[corr]} rows for one correlation id"
        for corr, n in seen.items()
        if stored[corr] != n
    ]
    unseen = [row for row in wanted if row[5] not in seen and row[3] != "interrupted" and row[4] is not None]
    lines += [
        f"{protocol}: a {row[3]} row (status {row[4]}) that the target did not see" for row in unseen[:5]
    ]
    ghosts = [row for row in wanted if row[5] not in seen and row[3] == "success"]
    return lines[:10] + [f"{protocol}: {len(ghosts)} successes that the target did not see"] * bool(ghosts)


def _pushes(events: Iterable[Any], rows: Iterable[Any], pseudonym: Any) -> list[str]:
    sent = Counter(pseudonym(one["corr"]) for one in events if one["what"] == "push")
    stored = Counter(row[5] for row in rows if row[1] == "push")
    return _multiset("push", sent, stored)


def _streams(what: str, events: Iterable[Any], rows: Iterable[Any], pseudonym: Any) -> list[str]:
    seen = Counter((pseudonym(one["stream"]), int(one["seq"])) for one in events if one["what"] == what)
    wanted = [row for row in rows if row[0] == "mqtt" and row[1] == what]
    if what == "publish":
        # An interrupted publish may or may not have reached the broker.
        stored = Counter(
            (row[6], row[7]) for row in wanted if row[3] != "interrupted" or (row[6], row[7]) in seen
        )
    else:
        stored = Counter((row[6], row[7]) for row in wanted)
    return _multiset(what, seen, stored)


def _multiset(what: str, sent: Counter[Any], stored: Counter[Any]) -> list[str]:
    missing, extra = sent - stored, stored - sent
    lines = [f"{what}: {missing.total()} of {sent.total()} without a row"] * bool(missing)
    return lines + [f"{what}: {extra.total()} rows too many"] * bool(extra)
