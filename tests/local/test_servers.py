"""The embedded pair: started, found, shared, killed, and always gone in the end."""

import os
import signal
import stat
import time
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from bulk_dispatch.local.errors import LocalError
from bulk_dispatch.local.servers.cleanup import main as end_leftovers
from bulk_dispatch.local.servers.postgres import buffers_mb
from bulk_dispatch.local.servers.server import Durability
from bulk_dispatch.local.servers.server_pair import Addresses
from bulk_dispatch.local.servers.shared import embedded, kept_running
from tests.local.world import (
    HOLD,
    PATIENCE,
    Holder,
    broker_database,
    eventually,
    kill,
    postmaster,
    processes_in,
    python,
    redis_server,
    sql,
)

pytestmark = pytest.mark.slow

FAST = Durability.KILL


@pytest.mark.parametrize(("gib", "buffers"), [(0.25, 128), (1, 256), (2, 512), (24, 512)])
def test_postgres_takes_a_quarter_of_the_memory_within_bounds(gib: float, buffers: int) -> None:
    assert buffers_mb(int(gib * 2**30)) == buffers


def test_a_first_start_gives_real_servers_that_only_we_can_reach(data_dir: Path) -> None:
    with embedded(data_dir) as addresses:
        assert str(sql(addresses, "select version()")).startswith("PostgreSQL 18")
        assert sql(addresses, "select current_database()") == "worker"
        assert sql(addresses, "show listen_addresses") == ""
        assert sql(addresses, "show fsync") == "on"
        with redis.Redis.from_url(addresses.redis_url) as client:
            wanted = {
                "port": "0",
                "maxmemory-policy": "noeviction",
                "appendonly": "yes",
                "appendfsync": "everysec",
            }
            assert {name: client.config_get(name)[name] for name in wanted} == wanted
        assert broker_database(addresses) == 1
        for private in (data_dir / "run", data_dir / "postgres/data", data_dir / "redis"):
            assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert processes_in(data_dir)

    assert not processes_in(data_dir)
    assert (data_dir / ".gitignore").read_text() == "*\n"


def test_processes_share_the_pair_and_the_last_one_stops_it(used_dir: Path) -> None:
    first, second = Holder.of(used_dir), Holder.of(used_dir)
    assert first.addresses == second.addresses
    server = postmaster(used_dir)

    first.leave()
    assert postmaster(used_dir) == server
    assert sql(second.addresses, "select 1") == 1

    second.leave()
    assert not processes_in(used_dir)


def test_one_process_may_enter_twice(used_dir: Path) -> None:
    with embedded(used_dir, FAST) as outer:
        with embedded(used_dir, FAST) as inner:
            assert inner == outer
        assert sql(outer, "select 1") == 1
    assert not processes_in(used_dir)


def test_finding_the_running_pair_is_quick(used_dir: Path) -> None:
    with embedded(used_dir, FAST):
        began = time.perf_counter()
        with embedded(used_dir, FAST):
            assert time.perf_counter() - began < 0.1


def test_a_killed_holder_leaves_the_pair_to_the_next(used_dir: Path) -> None:
    killed = Holder.of(used_dir)
    killed.kill()  # returns at the end of its output: the servers do not keep it open
    server = postmaster(used_dir)

    with embedded(used_dir, FAST) as addresses:
        assert postmaster(used_dir) == server
        assert sql(addresses, "select 1") == 1
    assert not processes_in(used_dir)


def test_leftovers_of_a_killed_holder_can_be_ended_but_not_those_in_use(used_dir: Path) -> None:
    killed, alive = Holder.of(used_dir), Holder.of(used_dir)
    killed.kill()
    end_leftovers(used_dir)
    assert sql(alive.addresses, "select 1") == 1

    alive.kill()
    end_leftovers(used_dir)
    assert not processes_in(used_dir)


def test_ctrl_c_ends_who_started_the_servers_not_the_servers(used_dir: Path) -> None:
    starter, other = Holder.of(used_dir), Holder.of(used_dir)
    os.killpg(starter.process.pid, signal.SIGINT)
    starter.process.communicate(timeout=PATIENCE.total_seconds())

    assert sql(other.addresses, "select 1") == 1
    other.leave()
    assert not processes_in(used_dir)


def test_killed_servers_start_again_with_all_their_data(used_dir: Path) -> None:
    with embedded(used_dir, FAST) as addresses:
        _write(addresses)
        kill(postmaster(used_dir))
        kill(redis_server(addresses))

    with embedded(used_dir, FAST) as again:
        assert again == addresses
        _assert_written(again)


def test_a_stop_that_was_killed_half_way_is_finished_before_the_next_start(used_dir: Path) -> None:
    holder = Holder.of(used_dir)
    _write(holder.addresses)
    server = redis_server(holder.addresses)
    holder.kill()
    (used_dir / "run/stopping").touch()
    os.kill(server, signal.SIGTERM)  # it goes on answering for up to a tenth of a second

    with embedded(used_dir, FAST) as addresses:
        assert redis_server(addresses) != server
        _assert_written(addresses)


