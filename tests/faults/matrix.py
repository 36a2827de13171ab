"""The matrix: plays cases one after another, and says what came of each."""

import re
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from tests.faults import world as worlds
from tests.faults.cases.case import Case
from tests.faults.tally import NONE, Pardon, Tally
from tests.faults.world import Batch, World

PROMPT = 15.0  # seconds after which it must flow again
PATIENCE = 60.0  # seconds until we give up on that

WEATHER = ("Cannot connect", "Connection to broker lost", "wakeup_not_sent", "server_unavailable")
WHEN = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+ ")


@dataclass(frozen=True)
class Result:
    """What came of one case. `flows`: seconds from the end of the fault until new messages, in both lanes of
    every route concerned, had come to their end; `settled`: until the last of the old ones had. `troubles`:
    what did not come at all."""

    name: str
    kills: int
    tally: Tally
    flows: float = 0.0
    settled: float = 0.0
    troubles: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not self.complaints()

    def complaints(self) -> list[str]:
        """What is wrong, a line each."""
        late = [f"it flowed again only after {self.flows:.1f} s"] if self.flows > PROMPT else []
        return [*self.tally.complaints(), *late, *self.troubles]


def play(world: World, case: Case) -> Result:
    """One case from start to count."""
    policy = {"in_doubt": case.in_doubt} if case.in_doubt else {}
    batch = world.batch(case.name, case.messages, case.routes, **policy)
    alive, before = world.pids(), len(world.said)
    result = judged(world, batch, lambda: case.act(world, batch), case.routes, case.within, case.pardon)
    if not case.lives:
        return result
    ended = [f"{name} has ended" for name, pid in alive.items() if world.pids().get(name) != pid]
    said = [f"said again and again: {line}" for line in repeated(world.said[before:])]
    return replace(result, troubles=(*result.troubles, *ended, *said))


def repeated(lines: Sequence[str]) -> list[str]:
    """What a process has said of its servers more than twice, whenever it was."""
    weather = (WHEN.sub("", line) for line in lines if any(words in line for words in WEATHER))
    return [line for line, times in Counter(weather).items() if times > 2]


def judged(
    world: World,
    batch: Batch,
    act: Callable[[], None],
    routes: Sequence[str],
    within: float,
    pardon: Pardon = NONE,
) -> Result:
    """Act, then wait until it flows and all is settled, then count. Whatever goes wrong is the result's; what
    cannot be counted counts as lost."""
    killed, shot = world.kills, world.provider.kills()
    flows = settled = 0.0
    troubles = []
    try:
        act()
        over_at = batch.over_at or time.monotonic()
        world.await_flow(routes, PATIENCE)
        flows = time.monotonic() - over_at
        world.await_settled(batch, within)
        settled = time.monotonic() - over_at
    except Exception as problem:
        troubles.append(told(problem, world, batch))
    try:
        world.repair()
        kills = world.kills - killed + world.provider.kills(since=shot)
        tally = world.tally(batch, pardon)
    except Exception as problem:
        troubles.append(told(problem, world, batch))
        kills, tally = 0, _uncounted(batch)
    return Result(batch.name, kills, tally, flows, settled, tuple(troubles))


def _uncounted(batch: Batch) -> Tally:
    return Tally(len(batch.handed_over), lost=tuple(one.client_id for one in batch.handed_over))


def told(problem: Exception, world: World, batch: Batch) -> str:
    """What was waited for in vain, where, and where the messages stand."""
    counts = ", ".join(f"{status} {count}" for status, count in world.status_counts(batch).items())
    return f"{_said(problem)}; the messages: {counts or 'none in the ledger'}"


def _said(problem: Exception) -> str:
    frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if "faults" in frame.filename]
    what = (str(problem) or type(problem).__name__).splitlines()[0]
    return f"{what}, in {frames[-1].name}, line {frames[-1].lineno}"


class Stage:
    """Where cases are played: in one world as long as all goes well and the pool stays, else in a new one.

    What its processes say goes to `log`; `watch` is told what is being played.
    """

    def __init__(self, parent: Path, log: Callable[[str], None], watch: Callable[[str], None]) -> None:
        self._parent, self._log, self._watch = parent, log, watch
        self._running = ExitStack()
        self._world: World | None = None
        self._pool = ""

    def play(self, case: Case) -> Result:
        """What came of a case, whatever that is."""
        self._log(f"======== {case.name}")
        try:
            world = self._of(case.pool)
            self._watch(case.about)
            result = play(world, case)
        except Exception as problem:  # a world that does not even start
            result = Result(case.name, 0, Tally(0), troubles=(_said(problem),))
        if not result.good:
            self._world = None
        return result

    def _of(self, pool: str) -> World:
        if self._world is None or self._pool != pool:
            self.close()
            self._watch(f"starting a world of {pool}")
            self._world = self._running.enter_context(worlds.running(self._parent, self._log, pool=pool))
            self._pool = pool
        return self._world

    def close(self) -> None:
        """End the world."""
        self._world = None
        self._running.close()


def run(
    cases: Iterable[Case], parent: Path, log: Callable[[str], None], watch: Callable[[str], None]
) -> Iterator[Result]:
    """Play cases, those of one pool in one world; see Stage."""
    with closing(Stage(parent, log, watch)) as stage:
        for case in sorted(cases, key=lambda case: case.pool, reverse=True):  # stable: keeps the order given
            yield stage.play(case)
