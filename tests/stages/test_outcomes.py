"""Outcomes: what a word of a provider does, whichever stage has heard it, and how it is written down."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from bulk_dispatch.domain.content import Content, Kind, Viber, ViberSms
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.package import OutboundMessage, PackageState
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.collisions import way_out
from bulk_dispatch.ledger.packages import OpenMessage
from bulk_dispatch.ledger.transitions import Looks, Package, Read, Transition
from bulk_dispatch.providers.failures import COLLISION, CREDENTIALS, MONEY
from bulk_dispatch.providers.interface import Answered, StatusReport
from bulk_dispatch.routing import accept
from bulk_dispatch.sandbox.webcom.options import WebcomOptions
from bulk_dispatch.stages.outcomes import Outcome, record
from bulk_dispatch.stages.route_health import apply_failure, worst
from bulk_dispatch.stages.status_reports import is_end, note_segments
from bulk_dispatch.stages.submissions import record_submission
from tests.factories import message, messages
from tests.stages.world import ENDLESS, KIND, OpenWorld, World
from tests.waiting import eventually

SENT, DELIVERED, QUEUED = Status.SENT, Status.DELIVERED, Status.QUEUED
UNDELIVERABLE, EXPIRED = Status.UNDELIVERABLE, Status.EXPIRED
SECRET = "a-secret-of-some-length"
LOOKS = Looks(poll=timedelta(seconds=2), rescue=timedelta(seconds=5))
AT = datetime(2031, 5, 1, 12, tzinfo=UTC)
VIBER = Viber("Hello there")
CASCADE = ViberSms("Hello there", sms_text="Hello by SMS")


def claimed(world: World, route: str) -> Package:
    package = world.claim(route).package
    assert package is not None
    return package


def answered(world: World, route: str, package: Package, reports: Sequence[StatusReport]) -> None:
    """As if the provider had said so."""
    record_submission(world.runtime, world.line(route), package, Answered(reports))


# -- the end of a first channel


@pytest.mark.parametrize("end", [UNDELIVERABLE, EXPIRED])
@pytest.mark.parametrize("kind", Kind)
def test_the_end_of_a_first_channel_is_none_for_what_falls_back(kind: Kind, end: Status) -> None:
    expected = kind is not Kind.VIBER_SMS
    assert is_end(StatusReport(1, end, first_channel=True), kind) is expected
    assert is_end(DeliveryReceipt("1", end, first_channel=True), kind) is expected
    assert is_end(StatusReport(1, end), kind)


@pytest.mark.parametrize("status", [SENT, Status.IN_DOUBT, QUEUED, Status.FAILED, None])
def test_what_a_report_cannot_bring_is_no_end(status: Status | None) -> None:
    assert not is_end(StatusReport(1, status), Kind.SMS)


def test_a_cascade_waits_for_the_end_of_its_sms(open_world: OpenWorld) -> None:
    """They say that it failed and nothing of an SMS: for Viber alone that is all there will be."""
    world = open_world(webcom={})
    world.enqueue(
        [
            message(1, route="webcom", text="", content=VIBER),
            message(2, route="webcom", text="", content=CASCADE),
        ]
    )
    world.dispatch("webcom")
    world.provider.settle_down()
    world.provider.script({"do": "message_code", "code": "not_deliver", "when": {"command": "state"}})

    for _ in range(3):
        world.passes(minutes=20)
        world.poll("webcom")

    assert (world.message(1).status, world.message(2).status) == ("undeliverable", "sent")
    world.mend()
    assert world.until_final("webcom") == {UNDELIVERABLE: 1, DELIVERED: 1}


def test_in_a_settling_answer_the_end_of_a_first_channel_is_but_a_sending(open_world: OpenWorld) -> None:
    world = open_world(webcom={})
    world.enqueue([message(1, route="webcom", text="", content=CASCADE)])
    package = claimed(world, "webcom")
    (item,) = package.items

    answered(world, "webcom", package, [StatusReport(item.reference, Status.REJECTED, first_channel=True)])

    assert world.statuses() == {SENT: 1}


# -- read


def test_that_it_was_read_is_noted_once_with_an_event(open_world: OpenWorld) -> None:
    reading = replace(KIND, webcom=WebcomOptions(read=1, link=0, unsubscribe=0))
    world = open_world(provider=reading, webcom={})
    world.enqueue([message(1, route="webcom", text="", content=VIBER)])
    world.dispatch("webcom")
    reference = world.references()[0]
    eventually(lambda: world.provider.see("counts")["by_state"].keys() == {"read"}, within=20, every=0.01)

    for _ in range(3):
        world.passes(minutes=1)
        world.poll("webcom")

    assert world.provider.times() == {reference: 1}
    row = world.message()
    assert (row.status, row.read_at is not None) == ("delivered", True)
    assert [(event.type, event.to_status) for event in world.history().events][-2:] == [
        ("report", "delivered"),
        ("read", "delivered"),
    ]


# -- by which names receipts will come


def names(world: World) -> dict[str, int]:
    rows = world.rows("SELECT provider_message_id, message_id FROM provider_message_ids")
    return {row.provider_message_id: row.message_id for row in rows}


@pytest.mark.parametrize(
    ("route", "by_ours"), [("smart", False), ("webcom", False), ("plain", False), ("alpha", True)]
)
def test_their_ids_are_noted_where_receipts_may_come(
    open_world: OpenWorld, route: str, by_ours: bool
) -> None:
    world = open_world(provider=ENDLESS, **{route: {"webhook_secret": SECRET}})
    world.enqueue(messages(4, route=route))

    world.dispatch(route)

    rows = world.rows("SELECT id, reference, provider_message_id FROM messages")
    expected = {row.provider_message_id: row.id for row in rows}
    if by_ours:  # who knows it by our id may name it so
        expected |= {str(row.reference): row.id for row in rows}
    assert names(world) == expected


@pytest.mark.parametrize("route", ["smart", "plain"])
def test_where_no_receipts_come_no_names_are_kept(open_world: OpenWorld, route: str) -> None:
    world = open_world(provider=ENDLESS, **{route: {}})
    world.enqueue(messages(2, route=route))

    world.dispatch(route)

    assert names(world) == {}


@pytest.mark.parametrize("route", ["smart", "plain"])
def test_names_are_written_with_the_answer_that_tells_them(open_world: OpenWorld, route: str) -> None:
    """In the same transaction: a receipt that finds one finds the other."""
    world = open_world(provider=ENDLESS, **{route: {"webhook_secret": SECRET}})
    world.enqueue(messages(3, route=route))

    world.dispatch(route)

    written = world.rows("""
        SELECT m.xmin::text AS message, p.xmin::text AS name
        FROM provider_message_ids p JOIN messages m ON m.id = p.message_id
    """)
    assert len(written) >= 3
    assert {row.message == row.name for row in written} == {True}


def test_what_rescue_finds_is_named_too(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS, webcom={"webhook_secret": SECRET})
    world.enqueue(messages(3, route="webcom"))
    world.provider.script({"do": "drop_after", "times": 1, "when": {"command": "send"}})
    world.dispatch("webcom")
    assert names(world) == {}
    world.passes(seconds=66)

    world.rescue("webcom")

    assert names(world) == {row.provider_message_id: row.id for row in world.rows("SELECT * FROM messages")}


# -- segments


def test_where_they_bill_other_segments_it_is_logged(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = open_world(smart={})
    world.enqueue(messages(3, route="smart"))
    package = claimed(world, "smart")
    first, second, third = (item.reference for item in package.items)

    with caplog.at_level(logging.WARNING, logger="bulk_dispatch"):
        reports = [
            StatusReport(first, SENT, "ok", "1", 1),
            StatusReport(second, SENT, "ok", "2", 3),
            StatusReport(third, SENT, "ok", "3"),
        ]
        answered(world, "smart", package, reports)

    assert [record.getMessage() for record in caplog.records] == [
        "segments_differ route=smart messages=1 ours=1 theirs=3"
    ]
    assert world.rows("SELECT segments_billed, segments_estimated FROM messages ORDER BY id") == [
        (1, 1),
        (3, 1),
        (None, 1),
    ]


def test_what_they_bill_is_held_against_what_was_counted_when_the_message_came(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted anew, a text may take another number: this one was counted by a build that knew better."""
    world.enqueue([message(1)])
    with world.runtime.ledger.begin() as connection:
        connection.execute(text("UPDATE messages SET segments_estimated = 2"))

    with caplog.at_level(logging.WARNING, logger="bulk_dispatch"):
        world.dispatch()

    assert [record.getMessage() for record in caplog.records] == [
        "segments_differ route=alpha messages=1 ours=2 theirs=1"
    ]


