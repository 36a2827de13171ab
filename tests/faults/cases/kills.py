"""kill -9 at every step of every stage. A held lock, or the sandbox, holds the process at the step."""

import time
from contextlib import ExitStack
from functools import partial

from bulk_dispatch.domain.status import FINAL, Status
from tests.faults.cases.case import Act, Case
from tests.faults.provider import ASKS, LATE, SENDS, each
from tests.faults.tally import Pardon
from tests.faults.world import Batch, World
from tests.waiting import eventually

MESSAGES = "TABLE messages IN SHARE MODE"  # no message is entered or moved
PACKAGES = "TABLE packages IN SHARE MODE"  # no package is opened or moved
JOURNAL = "TABLE journal IN SHARE MODE"  # nothing is recorded

ONE_PACKAGE = 150
LEASE = 6.0  # seconds, and one more than the routes' own


# -- ingest


def ingest_before_commit(world: World, batch: Batch) -> None:
    with world.servers.held(MESSAGES):
        world.enqueue(batch)
        world.await_lock_waiter("/* enqueue */")
        world.fleet.kill("bulk")


def ingest_after_commit(world: World, batch: Batch) -> None:
    """Redis is held still, so that what was committed cannot be acknowledged."""
    with world.servers.held(MESSAGES):
        world.enqueue(batch)
        world.await_lock_waiter("/* enqueue */")
        world.servers.redis_server.suspend()
    try:
        eventually(lambda: world.statuses(batch), every=0.01)
        world.fleet.kill("bulk")
    finally:
        world.servers.redis_server.resume()


# -- dispatch


def claim_before_commit(world: World, batch: Batch) -> None:
    with world.servers.held(PACKAGES):
        world.enqueue(batch)
        world.await_lock_waiter("INSERT INTO packages")
        world.fleet.kill("bulk")


def by_the_sandbox(world: World, batch: Batch, *, point: str, command: str, times: int = 2) -> None:
    """The sandbox kills whoever asks, at a point of the exchange; in every dialect, for `send` and
    `status`."""
    rule = {"do": point, "times": times}
    commands = {"send": SENDS, "status": ASKS}.get(command)
    when = {"provider": "alphasms-xml", "command": command}
    rules = each(rule, commands) if commands else [{**rule, "when": when}]
    world.provider.script(*rules, *([LATE] if commands is ASKS else []))
    world.enqueue(batch)
    world.provider.await_met(1 if commands else times)
    world.provider.script()


def unread(world: World, batch: Batch) -> None:
    world.provider.script({"do": "kill_unread", "times": 5})
    world.enqueue(batch)
    world.provider.await_met(5)


def while_settling(world: World, batch: Batch, *, lock: str, statement: str) -> None:
    """The answer has come, and cannot be written down."""
    world.provider.script({"do": "slow", "seconds": 0.5, "when": {"command": "*"}, "times": 1})
    world.enqueue(batch)
    world.provider.await_met()
    with world.servers.held(lock):
        world.await_lock_waiter(statement)
        world.fleet.kill("bulk")


def taken_after_the_end(world: World, batch: Batch) -> None:
    """The request lies in the socket of a provider that stands still; its sender dies before it is read."""
    with world.provider.stopped():
        world.enqueue(batch)
        eventually(world.provider.has_unread, every=0.005)
        world.fleet.kill("bulk")


def while_halving(world: World, batch: Batch) -> None:
    """One message spoils its document; the search for it dies twice."""
    bad = batch.messages[70]
    world.provider.script(
        {"do": "kill_before", "when": {"command": "message"}, "skip": 2, "times": 1},
        {"do": "kill_after", "when": {"command": "message"}, "skip": 2, "times": 1},
        {"do": "error", "code": 201, "when": {"recipient": bad.recipient}},
    )
    world.enqueue(batch)
    world.await_status(batch, Status.REJECTED, within=60)  # the search is over, and was a part of the fault


# -- poll and rescue


def report_before_commit(world: World, batch: Batch) -> None:
    """One package that has been sent, so that whoever writes is the report."""
    world.provider.script({"do": "slow", "seconds": 0.5, "when": {"command": "status"}, "times": 1})
    world.enqueue(batch)
    world.provider.await_met()
    with world.servers.held(JOURNAL):
        world.await_lock_waiter("WITH told")
        world.fleet.kill("poll")


