"""What is ready to leave comes back from the disk as it went there."""

from bulk_dispatch.campaign.spool import Spool
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.packing import parcels
from tests.factories import messages


def test_parcels_come_back_in_their_order() -> None:
    kept = list(parcels([*messages(1500, lane="urgent"), *messages(700, text="two\nlines \u2019")]))

    with Spool.opened() as spool:
        spool.keep(kept)
        assert spool.messages == 2200
        assert list(spool.parcels()) == list(spool.parcels()) == kept
    assert {parcel.lane for parcel in kept} == set(Lane)


def test_nothing_came_and_nothing_goes() -> None:
    with Spool.opened() as spool:
        assert (spool.messages, list(spool.parcels())) == (0, [])
