"""Closing: beat has the books closed, step by step, and whoever reads them is told the same as before."""

from bulk_dispatch.ledger.audit import audit
from bulk_dispatch.ledger.transitions import enqueue
from bulk_dispatch.stages.closing import Closed, close
from tests.factories import messages
from tests.stages.world import World


def test_what_was_there_at_one_visit_is_summed_up_at_the_next(world: World) -> None:
    with world.runtime.ledger.begin() as connection:
        enqueue(connection, messages(3))
    before = world.books()

    assert close(world.runtime) == Closed(0)
    assert close(world.runtime).rows == 1
    assert close(world.runtime) == Closed(0)

    assert world.books() == before
    with world.runtime.ledger.snapshot() as connection:
        assert audit(connection) == ()
