"""In doubt where nobody can be asked: held and listed, decided by a policy, or by a person."""

from functools import partial

from bulk_dispatch.domain.status import FINAL, Status
from tests.faults.cases.case import Case
from tests.faults.tally import Pardon
from tests.faults.world import Batch, World

HELD = ("held",)  # nobody is asked there


def unanswered(world: World, batch: Batch) -> None:
    """Taken, and not a word of it."""
    world.provider.script({"do": "drop_after", "when": {"command": "message"}, "times": 2})
    world.enqueue(batch)
    world.provider.await_met(2)


def died(world: World, batch: Batch, *, point: str = "kill_after") -> None:
    """Our dispatcher died; the provider has it, or has it not."""
    world.provider.script({"do": point, "when": {"command": "message"}, "times": 1})
    world.enqueue(batch)
    world.provider.await_met()
    batch.over()


def settled_by_hand(world: World, batch: Batch) -> None:
    """An operator asks the provider by telephone, and writes down what they say."""
    died(world, batch)
    world.await_settled(batch, within=60)
    taken = world.taken(batch)
    doubtful = {client_id for client_id, status in world.statuses(batch).items() if status is Status.IN_DOUBT}
    resolve(world, "sent", *(doubtful & taken))
    resolve(world, "requeue", *(doubtful - taken))
    batch.over()  # until then it was a person's turn
    world.await_status(batch, *FINAL, least=len(batch.messages), within=60)


def resolve(world: World, decision: str, *which: str) -> None:
    """What an operator types."""
    if which:
        world.command("resolve", *which, "--as", decision, "--reason", "asked by telephone", "--json")


DOUBT = (
    Case("doubt_is_held_and_listed", unanswered, routes=HELD),
    Case("doubt_after_a_death_is_held_and_listed", died, routes=HELD),
    Case("doubt_settled_by_hand", settled_by_hand, routes=HELD),
    Case(
        "doubt_with_policy_fail",
        died,
        routes=HELD,
        in_doubt="fail",
        pardon=Pardon(statuses=frozenset({Status.FAILED})),
    ),
    # One package, not taken, for once: what they have, this policy sends twice, as its owner wants it.
    Case(
        "doubt_with_policy_resend",
        partial(died, point="kill_before"),
        messages=150,
        routes=HELD,
        in_doubt="resend",
    ),
)
