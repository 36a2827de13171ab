"""More than one of what there should be one of, and clocks that disagree."""

from functools import partial

from bulk_dispatch.domain.status import Status
from tests.faults import clock
from tests.faults.cases.case import Case
from tests.faults.world import Batch, World
from tests.waiting import eventually


def two_beats(world: World, batch: Batch) -> None:
    with world.second_fleet(names=("beat",)):
        world.enqueue(batch)
        world.await_settled(batch, within=60)


def two_fleets(world: World, batch: Batch) -> None:
    """Both at work on one campaign; one is killed in the middle of it."""
    with world.second_fleet() as second:
        world.enqueue(batch)
        world.await_status(batch, Status.SENDING, Status.SENT)
        second.kill("bulk2", "poll2")
        batch.over()
        world.await_settled(batch, within=60)


def wrong_clock(world: World, batch: Batch, *, seconds: int) -> None:
    """Only hosts whose clock is wrong have a hand free, and one dies in mid-package; then the others wake."""
    with clock.swept(), world.second_fleet(extra_env=clock.offset(seconds)) as second:
        with world.fleet.stopped("bulk"), world.fleet.stopped("poll"):
            middle = len(batch.messages) // 2
            world.enqueue(batch, slice(middle))
            world.await_settled(batch, within=60)
            first_life = second.pid("bulk2")
            world.provider.script({"do": "kill_after", "when": {"command": "message"}, "times": 1})
            world.enqueue(batch, slice(middle, None))
            world.provider.await_met()
        batch.over()
        eventually(lambda: second.pid("bulk2") != first_life)


def clocks_apart(world: World, batch: Batch, *, seconds: int) -> None:
    """A host so far off that by its clock every task in hand is abandoned, beside one that is right."""
    with clock.swept(), world.second_fleet(extra_env=clock.offset(seconds)) as second:
        world.enqueue(batch)
        world.await_settled(batch, within=60)
        second.kill("beat2", "bulk2", "poll2")
        batch.over()


def clock_set(world: World, batch: Batch, *, seconds: int) -> None:
    """Only a host whose clock is set in the middle of a campaign is at work; later it is set right again."""
    steps = clock.Steps.at(world.settings.data_dir / f"clock{seconds:+d}")
    with clock.swept(), world.second_fleet(extra_env=steps.environment) as second:
        with world.fleet.stopped("bulk"), world.fleet.stopped("poll"), world.fleet.stopped("beat"):
            third = len(batch.messages) // 3
            world.enqueue(batch, slice(third))
            world.await_status(batch, Status.SENDING, Status.SENT)
            steps.to(seconds)
            world.enqueue(batch, slice(third, 2 * third))
            world.await_settled(batch, within=60)
            steps.to(0)
            world.enqueue(batch, slice(2 * third, None))
            world.await_settled(batch, within=60)
        second.kill("beat2", "bulk2", "poll2")
        batch.over()


def enqueued_twice(world: World, batch: Batch) -> None:
    """The application runs its file again, in the middle of the first run."""
    world.enqueue(batch)
    world.await_status(batch, Status.SENDING, Status.SENT)
    world.dispatcher.enqueue_many(batch.messages)


DOUBLES = (
    Case("two_beats", two_beats),
    Case("two_fleets", two_fleets, messages=2000),
    Case("clock_five_minutes_ahead", partial(wrong_clock, seconds=300)),
    Case("clock_five_minutes_behind", partial(wrong_clock, seconds=-300)),
    Case("clock_two_hours_ahead", partial(clocks_apart, seconds=7200)),
    Case("clock_set_back_an_hour", partial(clock_set, seconds=-3600)),
    Case("clock_set_forward_an_hour", partial(clock_set, seconds=3600)),
    Case("the_same_file_again", enqueued_twice, messages=2000),
)
