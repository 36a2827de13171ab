"""Alembic's door: runs the migrations on the connection or the URL it is given."""

import sys

from alembic import context
from sqlalchemy import Connection, create_engine

from bulk_dispatch.config.settings import Settings
from bulk_dispatch.ledger.schema import metadata


def run(connection: Connection) -> None:
    """One transaction for all migrations: a failed upgrade leaves the database as it was."""
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    """With a connection from bulk_dispatch.ledger.migrate; else, called as `alembic`, by the environment."""
    given = context.config.attributes.get("connection")
    if given is not None:
        run(given)
        return
    url = Settings.from_env().database_url
    if not url:
        raise SystemExit("WORKER_DATABASE_URL is not set; `worker db upgrade` serves the embedded database")
    with create_engine(url).connect() as connection:
        run(connection)
        connection.commit()
    for sentence in context.config.attributes.get("told", ()):
        sys.stderr.write(f"{sentence}\n")


main()
