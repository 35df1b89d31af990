"""What a database can answer instead of doing its work: it is out of reach, or it refuses a value.

The first is waited for, the second never gets better: the row is put aside with its reason.
"""

from __future__ import annotations

import sqlite3

import psycopg
from sqlalchemy.exc import SQLAlchemyError

# In the bulk writers the drivers' own errors arrive unwrapped.
DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error, psycopg.Error)
# Raised while values are bound, or by the server about a value.
POISON_ERRORS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeError,
)


def reason(error: BaseException) -> str:
    """Return the driver's own text of a database error, one line."""
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def poison_reason(error: BaseException) -> str:
    """Return why a value was refused, without the value."""
    text = str(error).lower()
    if "0x00" in text or "nul byte" in text or "null character" in text:
        return "a NUL byte in a text"
    if isinstance(error, UnicodeError) or "surrogate" in text or "encoding" in text:
        return "invalid UTF-8 in a text"
    if isinstance(error, OverflowError) or "too large" in text or "out of range" in text or "exceed" in text:
        return "a value that is too large for its column"
    return f"refused by the database ({type(error).__name__})"
