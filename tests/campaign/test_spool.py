"""What is ready to leave comes back from the disk as it went there."""

from tests.factories import messages
from worker.campaign.spool import Spool
from worker.dispatcher import parcels
from worker.sms.message import Lane


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
