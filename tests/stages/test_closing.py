"""Closing: beat has the books closed, step by step, and whoever reads them is told the same as before."""

from bulk_dispatch.ledger.audit import audit
from bulk_dispatch.ledger.totals import Closed
from bulk_dispatch.ledger.transitions import enqueue
from bulk_dispatch.stages.closing import close
from tests.factories import messages
from tests.stages.world import World
from tests.waiting import eventually


def test_what_was_there_at_one_visit_is_summed_up_at_a_later_one(world: World) -> None:
    with world.runtime.ledger.begin() as connection:
        enqueue(connection, messages(3))
    before = world.books()

    assert close(world.runtime) == Closed()
    assert eventually(lambda: close(world.runtime).rows)  # once other tests on this server are done
    assert close(world.runtime) == Closed()

    assert world.books() == before
    with world.runtime.ledger.snapshot() as connection:
        assert audit(connection) == ()
