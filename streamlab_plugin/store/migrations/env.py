"""Alembic's entry point; the connection comes from store.migrate."""

from __future__ import annotations

from alembic import context


def run() -> None:
    """Run the migrations on the connection that `migrate` has opened."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, transactional_ddl=True, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


run()
