"""Receipts: early, late, twice, out of order, of strangers; and at the same moment as everybody else."""

import logging
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from bulk_dispatch.domain.content import ViberSms
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Ledger, LedgerError, receipts
from bulk_dispatch.ledger.queries import history
from bulk_dispatch.ledger.transitions import Package, Transition, settle
from bulk_dispatch.providers.interface import StatusReport
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.outcomes import first_looks, name_messages
from bulk_dispatch.stages.receipts import ReceiptCounts, match, take
from bulk_dispatch.stages.status_reports import requeue
from tests.conftest import Setup
from tests.factories import message, messages
from tests.ledger.book import Book, at_once, blocked

SECRET = "a-secret-of-some-length"
ENDS = (Status.DELIVERED, Status.UNDELIVERABLE, Status.EXPIRED, Status.REJECTED, Status.CANCELLED)
ON_THE_WAY = [status for status in Status if status not in (*ENDS, Status.UNCONFIRMED)]
AT = datetime(2031, 5, 1, 12, tzinfo=UTC)  # not before the message was enqueued


@dataclass(frozen=True)
class Desk:
    """Routes whose providers push, and the book."""

    runtime: Runtime
    book: Book

    def send(self, offered: list[Message], status: Status = Status.SENT) -> Package:
        """A package of them that has left; each is called after its client id."""
        package = self.book.package(offered)
        if status is not Status.SENDING:
            self.answer(package, status)
        return package

    def answer(self, package: Package, status: Status = Status.SENT) -> None:
        """Write the answer to the sending, as dispatch does."""
        self.book.settle(package, status)
        self.name(package)

    def name(self, package: Package) -> None:
        told = [
            (item.id, StatusReport(item.reference, Status.SENT, provider_message_id=f"p-{item.id}"))
            for item in package.items
        ]
        route = self.book.package_row(package.id).route
        with self.book.ledger.begin() as connection:
            name_messages(self.runtime.routes[route], connection, told)

    def take(self, told: Mapping[str, Iterable[DeliveryReceipt]]) -> ReceiptCounts:
        given = {route: list(some) for route, some in told.items()}
        return take(self.runtime.ledger, self.runtime.routes, given)

    def match(self, route: str = "smart") -> ReceiptCounts:
        return match(self.runtime, route)

    def walked(self, client_id: str = "client-1") -> list[str]:
        found = self.book.do(history, client_id)
        assert found is not None
        return [event.to_status for event in found.events]

    def kept(self) -> int:
        return int(self.book.one("SELECT count(*) FROM unmatched_receipts"))

    def poll_in(self, package: Package) -> timedelta:
        found: timedelta = self.book.one("SELECT poll_at - now() FROM packages WHERE id = :id", id=package.id)
        return found


@pytest.fixture
def desk(setup: Setup) -> Desk:
    common = {"url": "http://127.0.0.1:1", "webhook_secret": SECRET}
    login = {"login": "shop", "password": "secret", **common}
    runtime = setup.runtime(
        smart={"provider": "smartswitch", **login},
        webcom={"provider": "webcom-xml", **login},
        alpha={"provider": "alphasms-xml", **common},
    )
    return Desk(runtime, Book(runtime.ledger))


def said(
    package: Package, status: Status | None = Status.DELIVERED, **changes: object
) -> list[DeliveryReceipt]:
    """A receipt for each message."""
    return [DeliveryReceipt(f"p-{item.id}", status, **changes) for item in package.items]  # type: ignore[arg-type]


# -- what it says


@pytest.mark.parametrize("status", ENDS)
def test_an_end_is_reported(desk: Desk, status: Status) -> None:
    package = desk.send([message(route="smart")])
    told = desk.take({"smart": said(package, status, code="x", happened_at=AT)})
    assert told == ReceiptCounts(receipts=1, ended=1)
    assert desk.walked()[-2:] == ["sent", status]
    last = desk.book.events()[-1]
    assert (last.type, last.code, last.happened_at) == ("report", "x", AT)
    assert desk.book.package_row(package.id).state == PackageState.CLOSED


