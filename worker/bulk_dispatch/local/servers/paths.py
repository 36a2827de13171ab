"""Where the servers of one data directory keep their files and their sockets."""

import hashlib
import os
import re
import secrets
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from bulk_dispatch.local.errors import LocalError
from bulk_dispatch.local.servers.os_user import OsUser, account_for, give

SOCKET_ROOM = 100  # bytes; sun_path holds 108 on Linux and 104 on macOS, its zero included
LONGEST_NAME = ".s.PGSQL.5432"
# What may stand in a libpq host list, a URL and two configuration files without being quoted.
PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
# pg_ctl starts PostgreSQL with a shell, and puts the path between double quotes.
UNQUOTABLE = re.compile(r'["$`\\\n\r]')


@dataclass(frozen=True, slots=True)
class ServerPaths:
    """One data directory, made ready: where things lie and whom they belong to."""

    data_dir: Path  # absolute, without symbolic links
    run_dir: Path  # the sockets and pid files; for the account's eyes only
    account: OsUser | None  # whom the servers run as; None: ourselves

    def home(self, name: str) -> Path:
        """The folder of one server's files, made when absent."""
        return _private(self.data_dir / name, self.account)

    def open_sockets(self) -> None:
        """Makes the sockets' folder; LocalError when somebody else has taken its name."""
        _private(self.run_dir, self.account)

    def forget_sockets(self) -> None:
        """Once both servers have ended: leaves nothing of them outside the data directory."""
        shutil.rmtree(self.run_dir)


def data_directory(path: Path) -> Path:
    """The data directory at `path`, made when absent; LocalError when we could not use it."""
    try:
        if not path.exists():
            # Root's servers run as somebody else, who must pass through; their own folders stay closed.
            path.mkdir(mode=0o700 if os.geteuid() else 0o711, parents=True, exist_ok=True)
            (path / ".gitignore").write_text("*\n")
        path = path.resolve()
        usable = os.access(path, os.R_OK | os.W_OK | os.X_OK)
    except OSError as error:
        raise LocalError(f"cannot make the data directory {path}: {error.strerror}") from error
    if not usable:
        raise LocalError(f"{path} belongs to another user: set WORKER_DATA_DIR to a folder of your own")
    if UNQUOTABLE.search(str(path)):
        raise LocalError(
            f"{path} holds a quote, dollar sign, backslash or line break: PostgreSQL cannot live there"
        )
    return path


def settle(data_dir: Path) -> ServerPaths:
    """The place of `data_dir`, the same for every process. Call it while nobody else does."""
    account = account_for(data_dir)
    place = ServerPaths(data_dir, _run_dir(data_dir, account), account)
    place.open_sockets()
    return place


def _run_dir(data_dir: Path, account: OsUser | None) -> Path:
    """In the data directory, unless a socket's path would be too long there or need quoting."""
    inside = data_dir / "run"
    if len(os.fsencode(inside / LONGEST_NAME)) <= SOCKET_ROOM and PLAIN.fullmatch(str(inside)):
        return inside
    uid = account.uid if account else os.geteuid()
    # The id sets a new directory apart from a removed one of the same path whose servers may still run;
    # the path sets it apart from its own copy. Never TMPDIR: the next process may have another.
    identity = _written_once(data_dir / "id", secrets.token_hex(16), account)
    digest = hashlib.sha256(f"{identity} {data_dir}".encode(errors="surrogateescape")).hexdigest()
    return Path("/tmp") / f"worker-{uid}-{digest[:16]}"  # noqa: S108 (_private checks whose it is)


def _written_once(path: Path, text: str, account: OsUser | None) -> str:
    """The text of `path`; a file of its own, whole or absent, so that a kill leaves no half."""
    if not path.exists():
        draft = path.with_name(f"{path.name}.new")
        draft.write_text(text)
        if account is not None and path.parent.stat().st_uid == account.uid:
            os.chown(draft, account.uid, account.gid)
        draft.replace(path)
    return path.read_text()


def _private(folder: Path, account: OsUser | None) -> Path:
    """`folder`, made when absent, open to the account alone; LocalError when it is somebody else's."""
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    ours = {os.geteuid(), account.uid if account else os.geteuid()}
    if not stat.S_ISDIR(state.st_mode) or state.st_uid not in ours:
        raise LocalError(
            f"{folder} is not a folder of ours: remove it, or set WORKER_DATA_DIR to another folder"
        )
    if state.st_mode & 0o077:
        folder.chmod(0o700)
    give(folder, account)
    return folder
