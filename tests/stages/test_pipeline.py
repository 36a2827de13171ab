"""All stages together: whatever goes wrong and whoever dies, all comes to its end, and nothing twice."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.status import FINAL, Status
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.server import Mix
from bulk_dispatch.stages.dispatch import dispatch
from bulk_dispatch.stages.ingest import ingest
from bulk_dispatch.stages.poll import poll
from bulk_dispatch.stages.rescue import rescue
from tests.factories import message
from tests.stages.mortal import Died, Fate, mortal
from tests.stages.world import KEY, KIND, QUICK, OpenWorld, World
from tests.waiting import eventually

pytestmark = pytest.mark.slow

LIFE = SandboxOptions(key=KEY, mix=Mix(refused=0.02), timings=QUICK)
"""A provider as in life: some are refused, some never arrive."""

WAYWARD: tuple[dict[str, Any], ...] = (
    {"do": "drop_before"},
    {"do": "drop_after"},
    {"do": "cut"},
    {"do": "truncated"},
    {"do": "empty"},
    {"do": "empty", "take": False},
    {"do": "html"},
    {"do": "wrong_root"},
    {"do": "megabyte"},
    {"do": "slow", "seconds": 1},
    {"do": "slow_before", "seconds": 1},
    {"do": "http", "code": 500},
    {"do": "http", "code": 503, "take": True},
    {"do": "http", "code": 429},
    {"do": "http", "code": 403},
    {"do": "throttle"},
    {"do": "error", "code": 200},
    {"do": "error", "code": 200, "take": True},
    {"do": "error", "code": 201},
    {"do": "error", "code": 209},
)
LISTED: tuple[dict[str, Any], ...] = (
    {"do": "missing", "share": 0.3},
    {"do": "missing", "share": 1},
    {"do": "extra", "count": 5},
    {"do": "wrong_order"},
    {"do": "duplicate_items"},
    {"do": "unknown_code"},
    *({"do": "message_code", "code": code, "share": 0.3} for code in (200, 201, 206, 212, 777)),
)
USED: dict[str, Any] = {"do": "message_code", "code": 208, "share": 0.3}
"""Of what was sent for the first time it says that it is a stranger's: that is for test_collisions."""
BY_COMMAND: dict[str, tuple[dict[str, Any], ...]] = {
    "message": (*WAYWARD, *LISTED, {"do": "message_code", "code": 203, "share": 0.1}),
    "message-async": (
        *WAYWARD,
        {"do": "job_failed", "share": 0.4},
        {"do": "job_notfound"},
        {"do": "job_notfound", "share": 0},
        {"do": "message_code", "code": 206, "share": 0.5},
    ),
    "job": (*WAYWARD, {"do": "job_notfound"}),
    "status": (*WAYWARD, *LISTED, USED),
}


def misfortunes(chance: random.Random, many: int = 60) -> list[dict[str, Any]]:
    """So many faults, each for a request or two, spread over the first requests of each kind."""
    rules = []
    for _ in range(many):
        command = chance.choice(list(BY_COMMAND))
        fault = chance.choice(BY_COMMAND[command])
        frame = {"when": {"command": command}, "skip": chance.randint(0, 2), "times": chance.randint(1, 2)}
        rules.append({**fault, **frame})
    return rules


def campaign(many: int, after: int = 0) -> list[Message]:
    """Messages over both routes and both lanes; their numbers go on after those of others."""
    return [
        message(n, route="beta" if n % 2 else "alpha", lane="urgent" if n % 10 == 0 else "bulk")
        for n in range(after + 1, after + many + 1)
    ]


def entries(offered: list[Message], size: int) -> list[tuple[Lane, list[Message]]]:
    """As producers hand them over."""
    lanes = [(lane, [m for m in offered if m.lane is lane]) for lane in Lane]
    return [(lane, part[at : at + size]) for lane, part in lanes for at in range(0, len(part), size)]


def each_was_sent_once_or_surely_never(world: World) -> None:
    """The provider's book and ours tell the same of every message."""
    world.provider.settle_down()
    times = world.provider.times()
    assert set(times.values()) == {1}
    assert world.provider.twice == 0
    rows = world.rows("SELECT reference, status FROM messages")
    assert times.keys() <= {row.reference for row in rows}
    ours = [row.status for row in rows if row.reference in times]
    theirs = world.provider.see("counts")["by_state"]
    assert {status: ours.count(status) for status in set(ours)} == theirs
    never = {row.status for row in rows if row.reference not in times}
    assert never <= {"rejected", "failed"}  # refused one by one, or given up while surely not taken


