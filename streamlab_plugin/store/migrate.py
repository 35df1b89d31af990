"""Bring a database to the schema of this version; forward only."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.store.engine import open_store

_FOLDER = Path(__file__).parent / "migrations"


def migrate(engine: Engine) -> None:
    """Create or upgrade the schema.

    Raises:
        InfrastructureError: the database is locked, is no database, or was made by a newer Streamlab.
    """
    config = _config()
    try:
        with engine.connect() as connection:
            found = _revision(connection)
            known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
            if found is not None and found not in known:
                raise InfrastructureError(
                    f"the database was written by a newer Streamlab (schema {found}); upgrade Streamlab"
                )
            if found == ScriptDirectory.from_config(config).get_current_head():
                return
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except OperationalError as error:
        raise InfrastructureError(f"the database cannot be used: {error.orig}") from error
    except DatabaseError as error:
        raise InfrastructureError(f"the file is not a Streamlab database: {error.orig}") from error


def has_schema(url: str) -> bool:
    """Whether the database exists and is one of Streamlab's; creates nothing."""
    try:
        with open_store(url, read_only=True).connect() as connection:
            return _revision(connection) is not None
    except (InfrastructureError, DatabaseError):
        return False


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
