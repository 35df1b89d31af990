"""How every read reaches the database: one short connection, and database errors as our own.

Pages and commands know `InfrastructureError`, not SQLAlchemy. A connection never outlives its query, so a
reader cannot hold back a checkpoint or a migration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from streamlab_plugin.core.errors import InfrastructureError

T = TypeVar("T")


def read(engine: Engine, query: Callable[[Connection], T]) -> T:
    """Run *query* on a connection of its own and return its answer.

    Raises:
        InfrastructureError: The database cannot be reached, or is not one of Streamlab's.
    """
    try:
        with engine.connect() as conn:
            return query(conn)
    except DBAPIError as error:
        # The driver's text only: SQLAlchemy's own would add the statement and its parameters.
        lines = str(error.orig).strip().splitlines() or [type(error).__name__]
        raise InfrastructureError(f"cannot read the database: {lines[0]}") from error
