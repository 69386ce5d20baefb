"""The registry's schema, one Alembic script a change, in `versions/`.

All scripts run in one transaction under a lock: processes that start together wait for the first, and one that dies
half-way leaves nothing behind.
"""

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

from pipeline.registry import database


def upgrade(url: str) -> None:
    """Bring the database at `url` to this version's schema; nothing happens where it is there already."""
    engine = database.connect(url)
    try:
        upgrade_engine(engine)
    finally:
        engine.dispose()


def upgrade_engine(engine: Engine) -> None:
    """As `upgrade`, over connections that exist."""
    config = Config()
    config.set_main_option("script_location", "pipeline.registry:migrations")
    config.set_main_option("path_separator", "os")
    with database.writing(engine).begin() as connection:
        database.lock(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