@pytest.mark.parametrize("status", [*ON_THE_WAY, None])
def test_what_is_no_end_changes_nothing_and_is_not_kept(desk: Desk, status: Status | None) -> None:
    package = desk.send([message(route="smart")])
    told = desk.take({"smart": [*said(package, status), DeliveryReceipt("stranger", status)]})
    assert told == ReceiptCounts(receipts=2)
    assert desk.walked()[-1] == "sent"


def test_a_word_we_do_not_know_is_counted_and_changes_nothing(desk: Desk) -> None:
    package = desk.send([message(route="smart")])
    assert desk.take({"smart": said(package, None, code="flew", strange=True)}) == ReceiptCounts(
        receipts=1, strange=1
    )
    assert desk.walked()[-1] == "sent"


def test_what_is_not_committed_is_not_told_of_either(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """It is tried again, five times a second."""
    away = Ledger.connect("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    told = {"smart": [DeliveryReceipt("p-1", None, code="flew", strange=True)]}
    with caplog.at_level(logging.DEBUG, "bulk_dispatch"):
        with pytest.raises(LedgerError):
            take(away, desk.runtime.routes, told)
        assert caplog.messages == []
        desk.take(told)
    assert "unknown_codes route=smart count=1 codes=flew" in caplog.messages


def test_a_late_one_moves_what_was_given_up(desk: Desk) -> None:
    package = desk.send([message(route="smart")])
    desk.book.report(package, Status.UNCONFIRMED)
    assert desk.take({"smart": said(package)}).ended == 1
    assert desk.walked()[-2:] == ["unconfirmed", "delivered"]


def test_a_package_is_closed_by_its_last_receipt_and_its_clock_left_alone(desk: Desk) -> None:
    package = desk.send(messages(3, route="smart"))
    before = desk.book.package_row(package.id).poll_at
    for ended, receipt in enumerate(said(package), 1):
        desk.take({"smart": [receipt]})
        row = desk.book.package_row(package.id)
        assert (row.state, row.poll_at) == (("settled", before) if ended < 3 else ("closed", None))


# -- twice, and out of order


def test_the_first_end_counts_within_a_batch(desk: Desk) -> None:
    package = desk.send([message(route="smart")])
    words = [Status.SENT, Status.EXPIRED, Status.DELIVERED, Status.EXPIRED]
    told = desk.take({"smart": [one for word in words for one in said(package, word)]})
    assert told == ReceiptCounts(receipts=4, ended=1)
    assert desk.walked()[-2:] == ["sent", "expired"]


def test_the_first_end_counts_over_time(desk: Desk) -> None:
    package = desk.send([message(route="smart")])
    assert desk.take({"smart": said(package, Status.EXPIRED)}).ended == 1
    for word in (Status.EXPIRED, Status.DELIVERED, Status.SENT):
        assert desk.take({"smart": said(package, word)}) == ReceiptCounts(receipts=1)
    assert desk.walked()[-2:] == ["sent", "expired"]


def test_that_there_is_no_report_gives_way_to_one(desk: Desk) -> None:
    package = desk.send([message(route="smart")])
    both = said(package, Status.UNCONFIRMED) + said(package, Status.DELIVERED)
    assert desk.take({"smart": both}).ended == 1
    assert desk.walked()[-1] == "delivered"


# -- channels, and who has read it


def test_the_end_of_a_first_channel_is_none_for_what_falls_back(desk: Desk) -> None:
    falling_back = ViberSms(text="Hello", sms_text="Hello")
    package = desk.send([message(route="webcom", text="", content=falling_back)])
    told = desk.take({"webcom": said(package, Status.UNDELIVERABLE, first_channel=True)})
    assert (told.ended, desk.walked()[-1]) == (0, "sent")
    assert desk.take({"webcom": said(package, Status.DELIVERED)}).ended == 1


def test_the_end_of_a_first_channel_is_the_end_where_there_is_no_other(desk: Desk) -> None:
    package = desk.send([message(route="webcom")])
    assert desk.take({"webcom": said(package, Status.UNDELIVERABLE, first_channel=True)}).ended == 1


@pytest.mark.parametrize("apart", [True, False])
def test_that_it_was_read_is_noted_once_after_the_delivery(desk: Desk, apart: bool) -> None:
    package = desk.send([message(route="webcom")])
    receipts_ = [*said(package), *said(package, read=True, happened_at=AT), *said(package, read=True)]
    for batch in [[one] for one in receipts_] if apart else [receipts_]:
        desk.take({"webcom": batch})
    assert desk.book.one("SELECT read_at FROM messages") == AT
    assert desk.walked()[-2:] == ["delivered", "delivered"]


def test_what_did_not_arrive_was_not_read(desk: Desk) -> None:
    package = desk.send([message(route="webcom")])
    told = desk.take({"webcom": said(package, Status.EXPIRED) + said(package, read=True)})
    assert (told.ended, told.read) == (1, 0)


# -- early


def test_an_early_one_is_kept_and_matched_when_its_message_is_sent(desk: Desk) -> None:
    package = desk.send([message(route="smart")], Status.SENDING)
    assert desk.take({"smart": said(package, happened_at=AT)}) == ReceiptCounts(receipts=1, kept=1)
    assert desk.match() == ReceiptCounts()
    desk.answer(package)
    assert desk.match() == ReceiptCounts(receipts=1, ended=1)
    assert (desk.walked()[-2:], desk.kept()) == (["sent", "delivered"], 0)
    assert desk.book.events()[-1].happened_at == AT


def test_of_strangers_nothing_is_left_after_an_hour(desk: Desk) -> None:
    desk.take({"smart": [DeliveryReceipt("stranger", Status.DELIVERED)]})
    desk.book.rows("UPDATE unmatched_receipts SET at = at - CAST('61 min' AS interval)")
    assert desk.match() == ReceiptCounts(dropped=1)


@pytest.mark.slow
def test_of_too_many_strangers_the_oldest_go(desk: Desk) -> None:
    desk.book.rows(
        "INSERT INTO unmatched_receipts (route, provider_message_id) "
        "SELECT 'smart', 'stranger' FROM generate_series(0, :most)",
        most=receipts.MOST,
    )
    assert desk.match() == ReceiptCounts(dropped=1)
    assert desk.kept() == receipts.MOST


def test_one_route_cannot_speak_of_another(desk: Desk) -> None:
    package = desk.send([message(route="smart")])
    assert desk.take({"webcom": said(package)}) == ReceiptCounts(receipts=1, kept=1)
    assert desk.walked()[-1] == "sent"


@pytest.mark.parametrize("name", ["", "\x00", "p\n1", "\ud800", "9" * 65, "9" * 100_000])
def test_what_cannot_be_a_name_never_reaches_the_book(desk: Desk, name: str) -> None:
    package = desk.send([message(route="smart")])
    told = desk.take(
        {
            "smart": [DeliveryReceipt(name, Status.DELIVERED), *said(package)],
            "alpha": [DeliveryReceipt(name, None)],
        }
    )
    assert told == ReceiptCounts(receipts=3, ended=1)


@pytest.mark.parametrize("year", [1, 1999, 2100, 9999])
@pytest.mark.parametrize("code", ["\x00", "\ud800", "x" * 100_000])
def test_what_the_book_cannot_hold_is_left_out_of_a_word(desk: Desk, year: int, code: str) -> None:
    package = desk.send([message(route="smart")], Status.SENDING)
    desk.take({"smart": said(package, code=code, happened_at=AT.replace(year=year))})
    desk.answer(package)
    assert desk.match().ended == 1
    last = desk.book.events()[-1]
    assert (last.code, last.happened_at) == (None, None)


# -- in doubt


@pytest.mark.parametrize("status", [*ENDS, Status.UNCONFIRMED])
def test_an_end_of_what_is_in_doubt_says_that_they_have_it(desk: Desk, status: Status) -> None:
    package = desk.send([message(route="smart")], Status.IN_DOUBT)
    told = desk.take({"smart": said(package, status, code="x", happened_at=AT) * 2})
    assert told == ReceiptCounts(receipts=2, settled=1, ended=1)
    assert desk.walked()[-3:] == ["in_doubt", "sent", status]
    settled, reported = desk.book.events()[-2:]
    assert (settled.type, settled.note, settled.code) == ("settle", "told by a receipt", "x")
    assert (reported.type, reported.code, reported.happened_at) == ("report", "x", AT)
    row = desk.book.package_row(package.id)
    assert (row.state, row.poll_at, row.rescue_at, row.in_doubt_since) == (
        PackageState.CLOSED,
        None,
        None,
        None,
    )
    assert desk.book.books().unbalanced == ()


def test_one_kept_while_it_was_on_the_wire_settles_the_doubt_that_came_of_it(desk: Desk) -> None:
    package = desk.send([message(route="smart")], Status.SENDING)
    assert desk.take({"smart": said(package)}).kept == 1
    desk.answer(package, Status.IN_DOUBT)
    assert desk.match() == ReceiptCounts(receipts=1, settled=1, ended=1)
    assert (desk.walked()[-3:], desk.kept()) == (["in_doubt", "sent", "delivered"], 0)


def test_what_nobody_tells_of_stays_in_doubt(desk: Desk) -> None:
    package = desk.send(messages(3, route="smart"), Status.IN_DOUBT)
    before = desk.book.package_row(package.id)
    desk.take({"smart": said(package)[:1]})
    assert list(desk.book.statuses().values()) == ["delivered", "in_doubt", "in_doubt"]
    row = desk.book.package_row(package.id)
    assert (row.state, row.rescue_at, row.in_doubt_since, row.poll_at) == (
        PackageState.IN_DOUBT,
        before.rescue_at,
        before.in_doubt_since,
        None,
    )


def test_the_end_of_a_first_channel_says_that_they_have_it_and_no_more(desk: Desk) -> None:
    falling_back = ViberSms(text="Hello", sms_text="Hello")
    package = desk.send([message(route="webcom", text="", content=falling_back)], Status.IN_DOUBT)
    told = desk.take({"webcom": said(package, Status.UNDELIVERABLE, first_channel=True)})
    assert (told, desk.walked()[-2:]) == (ReceiptCounts(receipts=1, settled=1), ["in_doubt", "sent"])
    row = desk.book.package_row(package.id)
    assert (row.state, row.poll_at is None, row.rescue_at) == (PackageState.SETTLED, False, None)
    assert desk.take({"webcom": said(package)}) == ReceiptCounts(receipts=1, ended=1)


def test_what_was_in_doubt_may_have_been_read(desk: Desk) -> None:
    package = desk.send([message(route="webcom")], Status.IN_DOUBT)
    told = desk.take({"webcom": said(package, read=True, happened_at=AT)})
    assert told == ReceiptCounts(receipts=1, settled=1, ended=1, read=1)
    assert desk.book.one("SELECT read_at FROM messages") == AT


def test_a_hint_settles_no_doubt(desk: Desk) -> None:
    package = desk.send([message()], Status.IN_DOUBT)
    assert desk.take({"alpha": said(package, None)}) == ReceiptCounts(receipts=1)
    assert desk.walked()[-1] == "in_doubt"


def test_what_rescue_queues_again_at_the_same_moment_stays_queued(desk: Desk) -> None:
    """The receipt is about the first copy, and nothing that was written of it is unsaid."""
    package = desk.send([message(route="smart")], Status.IN_DOUBT)
    line = desk.runtime.routes["smart"]
    [item] = package.items
    with desk.book.ledger.begin() as rescuing:
        moves = [requeue(desk.runtime, line, package.id, item, tried=True)]
        settle(rescuing, moves, first_looks(line, [package.id]))
        taking = blocked(desk.book, lambda _: desk.take({"smart": said(package)}))
    assert taking.result() == ReceiptCounts(receipts=1)
    assert desk.walked()[-2:] == ["in_doubt", "queued"]
    assert desk.book.books().unbalanced == ()


# -- hints


def test_a_hint_brings_the_look_at_its_package_nearer(desk: Desk) -> None:
    package, other = desk.send([message(1)]), desk.send([message(2)])
    reference = desk.book.one("SELECT reference FROM messages WHERE client_id = 'client-1'")
    assert desk.take({"alpha": [DeliveryReceipt(str(reference), None)]}) == ReceiptCounts(
        receipts=1, sooner=1
    )
    assert desk.poll_in(package) <= receipts.GATHER
    assert desk.poll_in(other) > receipts.GATHER
    assert desk.walked()[-1] == "sent"


def test_a_hint_says_no_more_than_that(desk: Desk) -> None:
    package = desk.send([message()])
    assert desk.take({"alpha": said(package, Status.DELIVERED) * 2}).sooner == 1
    assert desk.walked()[-1] == "sent"


def test_an_early_hint_is_kept_and_one_about_what_has_ended_idle(desk: Desk) -> None:
    package = desk.send([message()], Status.SENDING)
    assert desk.take({"alpha": said(package, None)}).kept == 1
    desk.answer(package)
    assert desk.match("alpha").sooner == 1
    desk.book.report(package, Status.DELIVERED)
    assert desk.take({"alpha": said(package, None)}) == ReceiptCounts(receipts=1)


# -- at the same moment


def test_a_receipt_beside_the_answer_to_the_sending_is_not_lost(desk: Desk) -> None:
    """Neither sees the other; the next visit brings them together."""
    package = desk.send([message(route="smart")], Status.SENDING)
    line = desk.runtime.routes["smart"]
    [item] = package.items
    with desk.book.ledger.begin() as answering:  # dispatch has written, and is about to commit
        moves = [Transition(item.id, package.id, Status.SENT)]
        settle(answering, moves, first_looks(line, [package.id]))
        name_messages(
            line,
            answering,
            [(item.id, StatusReport(item.reference, Status.SENT, provider_message_id=f"p-{item.id}"))],
        )
        assert desk.take({"smart": said(package)}) == ReceiptCounts(receipts=1, kept=1)
        assert desk.match() == ReceiptCounts()
    assert (desk.walked()[-1], desk.kept()) == ("sent", 1)
    assert desk.match().ended == 1
    assert (desk.walked()[-1], desk.kept()) == ("delivered", 0)


def test_a_receipt_waits_for_who_looks_at_its_package_and_then_respects_it(desk: Desk) -> None:
    package = desk.send([message(route="smart")])
    line = desk.runtime.routes["smart"]
    [item] = package.items
    with desk.book.ledger.begin() as polling:
        news = [Transition(item.id, package.id, Status.EXPIRED)]
        settle(polling, (), first_looks(line, [package.id]), news=news)
        taking = blocked(desk.book, lambda _: desk.take({"smart": said(package)}))
    assert taking.result() == ReceiptCounts(receipts=1)
    assert desk.walked()[-2:] == ["sent", "expired"]


@pytest.mark.slow
def test_many_who_take_the_same_in_any_order_never_block_each_other(desk: Desk) -> None:
    """Packages are locked in one order, whatever routes they are of and whoever comes: no deadlock."""
    packages = {
        route: [desk.send(messages_of(route, at), Status.SENT) for at in range(4)] for route in ROUTES
    }
    everything = [
        (route, receipt)
        for route, some in packages.items()
        for package in some
        for receipt in said(package, read=True)
    ]

    def take_all(seed: int) -> int:
        mine = random.Random(seed).sample(everything, len(everything))
        ended = 0
        for at in range(0, len(mine), 20):
            told: dict[str, list[DeliveryReceipt]] = {}
            for route, receipt in mine[at : at + 20]:
                told.setdefault(route, []).append(receipt)
            ended += desk.take(told).ended
        return ended

    ended = at_once([lambda seed=seed: take_all(seed) for seed in range(6)])  # type: ignore[misc]
    assert sum(ended) == len(packages["smart"]) * 20 * 2
    assert desk.book.books().unbalanced == ()
    assert desk.book.one("SELECT count(*) FROM messages WHERE status = 'delivered'") == sum(ended)


ROUTES = ("smart", "alpha", "webcom")


def messages_of(route: str, place: int) -> list[Message]:
    return [message(ROUTES.index(route) * 1000 + place * 20 + one, route=route) for one in range(20)]
