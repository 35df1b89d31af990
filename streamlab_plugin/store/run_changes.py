"""What a user may change about a run: its tags, and the wish that its test ends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, select, update

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.store import tables
from streamlab_plugin.store.run_queries import RUNNING

MOST_TAGS = 32
LONGEST_VALUE = 200
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,31}")


def check_tag_name(name: str) -> str:
    """Return *name* if a tag may be called so.

    Raises:
        ConfigError: it may not.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"tag name {name[:40]!r} is not allowed",
            remedy="use a lower-case letter, then at most 31 of a-z 0-9 _ . -",
        )
    return name


def check_tag_value(name: str, value: str) -> str:
    """Return *value* if a tag may have it.

    Raises:
        ConfigError: it is too long or cannot be printed.
    """
    if len(value) > LONGEST_VALUE:
        raise ConfigError(
            f"the value of tag {name!r} has {len(value)} characters, at most {LONGEST_VALUE} fit"
        )
    if not value.isprintable():
        raise ConfigError(f"the value of tag {name!r} holds a character that cannot be printed")
    return value


def tag_run(
    connection: Connection,
    run_id: int,
    set: Mapping[str, str],
    remove: Iterable[str],
) -> dict[str, str]:
    """Set and remove tags of a run in the caller's transaction; return the tags it has then.

    Raises:
        ConfigError: a name or value is not allowed, there would be too many tags, or the run is gone.
    """
    removed = frozenset(check_tag_name(name) for name in remove)
    added = {check_tag_name(name): check_tag_value(name, value) for name, value in set.items()}
    column = tables.runs.c
    # Two recorders may tag one run: the second waits for the first (SQLite has one writer anyway).
    body = connection.scalar(select(column.tags).where(column.id == run_id).with_for_update())
    if body is None:
        raise ConfigError(f"there is no run {run_id} any more", remedy="'streamlab runs list' shows them")
    known: dict[str, str] = json.loads(body)
    kept = {name: value for name, value in known.items() if name not in removed}
    tags = dict(sorted({**kept, **added}.items()))
    if len(tags) > MOST_TAGS:
        raise ConfigError(
            f"the run would have {len(tags)} tags, at most {MOST_TAGS} fit", remedy="remove some"
        )
    connection.execute(
        update(tables.runs).where(column.id == run_id).values(tags=json.dumps(tags, ensure_ascii=False))
    )
    return tags


def request_stop(connection: Connection, run_id: int, at: float) -> bool:
    """Note in the caller's transaction that the run's test shall end; return False when it is over already.

    A second request keeps the time of the first.
    """
    column = tables.runs.c
    row = connection.execute(
        select(column.state, column.stopped_at, column.stop_requested_at).where(column.id == run_id)
    ).one_or_none()
    if row is None or row.state != RUNNING or row.stopped_at is not None:
        return False
    if row.stop_requested_at is None:
        connection.execute(update(tables.runs).where(column.id == run_id).values(stop_requested_at=at))
    return True