def rescue_taking_up(world: World, batch: Batch) -> None:
    """One package, so that nobody else writes: whoever waits for the lock is rescue."""
    by_the_sandbox(world, batch, point="kill_after", command="message", times=1)
    with world.servers.held(JOURNAL):
        world.await_lock_waiter("WITH told")
        world.fleet.kill("poll")


def rescue_asking(world: World, batch: Batch) -> None:
    world.provider.script(
        {"do": "kill_after", "when": {"command": "message"}, "times": 1},
        {"do": "kill_before", "when": {"command": "status"}, "times": 1},
        {"do": "kill_after", "when": {"command": "status"}, "times": 1},
    )
    world.enqueue(batch)
    world.provider.await_met()


def rescue_settling(world: World, batch: Batch) -> None:
    world.provider.script(
        {"do": "kill_after", "when": {"command": "message"}, "times": 1},
        {"do": "slow", "seconds": 0.5, "when": {"command": "status"}, "times": 1},
    )
    world.enqueue(batch)
    world.provider.await_met()
    with world.servers.held(JOURNAL):
        world.await_lock_waiter("WITH told")
        world.fleet.kill("poll")


# -- whole processes


def stopped_beyond_its_lease(world: World, batch: Batch) -> None:
    """Others take the package up meanwhile and finish it; then its first owner wakes, and writes."""
    world.provider.script({"do": "slow", "seconds": 0.5, "when": {"command": "message"}, "times": 1})
    world.enqueue(batch)
    world.provider.await_met()
    with world.fleet.stopped("bulk"):
        world.await_status(batch, *FINAL, least=len(batch.messages), within=60)
        woken = len(world.said)
    batch.over()
    world.await_said("bulk", "package_settled", since=woken)


def late_with_a_refusal(world: World, batch: Batch) -> None:
    """It is told that nothing was taken, and stopped before it can read that. Others take the package up, and
    just then send its messages themselves; now it wakes, and wants to queue them again."""
    world.provider.script(
        {"do": "throttle", "when": {"command": "message"}, "times": 1},
        {"do": "slow", "seconds": 0.8, "when": {"command": "message"}},
    )
    with world.provider.stopped(), ExitStack() as stopped:
        world.enqueue(batch)
        eventually(world.provider.has_unread, every=0.005)
        stopped.enter_context(world.fleet.stopped("bulk"))
        sleeping = stopped.pop_all()
    with sleeping, world.second_fleet(names=("bulk",)):
        world.await_entered(batch, Status.SENDING, least=len(batch.messages), times=2)
        woken = len(world.said)
        sleeping.close()
        batch.over()
        world.await_said("bulk ", "package_settled", since=woken)
        world.await_settled(batch, within=60)


def paused_now_and_then(world: World, batch: Batch) -> None:
    """Workers held still at any instant, for longer than their leases, while others go on."""
    with world.second_fleet(names=("urgent", "bulk")):
        for part in range(3):
            world.enqueue(batch, slice(part * 1000, (part + 1) * 1000))
            world.await_status(batch, Status.SENDING)
            with world.fleet.stopped("bulk"), world.fleet.stopped("urgent"):
                time.sleep(LEASE)
        batch.over()
        world.await_settled(batch, within=60)


def in_mid_campaign(world: World, batch: Batch, *, names: tuple[str, ...]) -> None:
    world.enqueue(batch)
    world.await_status(batch, Status.SENDING, Status.SENT)
    world.fleet.kill(*names)


def every_worker_three_times(world: World, batch: Batch) -> None:
    for part in range(3):
        world.enqueue(batch, slice(part * 500, (part + 1) * 500))
        world.await_status(batch, Status.SENDING)
        world.fleet.kill("urgent", "bulk", "poll", "beat")


def pool_children(world: World, batch: Batch) -> None:
    """Every child of the pool, whatever it is doing."""
    world.provider.script({"do": "slow", "seconds": 0.5, "when": {"command": "*"}, "times": 3})
    world.enqueue(batch)
    world.provider.await_met()
    for child in world.fleet.children("bulk") + world.fleet.children("poll"):
        world.fleet.kill_process(child)


def cancel_cut_short(world: World, batch: Batch) -> None:
    """Somebody withdraws a campaign that is under way. The command is killed before it has committed, and
    again in mid-work; workers too. It is said once more, and what had left goes its way."""
    withdraw = ("cancel", "--campaign", batch.name)
    world.enqueue(batch)
    world.await_status(batch, Status.SENDING, Status.SENT)
    with world.servers.held(JOURNAL):
        world.cut_short(*withdraw, when=lambda: world.await_lock_waiter("/* cancel */"))
    world.cut_short(*withdraw, when=lambda: world.await_status(batch, Status.CANCELLED))
    world.fleet.kill("bulk", "poll")
    said = world.command(*withdraw, "--json", codes=(0, 1))
    assert not said["stopped"]  # 1 is for those that a provider gave no understandable answer about
    assert world.status_counts(batch)[Status.CANCELLED]
    batch.over()


