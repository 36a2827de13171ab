"""Receipts that come early, late, again, out of order, for nobody, or from nobody; and a door that dies over
them.

Two providers push: webcom again until it is heard, SMARTSwitch once. What the second says to a dead door is
lost, and such messages end unconfirmed.
"""

import time
from functools import partial
from typing import Any

import httpx

from bulk_dispatch.domain.status import Status
from bulk_dispatch.sandbox.routes import SANDBOX_RECEIPTS as SECRET
from tests.faults.cases.case import Case
from tests.faults.world import Batch, World
from tests.waiting import eventually

PUSHED = ("webcom", "smartswitch")
FORGED = 300
DEFAULT_QUEUE = "web"  # of its process


def pushed(world: World, batch: Batch, *, rules: list[dict[str, Any]]) -> None:
    """They push by a script, and a while longer."""
    world.provider.script(*rules)
    world.enqueue(batch)
    world.provider.await_met()
    world.await_settled(batch, within=60)
    world.provider.script()


def forged(world: World, batch: Batch) -> None:
    """Strangers push ends of messages, some with a good guess of the ids, none with the secret; and one who
    knows the secret pushes what is no receipt."""
    world.enqueue(batch)
    with httpx.Client(base_url=world.door) as stranger:
        for number in range(FORGED):
            body = f"message_id={1_000_000_000_000 + number}&message_state=rejected"
            for path in ("smartswitch/none", f"nowhere/{SECRET}", f"webcom/{SECRET}x"):
                assert stranger.post(f"/receipts/{path}", content=body).status_code == 404
            assert stranger.post(f"/receipts/webcom/{SECRET}", content=body).status_code == 400
    batch.over()


def door_killed(world: World, batch: Batch) -> None:
    """Between taking receipts and answering, at any instant, ten times."""
    for part in range(10):
        world.enqueue(batch, slice(part * 150, (part + 1) * 150))
        world.await_status(batch, Status.SENT)
        world.web.kill(DEFAULT_QUEUE)
        eventually(world.door_answers)
    batch.over()


def door_killed_before_its_commit(world: World, batch: Batch) -> None:
    """Receipts come and cannot be written down; then the door dies over them."""
    world.enqueue(batch)
    world.await_status(batch, Status.SENT)
    with world.servers.held("TABLE journal IN SHARE MODE"):
        eventually(lambda: not world.door_answers())  # its one hand waits, with what was pushed
        world.web.kill(DEFAULT_QUEUE)
    eventually(world.door_answers)
    batch.over()


def ledger_away(world: World, batch: Batch) -> None:
    """PostgreSQL refuses connections while they push."""
    world.enqueue(batch)
    world.await_status(batch, Status.SENT)
    world.servers.postgres_proxy.refuse()
    world.servers.postgres_proxy.cut()
    time.sleep(6)
    world.servers.postgres_proxy.mend()
    eventually(world.door_answers)
    batch.over()


def case(name: str, *rules: dict[str, Any]) -> Case:
    """A case of receipts that are pushed by a script."""
    return Case(name, partial(pushed, rules=list(rules)), routes=PUSHED, messages=1000)


RECEIPTS = (
    case("receipts_before_the_answer", {"do": "early", "times": 20}),
    case("receipts_twice", {"do": "twice"}),
    case("receipts_out_of_order", {"do": "reversed"}),
    case("receipts_late", {"do": "late", "seconds": 5, "times": 20}),
    case("receipts_of_unknown_messages", {"do": "unknown", "count": 20}),
    Case("receipts_forged", forged, routes=PUSHED),
    Case("receipts_door_killed_often", door_killed, routes=PUSHED),
    Case(
        "receipts_door_killed_before_its_commit",
        door_killed_before_its_commit,
        routes=PUSHED,
        messages=1000,
    ),
    Case("receipts_with_the_ledger_away", ledger_away, routes=PUSHED),
)
