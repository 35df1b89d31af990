"""What a database refuses is told from one that is out of reach, and no value is repeated."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from streamlab_plugin.store.failure import DATABASE_ERRORS, POISON_ERRORS, poison_reason, reason


class TestReason:
    """`reason`."""

    def test_it_is_the_drivers_text_in_one_line(self) -> None:
        """Without the statement and its parameters."""
        inner = psycopg.OperationalError("server closed the connection\nThis probably means the server died")
        assert "server closed the connection" == reason(OperationalError("SELECT 'secret'", {}, inner))

    def test_an_error_without_a_text_has_its_name(self) -> None:
        """Rather than an empty line."""
        assert "OperationalError" == reason(sqlite3.OperationalError())


class TestPoisonReason:
    """`poison_reason`."""

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), "a NUL byte"),
            (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), "invalid UTF-8"),
            (OverflowError("Python int too large to convert to SQLite INTEGER"), "too large"),
            (psycopg.errors.NumericValueOutOfRange("integer out of range"), "too large"),
            (sqlite3.DataError("string or blob too big"), "refused by the database"),
            (psycopg.errors.UniqueViolation("Key (seq)=(7) of Anna exists"), "UniqueViolation"),
        ],
    )
    def test_it_says_why_and_not_what(self, error: Exception, expected: str) -> None:
        """A value may be anybody's secret."""
        assert expected in poison_reason(error)
        assert "Anna" not in poison_reason(error)

    def test_an_outage_is_no_poison(self) -> None:
        """Neither a lost connection nor a full disk puts rows aside."""
        for error in (psycopg.OperationalError("gone"), sqlite3.OperationalError("database is locked")):
            assert isinstance(error, DATABASE_ERRORS)
            assert not isinstance(error, POISON_ERRORS)
