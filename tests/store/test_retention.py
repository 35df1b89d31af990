"""Days have bounds, a change is noted, and only what differs from the default is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, select

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.store import tables
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.retention import KINDS, Policy, policies
from streamlab_plugin.store.retention import set_policy as set_within


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """The recorder's connection to an empty database."""
    with open_store(database_url, read_only=False).connect() as connection:
        yield connection


def set_policy(
    connection: Connection, kind: str, days: int | None, archive: bool | None, actor: str
) -> Policy:
    """Set a policy in a transaction of its own."""
    with connection.begin():
        return set_within(connection, kind, days, archive, actor)


def rows(connection: Connection, name: str) -> list[dict[str, object]]:
    """Return all rows of a table."""
    with connection.begin():
        return [dict(row) for row in connection.execute(select(tables.metadata.tables[name])).mappings()]


class TestPolicies:
    """`policies`."""

    def test_defaults(self, connection: Connection) -> None:
        """What holds while nothing is set."""
        expected = {
            "records": (14, True), "occurrences": (30, True), "rollups_1s": (14, False),
            "rollups_60s": (90, False), "rollups_3600s": (90, False), "archives": (90, False),
        }  # fmt: skip
        with connection.begin():
            found = policies(connection)
        assert expected == {kind: (one.days, one.archive) for kind, one in found.items()}
        assert {(True, None)} == {(one.is_default, one.last_run_at) for one in found.values()}


class TestSetPolicy:
    """`set_policy`."""

    def test_bounds(self, connection: Connection) -> None:
        """S002-12: 1 and the upper bound are accepted, 0 and one more are refused with the bounds."""
        # The coarsest rollups first, so that none is kept shorter than a finer one; back the other way.
        for kind in reversed(KINDS):
            longest = 90 if kind in ("records", "occurrences") else 730
            assert longest == set_policy(connection, kind, longest, None, "ann").days
        for kind in KINDS:
            assert 1 == set_policy(connection, kind, 1, None, "ann").days
            longest = 90 if kind in ("records", "occurrences") else 730
            for days in (-1, 0, longest + 1):
                with pytest.raises(
                    ConfigError, match=f"{kind} cannot be kept for {days} days; choose 1 to {longest}"
                ):
                    set_policy(connection, kind, days, None, "ann")
        assert 2 * len(KINDS) == len(rows(connection, "audit"))

    @pytest.mark.parametrize(
        ("kind", "days", "message"),
        [
            (
                "rollups_3600s",
                89,
                "rollups_3600s cannot be kept for 89 days while rollups_60s are kept for 90",
            ),
            ("rollups_60s", 91, "rollups_60s cannot be kept for 91 days with rollups_3600s only kept for 90"),
            ("rollups_1s", 91, "rollups_1s cannot be kept for 91 days with rollups_60s only kept for 90"),
        ],
    )
    def test_coarse_rollups_stay_longest(
        self, connection: Connection, kind: str, days: int, message: str
    ) -> None:
        """A run's totals are read from the coarsest ones."""
        with pytest.raises(ConfigError, match=f"{message}; change"):
            set_policy(connection, kind, days, None, "ann")
        assert ([], []) == (rows(connection, "retention"), rows(connection, "audit"))

    def test_a_change_is_noted(self, connection: Connection) -> None:
        """S002-12: Who, what, before and after."""
        set_policy(connection, "records", 30, archive=False, actor="ann")
        (noted,) = rows(connection, "audit")
        assert ("ann", "retention.set", "records") == (noted["actor"], noted["action"], noted["subject"])
        assert {
            "before": {"days": 14, "archive": True},
            "after": {"days": 30, "archive": False},
        } == json.loads(str(noted["body"]))

    def test_none_leaves_a_value(self, connection: Connection) -> None:
        """Days and archive change apart from each other."""
        set_policy(connection, "occurrences", 60, None, "ann")
        policy = set_policy(connection, "occurrences", None, archive=False, actor="ann")
        assert (60, False, False) == (policy.days, policy.archive, policy.is_default)

    def test_a_default_is_not_stored(self, connection: Connection) -> None:
        """Going back to the default leaves no override."""
        set_policy(connection, "records", 30, archive=False, actor="ann")
        assert set_policy(connection, "records", 14, archive=True, actor="ann").is_default
        assert [(None, None)] == [(row["days"], row["archive"]) for row in rows(connection, "retention")]

    def test_what_cannot_be(self, connection: Connection) -> None:
        """It is refused with the remedy and nothing is stored."""
        for kind, days, archive, message in (
            ("gauges", 3, None, "no kind 'gauges' is kept; kinds are records, occurrences"),
            ("records", None, None, "nothing to change for records; give days, archive or both"),
            ("rollups_1s", None, True, "rollups_1s cannot be archived; records and occurrences can"),
        ):
            with pytest.raises(ConfigError, match=message):
                set_policy(connection, kind, days, archive, "ann")
        assert ([], []) == (rows(connection, "retention"), rows(connection, "audit"))
