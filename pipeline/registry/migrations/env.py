"""Run by Alembic: applies the scripts over the connection, and in the transaction, that `upgrade` opened."""

from alembic import context

from pipeline.registry.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
