"""How every read reaches the database: one short connection, and database errors as our own.

Pages and commands know `InfrastructureError`, not SQLAlchemy. No transaction outlives its query, so a reader
cannot hold back a checkpoint or a migration.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, ProgrammingError

from streamlab_plugin.core.errors import InfrastructureError

if TYPE_CHECKING:
    from streamlab_plugin.store.migrate import Schema

T = TypeVar("T")


def read(engine: Engine, query: Callable[[Connection], T]) -> T:
    """Run *query* on a connection of its own and return its answer.

    Raises:
        InfrastructureError: The database cannot be reached, is not one of Streamlab's, or has the schema of
            another version.
    """
    try:
        with engine.connect() as conn:
            return query(conn)
    except (DBAPIError, psycopg.Error, sqlite3.Error) as error:  # the driver's own: see `fetch_binary`
        raise _explained(engine, error) from error


def older(schema: Schema) -> InfrastructureError:
    """Return the error for a database that an older Streamlab has written."""
    return InfrastructureError(
        f"schema {schema.found} is older than this Streamlab ({schema.wanted}); run: streamlab db migrate"
    )


def _explained(engine: Engine, error: DBAPIError | psycopg.Error | sqlite3.Error) -> InfrastructureError:
    """Return what a user can do about *error*, if only its text."""
    # The driver's text only: SQLAlchemy's own would add the statement and its parameters.
    cause = error.orig if isinstance(error, DBAPIError) else error
    text = (str(cause).strip().splitlines() or [type(error).__name__])[0]
    # A table or column that is missing; a database out of reach is not asked again.
    if isinstance(error, ProgrammingError) or text.startswith("no such "):
        # Imported here, because a read that works has no use for the tools of the migrations.
        from streamlab_plugin.store.migrate import newer, schema_of

        schema = schema_of(engine)
        if schema.is_newer:
            return newer(schema)
        if schema.found is not None and not schema.is_current:
            return older(schema)
    return InfrastructureError(f"cannot read the database: {text}")