@pytest.mark.parametrize("pairs", [[], [(1, 1)], [(None, 2)], [(2, None)], [(None, None), (3, 3)]])
def test_where_they_bill_as_we_count_nothing_is_said(
    world: World, caplog: pytest.LogCaptureFixture, pairs: list[tuple[int | None, int | None]]
) -> None:
    with caplog.at_level(logging.DEBUG, logger="bulk_dispatch.stages.status_reports"):
        note_segments(world.line(), pairs)

    assert caplog.records == []


COUNTED = (
    "a" * 160, "a" * 161, "Ж" * 70, "Ж" * 71, "€" * 81, "😀" * 36,
    # cut in two, these would take a part less
    "a" * 152 + "€" + "a" * 152, "€" * 153, "Ж" * 66 + "😀" + "Ж" * 66, "😀" * 67,
    # line ends, where one character more is a part more
    "a" * 159 + "\n", "a" * 158 + "\r\nb", "a" * 157 + "\r\nb", "Ж" * 68 + "\r\nЖ", "Ж" * 67 + "\rЖ\nЖ",
    "a\r\nb\n\rc\r\r\n" * 16,
)  # fmt: skip


@pytest.mark.parametrize("route", ["alpha", "plain", "webcom", "smart"])
def test_the_sandbox_counts_as_we_do(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture, route: str
) -> None:
    """Two readings of the sheets."""
    world = open_world(**{route: {}})
    offered = [message(n, route=route, text=words) for n, words in enumerate(COUNTED)]
    world.enqueue([accept(one, world.runtime.routes) for one in offered])

    with caplog.at_level(logging.WARNING, logger="bulk_dispatch"):
        world.dispatch(route)

    assert caplog.records == []
    counts = world.rows("SELECT client_id, segments_billed, segments_estimated FROM messages ORDER BY id")
    assert len(counts) == len(COUNTED)
    assert [
        row for row in counts if row.segments_billed is None or row.segments_billed != row.segments_estimated
    ] == []


