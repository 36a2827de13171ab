"""The random phase: kill -9 at random instants, while a campaign flows over several workers."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bulk_dispatch.domain.message import Lane
from tests.faults import world as worlds
from tests.faults.fleet import Fleet
from tests.faults.matrix import Result, judged
from tests.faults.world import EVERY, Batch, World
from tests.waiting import eventually

NAME = "random_kills"
QUICK = ("sync", "async", "far", "webcom")  # hundreds of messages a request
ROUTES = (*QUICK, *(name for name in EVERY if name not in QUICK))
TURNS = (*QUICK * 19, *ROUTES)  # who takes a message a request is a hundred times slower
URGENT = 20  # one message in so many
CHUNK = 2_000
AHEAD = 30_000  # messages handed over and not settled: enough for every worker to have its hands full
PAUSE = (0.1, 1.1)  # seconds between two kills, shortest and longest
VICTIMS = {"child": 45, "worker": 35, "beat": 8, "provider": 12}  # out of a hundred
SETTLED_WITHIN = 240.0


@dataclass
class Chaos:
    """Who is killed next, and how far it has come."""

    world: World
    second: Fleet  # prefork: its pool children are killed one by one
    random: random.Random
    kills: int
    batch: Batch
    watch: Callable[[str], None]
    fed: threading.Event = field(default_factory=threading.Event)
    failure: list[Exception] = field(default_factory=list)

    def run(self) -> None:
        """Until all has been handed over and enough were killed."""
        feeder = threading.Thread(target=self._feed, name="feeder", daemon=True)
        feeder.start()
        while self.world.kills < self.kills or not self.fed.is_set():
            self._kill_one()
            handed_over = f"{len(self.batch.handed_over):,} messages handed over"
            self.watch(f"{self.world.kills} kills, {handed_over}")
            time.sleep(self.random.uniform(*PAUSE))
        feeder.join()
        for problem in self.failure:
            raise problem

    def _feed(self) -> None:
        try:
            for start in range(0, len(self.batch.messages), CHUNK):
                eventually(self._has_room, within=120, every=0.2)
                self.world.enqueue(self.batch, slice(start, start + CHUNK))
        except Exception as problem:  # told by `run`, in the thread that counts
            self.failure.append(problem)
        finally:
            self.fed.set()

    def _has_room(self) -> bool:
        """Not too much at once, and not all of it before the last ones are killed."""
        handed_over = len(self.batch.handed_over)
        due = len(self.batch.messages) * self.world.kills / self.kills
        return handed_over <= due and handed_over - self.world.settled_of(self.batch) < AHEAD

    def _kill_one(self) -> None:
        [kind] = self.random.choices(list(VICTIMS), weights=list(VICTIMS.values()))
        kill: Callable[[], None] = {
            "child": self._kill_child,
            "worker": self._kill_worker,
            "beat": self._kill_beat,
            "provider": self._kill_provider,
        }[kind]
        kill()

    def _kill_child(self) -> None:
        children = self.second.children(self.random.choice(["urgent2", "bulk2", "bulk2", "poll2"]))
        if children:
            self.second.kill_process(self.random.choice(children))

    def _kill_worker(self) -> None:
        name = self.random.choice(["urgent", "bulk", "bulk", "poll"])
        fleet, suffix = self._one_of_the_fleets()
        fleet.kill(name + suffix)

    def _kill_beat(self) -> None:
        fleet, suffix = self._one_of_the_fleets()
        fleet.kill("beat" + suffix)

    def _kill_provider(self) -> None:
        """Every other time let it come back before the next kill. On a slow machine it would be away for most
        of the phase, and kills while a campaign stands still for want of it show little."""
        self.world.provider.kill()
        if self.random.random() < 0.5:
            eventually(self.world.provider.answers, within=60)

    def _one_of_the_fleets(self) -> tuple[Fleet, str]:
        return self.random.choice([(self.world.fleet, ""), (self.second, "2")])


def play(
    parent: Path,
    seed: int,
    messages: int,
    kills: int,
    log: Callable[[str], None],
    watch: Callable[[str], None],
) -> Result:
    """The random phase in a world of its own. The same seed chooses the same victims after the same pauses;
    what they were doing at that moment is the machine's."""
    watch("starting two fleets")
    with (
        worlds.running(parent, log, package_items=1000, parallel=8) as world,
        world.second_fleet(pool="prefork") as second,
    ):
        batch = world.batch(NAME, messages, TURNS)
        batch.messages[::URGENT] = [replace(one, lane=Lane.URGENT) for one in batch.messages[::URGENT]]
        chaos = Chaos(world, second, random.Random(f"{seed}:{NAME}"), kills, batch, watch)
        return judged(world, batch, chaos.run, ROUTES, SETTLED_WITHIN)
