"""Whom the servers run as: PostgreSQL refuses root, so root hands both to an account without rights."""

import os
import pwd
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bulk_dispatch.local.errors import LocalError

Say = Callable[[str], None]  # takes one sentence for a person

# Nothing of the caller's environment reaches the servers: PG* variables and locales change what they do.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class OsUser:
    """An account without rights, and the name it goes by."""

    uid: int
    gid: int
    name: str


def account_for(data_dir: Path) -> OsUser | None:
    """Whom to run as: ourselves (None); when we are root, the data directory's owner, or else `nobody`."""
    if os.geteuid() != 0:
        return None
    owner = data_dir.stat()
    if owner.st_uid != 0:
        return OsUser(owner.st_uid, owner.st_gid, f"uid {owner.st_uid}")
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise LocalError(
            "PostgreSQL refuses to run as root, and there is no account `nobody` to run it as: "
            "run worker as a normal user, or set WORKER_DATABASE_URL and WORKER_REDIS_URL"
        ) from None
    return OsUser(nobody.pw_uid, nobody.pw_gid, nobody.pw_name)


def run_as(
    account: OsUser | None, command: list[str], folder: Path, hold: int, told: str = ""
) -> subprocess.CompletedProcess[str]:
    """Runs `command` in `folder` as `account`, away from our terminal; its output is in the answer's stdout.

    `hold` is the descriptor of a lock the command keeps for as long as it, or what it starts, lives.
    """
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=ENVIRONMENT,
            input=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
            pass_fds=(hold,),
            start_new_session=True,  # Ctrl-C is for us: we decide what becomes of what we started
            umask=0o077,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except (OSError, subprocess.SubprocessError) as error:
        who = account.name if account else "this user"
        raise LocalError(f"{who} cannot run {command[0]} in {folder}: {error}") from error


def give(folder: Path, account: OsUser | None) -> None:
    """Makes `account` the owner of a folder of ours and of everything in it."""
    if account is None or folder.stat().st_uid == account.uid:
        return
    try:
        for path in (*folder.rglob("*"), folder):  # the folder last: its owner says that all is done
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
    except OSError as error:
        raise LocalError(
            f"cannot give {folder} to the account {account.name}, which runs the servers: {error.strerror}; "
            "set WORKER_DATA_DIR to a folder on a local disk"
        ) from error


def open_way(folder: Path, account: OsUser | None, say: Say) -> None:
    """Lets `account` pass through to `folder`: adds o+x, and nothing else, to each parent that lacks it."""
    if account is None:
        return
    closed = [step for step in reversed((folder, *folder.parents)) if not _may_pass(step, account)]
    for step in closed:
        _widen(step, 0o001, account)
    if closed:
        names = " and ".join(map(str, closed))
        say(f"made {names} passable (o+x) for {account.name}, who runs the servers")


def let_use(tree: Path, account: OsUser | None, say: Say) -> None:
    """Lets `account` run the programs in `tree`, which a strict umask at install time may have closed."""
    if account is None:
        return
    open_way(tree, account, say)
    if _is_readable(tree):
        return
    for path in (*tree.rglob("*"), tree):
        _widen(path, 0o005 if path.stat().st_mode & 0o100 else 0o004, account)
    say(f"made the programs in {tree} readable for {account.name}, who runs the servers")


def _is_readable(tree: Path) -> bool:
    """As far as one file tells: an installer opens all of them or none."""
    return all(path.stat().st_mode & 0o004 for path in islice(filter(Path.is_file, tree.rglob("*")), 1))


def _may_pass(folder: Path, account: OsUser) -> bool:
    state = folder.stat()
    if state.st_uid == account.uid:
        return bool(state.st_mode & 0o100)
    if state.st_gid == account.gid:
        return bool(state.st_mode & 0o010)
    return bool(state.st_mode & 0o001)


def _widen(path: Path, bits: int, account: OsUser) -> None:
    try:
        path.chmod(path.stat().st_mode & 0o7777 | bits)
    except OSError as error:
        raise LocalError(
            f"{account.name}, who runs the servers because PostgreSQL refuses root, cannot get to {path}, "
            f"and its mode cannot be changed ({error.strerror}): set WORKER_DATA_DIR to another folder, "
            "or run worker as a normal user"
        ) from error