def provider_killed(world: World, batch: Batch) -> None:
    world.enqueue(batch)
    for _ in range(3):
        world.await_status(batch, Status.SENDING, Status.SENT)
        world.provider.kill()
        eventually(world.provider.answers)


def sandbox_kills(point: str, command: str, times: int = 2) -> Act:
    """See `by_the_sandbox`."""
    return partial(by_the_sandbox, point=point, command=command, times=times)


KILLS = (
    Case("ingest_killed_before_its_commit", ingest_before_commit),
    Case("ingest_killed_between_commit_and_acknowledgement", ingest_after_commit),
    Case("claim_killed_before_its_commit", claim_before_commit),
    Case("dispatch_killed_with_its_request_unread", unread),
    Case("dispatch_killed_with_nothing_taken", sandbox_kills("kill_before", "send"), messages=1000),
    Case("dispatch_killed_with_all_taken", sandbox_kills("kill_after", "send"), messages=1000),
    Case("dispatch_killed_in_mid_answer", sandbox_kills("kill_answering", "send"), messages=1000),
    Case("dispatch_killed_when_answered", sandbox_kills("kill_answered", "send"), messages=1000),
    Case("job_killed_with_nothing_taken", sandbox_kills("kill_before", "message-async"), routes=("async",)),
    Case("job_killed_with_all_taken", sandbox_kills("kill_after", "message-async"), routes=("async",)),
    Case(
        "dispatch_killed_before_it_wrote_the_answer",
        partial(while_settling, lock=JOURNAL, statement="WITH told"),
        messages=ONE_PACKAGE,
        routes=("sync",),
    ),
    Case(
        "job_killed_before_it_wrote_its_number",
        partial(while_settling, lock=PACKAGES, statement="SET state = 'job'"),
        messages=ONE_PACKAGE,
        routes=("async",),
    ),
    Case("dispatch_killed_and_its_request_taken_later", taken_after_the_end),
    Case(
        "dispatch_killed_in_search_of_a_bad_message",
        while_halving,
        messages=ONE_PACKAGE,
        routes=("sync",),
        pardon=Pardon(refused=1),
    ),
    Case("poll_killed_asking_for_states", sandbox_kills("kill_before", "status")),
    Case("poll_killed_with_states_answered", sandbox_kills("kill_answered", "status")),
    Case("poll_killed_asking_for_a_job", sandbox_kills("kill_before", "job"), routes=("async",)),
    Case("report_killed_before_its_commit", report_before_commit, messages=ONE_PACKAGE, routes=("sync",)),
    Case("rescue_killed_taking_a_package_up", rescue_taking_up, messages=ONE_PACKAGE, routes=("sync",)),
    Case("rescue_killed_asking", rescue_asking, messages=ONE_PACKAGE, routes=("sync",)),
    Case("rescue_killed_before_its_commit", rescue_settling, messages=ONE_PACKAGE, routes=("sync",)),
    Case("worker_stopped_beyond_its_lease", stopped_beyond_its_lease, messages=ONE_PACKAGE, routes=("sync",)),
    Case(
        "worker_stopped_and_late_with_a_refusal", late_with_a_refusal, messages=ONE_PACKAGE, routes=("sync",)
    ),
    Case("workers_paused_beyond_their_leases", paused_now_and_then, messages=3000),
    Case("beat_killed", partial(in_mid_campaign, names=("beat",))),
    Case("every_worker_killed_three_times", every_worker_three_times, messages=1500),
    Case(
        "cancel_killed_in_mid_campaign",
        cancel_cut_short,
        messages=4000,
        pardon=Pardon(frozenset({Status.CANCELLED})),
    ),
    Case("provider_killed", provider_killed),
    Case("pool_children_killed", pool_children, pool="prefork"),
    Case(
        "pool_child_killed_with_all_taken", sandbox_kills("kill_after", "send"), messages=1000, pool="prefork"
    ),
    Case("pool_parent_killed", partial(in_mid_campaign, names=("bulk", "poll")), pool="prefork"),
)
