"""What a command loads before it begins."""

import subprocess
import sys

import pytest

HEAVY = {"celery", "kombu", "sqlalchemy", "alembic", "psycopg", "httpx", "lxml"}


@pytest.mark.parametrize("command", ["send", "doctor"])
def test_what_must_start_soon_loads_neither_celery_nor_the_database(command: str) -> None:
    program = (
        f"import sys, bulk_dispatch.cli.{command}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert not HEAVY & set(loaded.stdout.split())
