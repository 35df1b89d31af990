"""Bring a database to the schema of this version; forward only, each time in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.store.engine import open_store

_FOLDER = Path(__file__).parent / "migrations"
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
    config = _config()
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                # Of two that start together the second waits, and then finds nothing to do.
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
            schema = _schema(connection, config)
            if schema.is_newer:
                raise newer(schema)
            if schema.is_current:
                return
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
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
            return _schema(connection, _config())
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


def _schema(connection: Connection, config: Config) -> Schema:
    scripts = ScriptDirectory.from_config(config)
    wanted = str(scripts.get_current_head())
    found = None
    if inspect(connection).has_table("alembic_version"):
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    known = {script.revision for script in scripts.walk_revisions()}
    return Schema(found, wanted, is_newer=found is not None and found not in known)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config


def _line(error: DatabaseError) -> str:
    # The driver's text only: SQLAlchemy's own would add the statement and its parameters.
    return (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]