@pytest.mark.parametrize("seed", [1, 2])
def test_two_thousand_messages_and_sixty_misfortunes(open_world: OpenWorld, seed: int) -> None:
    chance = random.Random(seed)
    short = {"connect_timeout": "1s", "timeout": "400ms"}
    world = open_world(provider=LIFE, alpha=short, beta={**short, "package_items": 100})
    offered = campaign(2000)
    for lane, part in entries(offered, 90):
        world.runtime.intake.add(lane, part)
        if chance.random() < 0.1:
            world.runtime.intake.add(lane, part)  # a producer that was not sure
    world.provider.script(*misfortunes(chance))

    def one_round() -> bool:
        world.all_stages_once()
        world.reopen()
        world.passes(seconds=30)
        return world.all_final()

    eventually(one_round, within=60, every=0)

    books = world.books()
    assert books.total == 2000
    assert books.duplicates > 0
    assert books.balanced
    assert world.provider.hits() >= 40
    each_was_sent_once_or_surely_never(world)


def test_a_fleet_working_side_by_side_in_bad_weather(open_world: OpenWorld) -> None:
    """On real time: everybody does everything at once."""
    chance = random.Random(4)
    hasty: dict[str, object] = {
        "connect_timeout": "1s",
        "timeout": "400ms",
        "package_items": 40,
        "parallel": 4,
        "pause_first": "10ms",
        "pause_max": "50ms",
        "retry_first": "10ms",
        "retry_max": "50ms",
        "poll_first": "20ms",
        "poll_max": "100ms",
        "job_first": "20ms",
        "job_max": "100ms",
        "in_doubt_first": "20ms",
        "in_doubt_wait": "200ms",
        "in_doubt_wait_job": "600ms",
    }
    world = open_world(provider=LIFE, alpha=hasty, beta=hasty)
    for lane, part in entries(campaign(600), 50):
        world.runtime.intake.add(lane, part)
    world.provider.script(*misfortunes(chance))

    def hand(number: int) -> None:
        order = random.Random(number)
        work: list[Callable[[], object]] = [
            *(lambda lane=lane: world.ingest(lane) for lane in Lane),
            *(
                lambda route=route, lane=lane: world.dispatch(route, lane)
                for route in ("alpha", "beta")
                for lane in Lane
            ),
            *(lambda route=route: world.poll(route) for route in ("alpha", "beta")),
            *(lambda route=route: world.rescue(route) for route in ("alpha", "beta")),
        ]

        def one_round() -> bool:
            order.shuffle(work)
            for step in work:
                step()
            world.reopen()
            return world.all_final()

        eventually(one_round, within=40, every=0.01)

    with ThreadPoolExecutor(3) as fleet:
        list(fleet.map(hand, range(3)))

    assert world.books().total == 600
    each_was_sent_once_or_surely_never(world)


# -- death at every step


@dataclass(frozen=True)
class Scene:
    """A stage about to run, and how things came to be so. `offered` starts at a number nobody has used."""

    name: str
    route: str
    stage: Callable[[Runtime], object]
    before: Callable[[World, list[Message]], None]
    many: int = 3
    ends: frozenset[Status] = frozenset({Status.DELIVERED})

    def __str__(self) -> str:
        return self.name

    def offered(self, first: int) -> list[Message]:
        return [message(first + n, route=self.route) for n in range(self.many)]


def given(world: World, offered: list[Message]) -> None:
    world.runtime.intake.add(Lane.BULK, offered)


def queued(world: World, offered: list[Message]) -> None:
    world.enqueue(offered)


def refused_as_a_whole(world: World, offered: list[Message]) -> None:
    world.enqueue(offered)
    where = {"command": "message", "recipient": offered[0].recipient}
    world.provider.script({"do": "error", "code": 201, "when": where})


def dispatched(world: World, offered: list[Message]) -> None:
    world.enqueue(offered)
    world.dispatch(offered[0].route)
    world.provider.settle_down()
    world.passes(seconds=31)


def half_sent_job(world: World, offered: list[Message]) -> None:
    world.provider.script({"do": "job_failed", "share": 0.4, "times": 1})
    dispatched(world, offered)


def unanswered(world: World, offered: list[Message]) -> None:
    world.provider.script({"do": "drop_after", "times": 1})
    dispatched(world, offered)


def denied(world: World, offered: list[Message]) -> None:
    """In doubt, not taken, denied once, and for long enough."""
    world.provider.script({"do": "drop_before", "times": 1})
    dispatched(world, offered)
    world.rescue(offered[0].route)
    world.passes(minutes=15)


