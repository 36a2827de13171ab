"""Flows: campaigns take turns by what they have been served, and one that is paused holds nobody up."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Connection, text

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.package import Limits, PackageState
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.flows import FlowSelection, flows, pause_flows, resume_flows, weigh_flows
from bulk_dispatch.ledger.schema import BULK_FLOWS
from bulk_dispatch.ledger.transitions import Claim, ClaimRequest, claim, enqueue
from tests.factories import message
from tests.ledger.book import LEASE, ROUTE, Book, blocked

FRONT = timedelta(seconds=10)  # so often a flow is looked through from its front


def campaign(name: str, count: int, **values: Any) -> list[Message]:
    return [message(client_id=f"{name}-{number}", campaign=name, **values) for number in range(count)]


def served(claimed: Claim) -> dict[str, int]:
    """How many of each campaign are in the package."""
    items = claimed.package.items if claimed.package else []
    return dict(Counter(item.campaign for item in items))


def until_empty(book: Book, items: int) -> list[dict[str, int]]:
    """What each package held."""
    packages: list[dict[str, int]] = []
    while one := served(book.claim(items=items, parallel=10**6)):
        packages.append(one)
    return packages


def total(packages: Sequence[dict[str, int]], name: str) -> int:
    return sum(package.get(name, 0) for package in packages)


def age(book: Book, gone: timedelta) -> None:
    """As if what the ledger knows of flows were older."""
    clocks = ("claimed_at", "mark_due_at", "rewound_at")
    moved = ", ".join(f"{clock} = {clock} - :gone" for clock in clocks)
    book.do(lambda connection: connection.execute(text(f"UPDATE flows SET {moved}"), {"gone": gone}))


def made_older(book: Book, by: str) -> None:
    book.rows(f"UPDATE messages SET due_at = due_at - interval '{by}' RETURNING 1")


def taken(book: Book, items: int = 1000) -> list[int]:
    package = book.claim(items=items).package
    return [item.id for item in package.items] if package else []


# -- turns


def test_campaigns_progress_alike_until_each_ends(book: Book) -> None:
    for name, count in (("large", 400), ("small", 10), ("middle", 60)):
        book.enqueue(campaign(name, count))

    packages = until_empty(book, items=5)

    left = {"small": 10, "middle": 60, "large": 400}
    for package in packages:
        before = [400 - left["large"], 60 - left["middle"], 10 - left["small"]]
        open_ones = [
            done for done, name in zip(before, ("large", "middle", "small"), strict=True) if left[name] > 0
        ]
        assert max(open_ones) - min(open_ones) <= 5
        for name, count in package.items():
            left[name] -= count
    assert left == {"small": 0, "middle": 0, "large": 0}


def test_one_that_comes_late_gets_its_half_and_no_more(book: Book) -> None:
    book.enqueue(campaign("old", 100))
    for _ in range(10):
        book.claim(items=5)
    book.enqueue(campaign("late", 50))

    packages = [served(book.claim(items=5)) for _ in range(10)]

    assert abs(total(packages, "late") - total(packages, "old")) <= 5


def test_one_that_had_nothing_to_send_has_saved_no_turns(book: Book) -> None:
    book.enqueue([*campaign("busy", 200), *campaign("idle", 5)])
    for _ in range(20):
        book.claim(items=5)
    book.enqueue([message(client_id=f"again-{number}", campaign="idle") for number in range(50)])

    packages = [served(book.claim(items=5)) for _ in range(10)]

    assert abs(total(packages, "idle") - total(packages, "busy")) <= 5


def test_a_weight_is_so_many_turns_for_one(book: Book) -> None:
    book.enqueue([*campaign("heavy", 200), *campaign("light", 200)])
    book.do(weigh_flows, FlowSelection("heavy"), 3)

    packages = [served(book.claim(items=5)) for _ in range(40)]

    assert (total(packages, "heavy"), total(packages, "light")) == pytest.approx((150, 50), abs=5)


def test_a_package_is_filled_from_the_next_flows(book: Book) -> None:
    """A thousand campaigns of one message each do not leave in a thousand packages."""
    book.enqueue([one for number in range(30) for one in campaign(f"c{number}", 1)])

    assert len(served(book.claim(items=30))) == 30


def test_a_campaign_of_two_producers_is_two_flows(book: Book) -> None:
    for producer in ("shop", "crm"):
        book.enqueue(campaign("spring", 20, producer=producer))

    senders = book.claim(items=20).package
    assert senders is not None
    rows = book.rows("SELECT producer, finish_tag FROM flows ORDER BY producer")
    book.claim(items=20)

    assert [row.finish_tag for row in rows] == [20]
    assert book.rows("SELECT producer FROM flows ORDER BY 1") == [("crm",), ("shop",)]


def test_the_lanes_take_turns_by_themselves(book: Book) -> None:
    book.enqueue([*campaign("codes", 10, lane=Lane.URGENT), *campaign("news", 10)])

    assert served(book.claim(Lane.URGENT, items=20)) == {"codes": 10}
    ids = {row.lane: row.id for row in book.rows("SELECT lane, id FROM flows")}
    assert served(book.claim(Lane.BULK, items=20)) == {"news": 10}
    assert ids["urgent"] < BULK_FLOWS


def test_within_a_flow_the_oldest_leave_first(book: Book) -> None:
    for number in range(9):
        book.enqueue([message(number, campaign="spring")])

    left = [number for _ in range(3) for number in taken(book, items=3)]

    assert left == sorted(book.messages())


def test_what_is_of_another_kind_is_not_passed_over(book: Book) -> None:
    """The first message of a package says which kinds leave with it, and another campaign is always first."""
    request = ClaimRequest(ROUTE, Limits(19, 10**9), parallel=99, lease=LEASE, apart=lambda kind: kind.value)
    book.enqueue([*campaign("a", 9), *campaign("b", 10)])
    book.do(claim, request, Lane.BULK)
    book.enqueue([message(1, campaign="b", kind=Kind.FLASH)])

    for turn in range(6):
        book.enqueue([message(client_id=f"a{turn}-{number}", campaign="a") for number in range(9)])
        book.enqueue([message(client_id=f"b{turn}-{number}", campaign="b") for number in range(10)])
        book.do(claim, request, Lane.BULK)

    assert book.statuses()["client-1"] == "sending"


# -- pauses


def test_a_paused_campaign_holds_nobody_up_and_goes_on_when_it_is_resumed(book: Book) -> None:
    book.enqueue([*campaign("spring", 10), *campaign("autumn", 10)])
    book.do(pause_flows, FlowSelection("spring"), "wrong price")

    assert until_empty(book, items=6) == [{"autumn": 6}, {"autumn": 4}]
    assert book.claim().reason == "nothing is due"

    assert book.do(resume_flows, FlowSelection("spring")) == 2  # a lane each
    assert until_empty(book, items=6) == [{"spring": 6}, {"spring": 4}]


def test_what_is_enqueued_while_its_campaign_is_paused_waits_in_every_lane_and_route(book: Book) -> None:
    book.enqueue([message(1, route="beta")])
    book.enqueue([message(2)])
    book.do(pause_flows, FlowSelection("spring"), "")

    for number, (lane, route) in enumerate((lane, route) for lane in Lane for route in (ROUTE, "beta")):
        book.enqueue([message(10 + number, campaign="spring", lane=lane, route=route)])

    for lane in Lane:
        for route in (ROUTE, "beta"):
            assert "spring" not in served(book.claim(lane, route=route))


def test_what_is_paused_while_a_claim_waits_for_its_route_does_not_leave(book: Book, other: Book) -> None:
    book.enqueue(campaign("spring", 5))
    with other.ledger.begin() as connection:
        connection.execute(text("SELECT FROM routes FOR NO KEY UPDATE"))
        waiting = blocked(
            book,
            lambda mine: claim(
                mine, ClaimRequest(ROUTE, Limits(5, 10**9), parallel=9, lease=LEASE), Lane.BULK
            ),
        )
        book.do(pause_flows, FlowSelection("spring"), "wrong price")

    assert waiting.result().package is None
    assert set(book.statuses().values()) == {"queued"}


def test_what_a_claim_gives_back_in_the_urgent_lane_leaves_at_once(book: Book) -> None:
    book.enqueue([message(number, lane=Lane.URGENT) for number in range(4)])
    made_older(book, "30 seconds")
    with book.ledger.begin() as connection:
        connection.execute(text("SELECT FROM messages ORDER BY id LIMIT 2 FOR UPDATE"))
        assert book.claim(Lane.URGENT, items=1).package is not None

    package = book.claim(Lane.URGENT).package
    assert package is not None
    assert len(package.items) == 3


def test_one_route_can_be_paused_alone(book: Book) -> None:
    book.enqueue([*campaign("spring", 2), message(10, campaign="spring", route="beta")])
    book.do(pause_flows, FlowSelection("spring", route="beta"), "")

    assert served(book.claim()) == {"spring": 2}
    assert served(book.claim(route="beta")) == {}


def test_paused_again_it_keeps_since_when_and_tells_the_last_reason(book: Book) -> None:
    book.enqueue(campaign("spring", 1))
    book.do(pause_flows, FlowSelection("spring"), "one")
    [first] = [flow for flow in book.do(flows) if flow.queued]
    book.do(pause_flows, FlowSelection("spring"), "two")
    [second] = [flow for flow in book.do(flows) if flow.queued]

    assert (first.reason, second.reason) == ("one", "two")
    assert first.paused_at == second.paused_at is not None


def test_paused_messages_can_be_cancelled_and_do_not_expire_unseen(book: Book) -> None:
    book.enqueue(campaign("spring", 2))
    book.do(pause_flows, FlowSelection("spring"), "")

    assert book.cancel(["spring-0"]) == 1
    assert book.books().balanced
    assert sorted(book.statuses().values()) == ["cancelled", "queued"]


def test_to_pass_over_a_paused_campaign_reads_none_of_its_messages(book: Book) -> None:
    book.enqueue([*campaign("spring", 3000), *campaign("autumn", 10)])
    book.do(pause_flows, FlowSelection("spring"), "")
    book.do(lambda connection: connection.execute(text("ANALYZE messages")))
    request = ClaimRequest(ROUTE, Limits(5, 10**9), parallel=9, lease=LEASE)

    def read(connection: Connection) -> int:
        """Rows of messages that this session has read."""
        count: int = connection.execute(
            text(
                "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'messages'"
            )
        ).scalar_one()
        return count

    with book.ledger.begin() as connection:
        before = read(connection)
        claimed = claim(connection, request, Lane.BULK)
        after = read(connection)

    assert served(claimed) == {"autumn": 5}
    assert 5 <= after - before < 50


@pytest.mark.parametrize("weight", [0, -1, 1001])
def test_a_weight_beyond_its_bounds_is_refused(book: Book, weight: int) -> None:
    with pytest.raises(ValueError, match=f"^weight: {weight} is not from 1 to 1000$"):
        book.do(weigh_flows, FlowSelection("spring"), weight)


# -- marks: what waits before them is found, only later


def test_what_was_enqueued_long_ago_and_committed_late_leaves_soon(book: Book) -> None:
    """An application may hold its transaction open for as long as it likes."""
    book.enqueue([message(number) for number in range(5)])
    made_older(book, "30 seconds")
    with book.ledger.begin() as connection:
        enqueue(connection, [message(9)])
        connection.execute(
            text("UPDATE messages SET due_at = now() - interval '1 minute' WHERE due_at = now()")
        )
        assert len(taken(book, items=2)) == 2

    assert len(taken(book)) == 3  # past the mark
    assert taken(book) == []
    age(book, FRONT)
    assert len(taken(book)) == 1


def test_what_others_held_leaves_soon(book: Book) -> None:
    book.enqueue([message(number) for number in range(3)])
    made_older(book, "30 seconds")
    with book.ledger.begin() as connection:
        first = connection.execute(text("SELECT min(id) FROM messages")).scalar_one()
        connection.execute(text("SELECT FROM messages WHERE id = :id FOR UPDATE"), {"id": first})
        assert len(taken(book)) == 2

    age(book, FRONT)
    assert taken(book) == [first]


def test_a_clock_that_is_set_back_hides_nothing(book: Book) -> None:
    """What is enqueued then is older than the mark, and the mark is from the future."""
    book.enqueue([message(number) for number in range(3)])
    made_older(book, "30 seconds")
    assert len(taken(book, items=1)) == 1
    age(book, -timedelta(hours=1))

    assert len(taken(book)) == 2


def test_one_that_is_new_after_a_clock_was_set_back_gets_its_share_and_no_more(book: Book) -> None:
    book.enqueue([*campaign("a", 100), *campaign("b", 100)])
    for _ in range(20):
        book.claim(items=5)
    age(book, -timedelta(hours=1))
    for _ in range(4):
        book.claim(items=5)
    book.enqueue(campaign("new", 100))

    packages = [served(book.claim(items=5)) for _ in range(12)]

    assert total(packages, "new") <= 60 / 3 + 5


def test_what_is_queued_again_at_once_leaves_at_once(book: Book) -> None:
    package = book.package(campaign("spring", 3))
    book.settle(package, Status.QUEUED, emptied=PackageState.REFUSED)

    assert served(book.claim()) == {"spring": 3}


# -- what people are shown


def test_flows_are_listed_with_what_waits(book: Book) -> None:
    book.enqueue(
        [*campaign("spring", 3, producer="shop"), message(50), *campaign("codes", 1, lane=Lane.URGENT)]
    )
    book.do(pause_flows, FlowSelection("spring", "shop", ROUTE), "wrong price")
    book.do(weigh_flows, FlowSelection("codes"), 2)

    told = [
        (one.campaign, one.producer, one.lane, one.queued, one.weight, one.reason) for one in book.do(flows)
    ]

    assert told == [
        ("codes", "", Lane.URGENT, 1, 2, None),
        ("spring", "shop", Lane.URGENT, 0, 1, "wrong price"),
        ("", "", Lane.BULK, 1, 1, None),
        ("codes", "", Lane.BULK, 0, 2, None),
        ("spring", "shop", Lane.BULK, 3, 1, "wrong price"),
    ]


def test_what_a_flow_is_served_is_told_by_its_tags(book: Book) -> None:
    book.enqueue([*campaign("a", 20), *campaign("b", 20)])
    tags = []
    for _ in range(6):
        book.claim(items=5)
        tags.append(book.one("SELECT max(start_tag) FROM flows"))

    assert all(first <= second for first, second in pairwise(tags))
    assert book.one("SELECT sum(finish_tag)::int FROM flows") == 30