@pytest.mark.parametrize(("route", "kept"), [("webcom", "one\ntwo\nthree"), ("plain", "one\r\ntwo\rthree")])
def test_a_text_is_kept_as_it_is_sent(open_world: OpenWorld, route: str, kept: str) -> None:
    """webcom can be told of one kind of line end only."""
    world = open_world(**{route: {}})

    world.enqueue([accept(message(1, route=route, text="one\r\ntwo\rthree"), world.runtime.routes)])

    assert world.message().text == kept


def test_cyrillic_that_they_turn_into_latin_is_kept_as_they_bill_it(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = open_world(webcom={"transliterate": "true"})
    world.enqueue([message(1, route="webcom", text="Ж" * 71)])

    with caplog.at_level(logging.WARNING, logger="bulk_dispatch"):
        world.dispatch("webcom")

    assert caplog.records == []
    assert (world.message().segments_billed, world.message().segments_estimated) == (1, 2)


# -- families


def test_viber_and_sms_of_a_route_leave_in_different_packages(open_world: OpenWorld) -> None:
    world = open_world(alpha={})
    both: list[Content | None] = [None, VIBER, None, VIBER, None]
    world.enqueue(
        [
            message(number, text="" if content else "Hello", content=content)
            for number, content in enumerate(both, 1)
        ]
    )

    assert world.dispatch().messages == 5

    kinds = world.rows(
        "SELECT package_id, array_agg(DISTINCT kind ORDER BY kind) AS kinds FROM messages GROUP BY 1"
    )
    assert sorted(row.kinds for row in kinds) == [["sms"], ["viber"]]
    assert world.statuses() == {SENT: 5}
    assert world.provider.requests("message") == 1
    assert world.provider.requests("message-viber") == 1


# -- of several failures


def test_the_failure_whose_remedy_weighs_most_counts() -> None:
    assert worst([None, MONEY, None]) is MONEY
    assert worst([MONEY, CREDENTIALS, MONEY]) is CREDENTIALS
    assert worst([None]) is None
    assert worst([]) is None


# -- how an outcome is written down


@dataclass(frozen=True)
class Written:
    """An outcome, made of one message claimed on webcom and its package; and what is there afterwards."""

    outcome: Callable[[OutboundMessage, int], Outcome]
    status: Status
    package: str
    names: Sequence[str] = ()
    suppressed: bool = False
    read: bool = False
    inquiries: int = 0
    route: str = "active"
    reason: str | None = None
    trouble: str = ""


def an_outcome(item: OutboundMessage, package_id: int, target: Status = SENT, **more: Any) -> Outcome:
    move = Transition(item.id, package_id, target, provider_message_id=more.pop("provider_message_id", ""))
    return Outcome(looks={package_id: LOOKS}, moves=[move], **more)


def told(item: OutboundMessage, **more: Any) -> list[tuple[OutboundMessage, StatusReport]]:
    return [(item, StatusReport(item.reference, more.pop("status", SENT), "208", **more))]


def asked(item: OutboundMessage, package_id: int, **more: Any) -> list[tuple[OpenMessage, StatusReport]]:
    known = OpenMessage(item.id, package_id, item.reference, "", SENT, 0, Kind.SMS, None, "")
    return [(known._replace(**more), StatusReport(item.reference, SENT, provider_message_id="their-1"))]


WRITTEN = {
    "settled": Written(an_outcome, SENT, "settled"),
    "reported in the same go": Written(
        lambda item, id_: an_outcome(item, id_, news=[Transition(item.id, id_, DELIVERED)]),
        DELIVERED,
        "closed",
    ),
    "read": Written(
        lambda item, id_: an_outcome(
            item, id_, news=[Transition(item.id, id_, DELIVERED)], reads=[Read(item.id, "read", AT)]
        ),
        DELIVERED,
        "closed",
        read=True,
    ),
    "a sending tells its id": Written(
        lambda item, id_: an_outcome(item, id_, sent=told(item, provider_message_id="their-1")),
        SENT,
        "settled",
        names=["their-1"],
    ),
    "a question tells its id": Written(
        lambda item, id_: an_outcome(item, id_, found=asked(item, id_)), SENT, "settled", names=["their-1"]
    ),
    "a question tells an id that is known": Written(
        lambda item, id_: an_outcome(item, id_, found=asked(item, id_, provider_message_id="their-1")),
        SENT,
        "settled",
    ),
    "somebody wants nothing": Written(
        lambda item, id_: an_outcome(item, id_, Status.REJECTED, sent=told(item, suppress=True)),
        Status.REJECTED,
        "closed",
        suppressed=True,
    ),
    "a question about doubt was answered": Written(
        lambda item, id_: an_outcome(item, id_, Status.IN_DOUBT, inquired=[id_]),
        Status.IN_DOUBT,
        "in_doubt",
        inquiries=1,
    ),
    "emptied": Written(
        lambda item, id_: an_outcome(item, id_, QUEUED, emptied=PackageState.UNSENT, reason="not begun"),
        QUEUED,
        "unsent",
        reason="not begun",
    ),
    "trouble pauses the route and is the reason": Written(
        lambda item, id_: an_outcome(item, id_, QUEUED, trouble=MONEY, went_through=True),
        QUEUED,
        "closed",
        route="paused",
        reason=str(MONEY),
        trouble="money",
    ),
    "trouble beside a reason of its own": Written(
        lambda item, id_: an_outcome(item, id_, QUEUED, trouble=CREDENTIALS, reason="asked"),
        QUEUED,
        "closed",
        route="stopped",
        reason="asked",
        trouble="credentials",
    ),
    "an id used before, at the first word": Written(
        lambda item, id_: an_outcome(
            item,
            id_,
            sent=told(item, provider_message_id="a-stranger's", suppress=True, used=True),
            first_told=told(item, used=True),
            trouble=MONEY,
        ),
        Status.IN_DOUBT,
        "in_doubt",
        route="stopped",
        reason=str(COLLISION.because(code="", detail=way_out("webcom"))),
        trouble="collision",
    ),
    "an id used before, by a repeat": Written(
        lambda item, id_: an_outcome(item, id_, sent=told(item, provider_message_id="their-1", used=True)),
        SENT,
        "settled",
        names=["their-1"],
    ),
}


@pytest.mark.parametrize("case", WRITTEN.values(), ids=WRITTEN)
def test_an_outcome_is_written_down(open_world: OpenWorld, case: Written) -> None:
    world = open_world(webcom={"webhook_secret": SECRET})
    world.enqueue([message(1, route="webcom")])
    package = claimed(world, "webcom")
    (item,) = package.items

    with world.runtime.ledger.begin() as connection:
        recorded = record(world.runtime, world.line("webcom"), connection, case.outcome(item, package.id))

    row, (kept,) = world.message(), world.packages()
    assert (row.status, row.read_at is not None) == (case.status, case.read)
    assert (kept.state, kept.inquiry_count, kept.reason) == (case.package, case.inquiries, case.reason)
    assert list(names(world)) == list(case.names)
    assert bool(world.rows("SELECT FROM suppressions")) is case.suppressed
    assert world.route("webcom").state == case.route
    assert (recorded.trouble.name if recorded.trouble else "") == case.trouble
    assert recorded.moved.get(case.status) == 1


@pytest.mark.parametrize(("went_through", "failures"), [(True, 0), (False, 1)])
def test_only_what_went_through_ends_failures_in_a_row(
    world: World, went_through: bool, failures: int
) -> None:
    world.enqueue(messages(2))
    package = claimed(world, "alpha")
    line = world.line()
    with world.runtime.ledger.begin() as connection:
        apply_failure(world.runtime, line, connection, MONEY)
    world.passes(hours=1)

    outcome = an_outcome(package.items[0], package.id, went_through=went_through)
    with world.runtime.ledger.begin() as connection:
        record(world.runtime, line, connection, outcome)

    assert world.route().consecutive_failures == failures


def test_what_another_has_settled_meanwhile_stays_as_it_is(world: World) -> None:
    world.enqueue(messages(1))
    package = claimed(world, "alpha")
    late = an_outcome(package.items[0], package.id, Status.REJECTED)
    for outcome in (an_outcome(package.items[0], package.id, QUEUED), late):
        with world.runtime.ledger.begin() as connection:
            recorded = record(world.runtime, world.line(), connection, outcome)

    assert not recorded.moved
    assert world.statuses() == {QUEUED: 1}