def lapsed(world: World, offered: list[Message]) -> None:
    world.enqueue(offered)
    world.claim(offered[0].route)
    world.passes(seconds=61)


def dispatching(route: str) -> Callable[[Runtime], object]:
    return lambda runtime: dispatch(runtime, route, Lane.BULK)


def polling(route: str) -> Callable[[Runtime], object]:
    return lambda runtime: poll(runtime, route)


def rescuing(route: str) -> Callable[[Runtime], object]:
    return lambda runtime: rescue(runtime, route)


# Who spoils a document is found out beside others, or left alone until its attempts are used up.
SPOILT = frozenset({Status.DELIVERED, Status.REJECTED, Status.FAILED})
SCENES = [
    Scene("ingest", "alpha", lambda runtime: list(ingest(runtime, Lane.BULK)), given),
    Scene("dispatch, sync", "alpha", dispatching("alpha"), queued),
    Scene("dispatch, async", "beta", dispatching("beta"), queued),
    Scene("dispatch, halving", "alpha", dispatching("alpha"), refused_as_a_whole, ends=SPOILT),
    Scene("poll, sync", "alpha", polling("alpha"), dispatched),
    Scene("poll, async", "beta", polling("beta"), dispatched),
    Scene("poll, a broken job", "beta", polling("beta"), half_sent_job),
    Scene("rescue, lapsed", "alpha", rescuing("alpha"), lapsed),
    Scene("rescue, taken", "alpha", rescuing("alpha"), unanswered),
    Scene("rescue, denied", "alpha", rescuing("alpha"), denied),
    Scene("rescue, a job without a number", "beta", rescuing("beta"), unanswered),
    Scene("rescue, a denied job", "beta", rescuing("beta"), denied),
]


def ends(world: World, offered: list[Message]) -> set[str]:
    """The statuses these messages have come to."""
    ids = [message.client_id for message in offered]
    found = world.rows("SELECT DISTINCT status FROM messages WHERE client_id = ANY(:ids)", ids=ids)
    return {row.status for row in found}


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_whatever_step_a_process_dies_at_all_ends_and_nothing_twice(
    open_world: OpenWorld, scene: Scene
) -> None:
    world = open_world(alpha={"attempts": 3})
    seen = []
    for steps in count():
        offered = scene.offered(100 * steps + 1)
        scene.before(world, offered)
        fate = Fate(steps)
        try:
            scene.stage(mortal(world.runtime, fate))
            break
        except Died:
            seen.append(fate.last)
        world.promise_holds()
        world.until_final(scene.route, step=400)
        assert {"delivered"} <= ends(world, offered) <= scene.ends, f"died at step {steps}, {fate.last}"
        world.mend()
        world.promise_holds()
    assert len(seen) >= 4
    assert world.until_final(scene.route, step=400).keys() <= scene.ends
    assert world.provider.taken == world.statuses()[Status.DELIVERED]


@pytest.mark.parametrize("seed", [1, 2])
def test_processes_that_die_at_random_all_the_time(open_world: OpenWorld, seed: int) -> None:
    chance = random.Random(seed)
    world = open_world(
        provider=replace(KIND, mix=Mix()), alpha={"package_items": 20}, beta={"package_items": 20}
    )
    offered = deaths = 0

    def one_round() -> bool:
        nonlocal deaths
        stages: list[Callable[[Runtime], object]] = [
            *(lambda runtime, lane=lane: list(ingest(runtime, lane)) for lane in Lane),
            *(
                lambda runtime, route=route, lane=lane: dispatch(runtime, route, lane)
                for route in ("alpha", "beta")
                for lane in Lane
            ),
            *(polling(route) for route in ("alpha", "beta")),
            *(rescuing(route) for route in ("alpha", "beta")),
        ]
        for stage in chance.sample(stages, len(stages)):
            try:
                stage(mortal(world.runtime, Fate(chance.randint(0, 25))))
            except Died:
                deaths += 1
        world.passes(seconds=30)
        return world.all_final()

    while deaths <= 20:  # how many die over one campaign depends on how fast the machine is
        for lane, part in entries(campaign(300, after=offered), 20):
            world.runtime.intake.add(lane, part)
        offered += 300
        eventually(one_round, within=60, every=0)

    assert world.books().total == offered
    assert world.statuses().keys() <= FINAL
    each_was_sent_once_or_surely_never(world)
    assert world.provider.taken == offered
