"""Bring a database to the schema of this version; forward only, each time in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.store.engine import open_store

_FOLDER = Path(__file__).parent / "migrations"
# Each file begins with its revision. Alembic would say the same, but takes longer to load than to ask.
_REVISIONS = tuple(sorted(path.name[:4] for path in (_FOLDER / "versions").glob("[0-9]*.py")))
# Two hosts may start at the same moment; any number that nobody else takes will do.
_ADVISORY_LOCK = 0x5357_4C41_4231
PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Schema:
    """The schema found in a database (None: there is none) and the one of this version."""

    found: str | None
    wanted: str
    is_newer: bool

    @property
    def is_current(self) -> bool:
        """Whether nothing is to be done."""
        return self.found == self.wanted


def migrate(engine: Engine) -> None:
    """Create or upgrade the schema; whatever interrupts it, the database keeps the old one or has the new.

    Raises:
        InfrastructureError: the database is locked, is no database, or was made by a newer Streamlab.
    """
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                # Of two that start together the second waits, and then finds nothing to do.
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
            schema = _schema(connection)
            if schema.is_newer:
                raise newer(schema)
            if schema.is_current:
                return
            _upgrade(connection)
            connection.commit()
    except OperationalError as error:
        raise InfrastructureError(f"the database cannot be used: {_line(error)}") from error
    except DatabaseError as error:
        raise InfrastructureError(f"this is not a Streamlab database: {_line(error)}") from error


def schema_of(engine: Engine) -> Schema:
    """Return the schema of a database; changes nothing.

    Raises:
        InfrastructureError: the database cannot be reached or is no database.
    """
    try:
        with engine.connect() as connection:
            return _schema(connection)
    except DatabaseError as error:
        raise InfrastructureError(f"the database cannot be used: {_line(error)}") from error


def has_schema(url: str) -> bool:
    """Whether the database exists and is one of Streamlab's; creates nothing."""
    try:
        return schema_of(open_store(url, read_only=True)).found is not None
    except InfrastructureError:
        return False


def newer(schema: Schema) -> InfrastructureError:
    """Return the error for a database that a newer Streamlab has written."""
    return InfrastructureError(
        f"the database was written by a newer Streamlab (schema {schema.found}); upgrade Streamlab"
    )


def _schema(connection: Connection) -> Schema:
    found = None
    if inspect(connection).has_table("alembic_version"):
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return Schema(found, _REVISIONS[-1], is_newer=found is not None and found not in _REVISIONS)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _line(error: DatabaseError) -> str:
    # The driver's text only: SQLAlchemy's own would add the statement and its parameters.
    return (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]
