"""The matrix: plays cases one after another, and says what came of each."""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.faults import world as worlds
from tests.faults.cases.case import Case
from tests.faults.tally import Tally
from tests.faults.world import Batch, World

PROMPT = 15.0  # seconds after which it must flow again
PATIENCE = 60.0  # seconds until we give up on that


@dataclass(frozen=True)
class Result:
    """What came of one case. `flows`: seconds from the end of the fault until a new message left, on every
    route concerned; `settled`: until the last of the old ones had its end. `trouble`: what did not come."""

    name: str
    kills: int
    tally: Tally
    flows: float
    settled: float
    trouble: str = ""

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return self.tally.good and not self.trouble and self.flows <= PROMPT

    def complaints(self) -> list[str]:
        """What is wrong, a line each."""
        late = [f"it flowed again only after {self.flows:.1f} s"] if self.flows > PROMPT else []
        return [*self.tally.complaints(), *late, *([self.trouble] if self.trouble else [])]


def play(world: World, case: Case) -> Result:
    """One case from start to count."""
    policy = {"in_doubt": case.in_doubt} if case.in_doubt else {}
    batch = world.batch(case.name, case.messages, case.routes, **policy)
    killed, shot = world.fleet_kills, world.sandbox_kills()
    flows = settled = 0.0
    trouble = ""
    try:
        case.act(world, batch)
        ended = time.monotonic()
        flows = world.probe(case.routes, PATIENCE)
        world.await_settled(batch, case.within)
        settled = time.monotonic() - ended
    except Exception as problem:  # whatever it is, it is this case's, and the others are played all the same
        trouble = told(problem, world, batch)
    world.repair()
    kills = world.fleet_kills - killed + world.sandbox_kills(since=shot)
    return Result(case.name, kills, world.tally(batch, case.forgiven), flows, settled, trouble)


def told(problem: Exception, world: World, batch: Batch) -> str:
    """What was waited for in vain, where, and where the messages stand."""
    place = [frame for frame in traceback.extract_tb(problem.__traceback__) if "faults" in frame.filename][-1]
    counts = ", ".join(f"{status} {count}" for status, count in world.status_counts(batch).items())
    what = (str(problem) or type(problem).__name__).splitlines()[0]
    return f"{what}, in {place.name}, line {place.lineno}; the messages: {counts or 'none in the ledger'}"


def run(
    cases: Iterable[Case], parent: Path, log: Callable[[str], None], watch: Callable[[str], None]
) -> Iterator[Result]:
    """Play cases, those of one pool in one world. A world in which something went wrong is not used again;
    what its processes said goes to `log`. `watch` is told what is being played."""
    with ExitStack() as stack:
        world: World | None = None
        pool = ""
        for case in sorted(cases, key=lambda case: case.pool, reverse=True):  # stable: keeps the order given
            if world is None or pool != case.pool:
                stack.close()
                watch(f"starting a world of {case.pool}")
                world, pool = stack.enter_context(worlds.running(parent, log, pool=case.pool)), case.pool
            watch(case.about)
            log(f"======== {case.name}")
            result = play(world, case)
            yield result
            if not result.good:
                world = None
