"""Alembic's entry: run the migrations on the connection that `database.migrate` gives, in one transaction."""

from __future__ import annotations

from alembic import context

from stalker.service.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