def test_a_server_that_dies_meanwhile_is_started_by_the_next_user(used_dir: Path) -> None:
    with embedded(used_dir, FAST) as addresses:
        _write(addresses)
        kill(postmaster(used_dir))
        with embedded(used_dir, FAST):
            _assert_written(addresses)


def test_a_server_that_dies_meanwhile_comes_back_by_itself(used_dir: Path) -> None:
    said: list[str] = []
    with (
        embedded(used_dir, FAST) as addresses,
        kept_running(used_dir, FAST, said.append, every=timedelta(milliseconds=20)),
    ):
        _write(addresses)
        kill(redis_server(addresses))
        eventually(lambda: said == ["redis-server had died and was started again"])
        kill(postmaster(used_dir))
        eventually(lambda: said[1:] == ["PostgreSQL had died and was started again"])
        _assert_written(addresses)


def test_a_stale_pid_file_with_somebody_elses_number_is_no_server(used_dir: Path) -> None:
    with embedded(used_dir, FAST) as addresses:
        _write(addresses)
        kill(postmaster(used_dir))
        owner = (used_dir / "postgres/data").stat()
    stranger = python(
        "import sys, os; os.setuid(int(sys.argv[1])); print(flush=True); input()", str(owner.st_uid)
    )
    assert stranger.stdout is not None
    stranger.stdout.readline()
    pid_file = used_dir / "postgres/data/postmaster.pid"
    _, *rest = pid_file.read_text().splitlines(keepends=True)
    pid_file.write_text("".join([f"{stranger.pid}\n", *rest]))

    with embedded(used_dir, FAST) as addresses:
        _assert_written(addresses)
    stranger.communicate("\n", timeout=PATIENCE.total_seconds())


def test_a_start_killed_while_it_makes_the_database_breaks_nothing(data_dir: Path) -> None:
    drafts = data_dir / "postgres"
    interrupted = python(HOLD, str(data_dir), str(os.geteuid()))
    eventually(lambda: any(drafts.glob("draft-*/PG_VERSION")))
    interrupted.kill()
    interrupted.communicate(timeout=PATIENCE.total_seconds())
    assert not (drafts / "data").exists()

    with embedded(data_dir, FAST) as addresses:
        assert sql(addresses, "select 1") == 1
    assert not any(drafts.glob("draft-*"))


@pytest.mark.parametrize("name", ["d" * 120, "with space, 100% 'quoted'"])
def test_where_no_socket_can_live_a_short_folder_is_found_by_everybody(folder: Path, name: str) -> None:
    data_dir = folder / name / "data"
    other = Holder.of(data_dir)
    with embedded(data_dir, FAST) as addresses:
        assert addresses == other.addresses
        assert sql(addresses, "select 1") == 1
        assert broker_database(addresses) == 1
        sockets = Path(addresses.database_url.partition("?host=")[2])
        assert folder not in sockets.parents
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    other.leave()
    assert not sockets.exists()


def test_comers_and_goers_never_meet_a_server_that_is_being_stopped(used_dir: Path) -> None:
    script = """
import sys
from pathlib import Path
from tests.local.world import sql
from bulk_dispatch.local.servers.server import Durability
from bulk_dispatch.local.servers.shared import embedded
for _ in range(8):
    with embedded(Path(sys.argv[1]), Durability.KILL) as addresses:
        assert sql(addresses, "select 1") == 1
"""
    crowd = [python(script, str(used_dir)) for _ in range(3)]
    for process in crowd:
        process.communicate(timeout=2 * PATIENCE.total_seconds())
    assert [process.returncode for process in crowd] == [0, 0, 0]
    assert not processes_in(used_dir)


def test_what_postgres_refuses_is_said_and_redis_does_not_stay(used_dir: Path) -> None:
    own = used_dir / "postgres/data/own.conf"
    own.write_text("shared_buffers = 'plenty'\n")
    with (
        pytest.raises(LocalError, match=r"PostgreSQL did not start: .*shared_buffers.*plenty"),
        embedded(used_dir, FAST),
    ):
        pass
    own.unlink()
    assert not processes_in(used_dir)


def test_what_redis_refuses_is_said(used_dir: Path) -> None:
    record = used_dir / "redis/appendonly.aof"
    record.write_text("not a command\n" * 10)
    with pytest.raises(LocalError, match=r"redis-server did not start: .*file"), embedded(used_dir, FAST):
        pass
    record.unlink()
    assert not processes_in(used_dir)


def _write(addresses: Addresses) -> None:
    sql(addresses, "drop table if exists kept")
    sql(addresses, "create table kept as select 7 as seven")
    with redis.Redis.from_url(addresses.redis_url) as client:
        client.set("seven", 7)


def _assert_written(addresses: Addresses) -> None:
    assert sql(addresses, "select seven from kept") == 7
    with redis.Redis.from_url(addresses.redis_url) as client:
        assert client.get("seven") == b"7"
