"""A PostgreSQL that is too old, from a wheel that is fetched when it is needed, and checked by its hash."""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulk_dispatch.local.servers.os_user import OsUser, account_for, give, open_way, run_as

WHEEL = "pgserver==0.1.4 --hash=sha256:d595789b47624a3d963aa9aa6359da9be31beb7e61f1a45541953242068b8813\n"
"""PostgreSQL 16.2; its own Python is never imported, so the tag of the wheel need not be that of ours."""

DOWNLOAD = (
    *("download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"),
    *("--only-binary", ":all:", "--python-version", "3.11", "--platform", "manylinux2014_x86_64"),
)


@contextmanager
def old_postgres() -> Iterator[str]:
    """PostgreSQL 16 with an empty database, on a socket, while it lasts; its URL."""
    with tempfile.TemporaryDirectory(prefix="worker-test-", ignore_cleanup_errors=True) as path:
        folder = Path(path)
        binaries = _fetched(folder) / "pgserver/pginstall/bin"
        account = account_for(folder)
        home = folder / "home"
        home.mkdir()
        give(home, account)
        open_way(home, account, lambda _: None)
        data = home / "data"
        _run(
            account,
            home,
            binaries / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--auth=trust",
            "--no-sync",
        )
        options = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off"
        pg_ctl = (binaries / "pg_ctl", "-D", data, "-l", home / "log")
        _run(account, home, *pg_ctl, "-o", options, "-w", "start")
        try:
            yield f"postgresql://postgres@/postgres?host={home}"
        finally:
            _run(account, home, *pg_ctl, "-m", "immediate", "stop")


def _fetched(folder: Path) -> Path:
    """Where the wheel was laid out, for all to read."""
    (folder / "wheel.txt").write_text(WHEEL)
    command = [sys.executable, "-m", "pip", *DOWNLOAD, "-d", str(folder), "-r", str(folder / "wheel.txt")]
    subprocess.run(command, check=True, timeout=300)
    [wheel] = folder.glob("*.whl")
    tree = folder / "tree"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tree)
    for file in (folder, tree, *tree.rglob("*")):
        file.chmod(0o755)
    return tree


def _run(account: OsUser | None, folder: Path, *command: object) -> None:
    with (folder.parent / "held").open("w") as held:
        done = run_as(account, [str(word) for word in command], folder, held.fileno())
    assert done.returncode == 0, done.stdout
