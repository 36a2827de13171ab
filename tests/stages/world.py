"""A small world: the stages with a ledger, an intake and a provider, and a hand on every clock of ours.

Nobody waits for our own durations: `passes` moves every clock of the ledger and of the intake back, so that a
minute has gone by at once. The provider lives on real time, and quickly.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import Row, text

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.status import FINAL, Status
from bulk_dispatch.intake import CONSUMER, GROUP
from bulk_dispatch.ledger.queries import Books, History, books, by_status, history
from bulk_dispatch.ledger.routes import open_route
from bulk_dispatch.ledger.transitions import Claim, ClaimRequest, claim, enqueue
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.server import Mix, Timings
from bulk_dispatch.stages.dispatch import Dispatched, dispatch
from bulk_dispatch.stages.ingest import Ingested, ingest
from bulk_dispatch.stages.poll import Polled, poll
from bulk_dispatch.stages.rescue import Rescued, rescue
from tests.waiting import eventually

KEY, LOGIN, PASSWORD = "test-key", "test-login", "test-password"
QUICK = Timings(first=0.01, final=(0.03, 0.06), job=0.1)
ALL_DELIVERED = Mix(delivered=1, undeliverable=0, expired=0, rejected=0)
KIND = SandboxOptions(key=KEY, login=LOGIN, password=PASSWORD, mix=ALL_DELIVERED, timings=QUICK)
ENDLESS = replace(KIND, timings=Timings(first=0, final=(3600, 3600), job=3600))
"""A provider where nothing ever ends."""

ROUTES: Mapping[str, Mapping[str, object]] = {
    "alpha": {},
    "beta": {"mode": "async"},
    "plain": {"provider": "alphasms-http"},
    "webcom": {"provider": "webcom-xml", "token": KEY},
    "smart": {"provider": "smartswitch", "login": LOGIN, "password": PASSWORD},
}
"""Routes a world may have, and what is in their tables; the first two it always has."""

_CLOCKS = {
    "messages": ("enqueued_at", "due_at", "send_at", "valid_until", "viber_valid_until"),
    "packages": ("opened_at", "in_doubt_since", "poll_at", "rescue_at"),
    "routes": ("paused_until", "changed_at"),
    "refused_questions": ("refused_at", "ask_at"),
    "flows": ("claimed_at", "mark_due_at", "rewound_at"),
}


class Provider:
    """A running sandbox, seen from its control side."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=20, verify=False)

    def script(self, *rules: Mapping[str, object]) -> None:
        """From now on these faults, and no others."""
        answer = self.http.post("/sandbox/faults", json=list(rules))
        assert answer.status_code == 200, answer.text

    def hits(self) -> int:
        """How many requests have met a fault of the script."""
        return sum(rule["hits"] for rule in self.see("faults"))

    def see(self, what: str) -> Any:
        return self.http.get(f"/sandbox/{what}").raise_for_status().json()

    def requests(self, command: str) -> int:
        return int(self.see("counts")["requests"].get(command, 0))

    @property
    def taken(self) -> int:
        """Messages sent, each time counted."""
        return int(self.see("counts")["taken"])

    @property
    def twice(self) -> int:
        """Messages somebody got once too often."""
        return int(self.see("counts")["twice"])

    def times(self) -> dict[int, int]:
        """Own id to how often it was sent."""
        return {own: times for own, _, _, times in self.see("deliveries")}

    def ends(self, references: Sequence[int]) -> dict[int, str]:
        """Own id to the name of the end it comes to here."""
        return {own: self.see(f"messages/{own}")["end"] for own in references}

    def settle_down(self) -> None:
        """Wait until all that was taken has come to its end."""
        ended = {"delivered", "undeliverable", "expired", "rejected", "deliver", "not_deliver"}
        ended |= {"read", "link", "unsubscribe"}  # of Viber
        eventually(lambda: self.see("counts")["by_state"].keys() <= ended, within=20, every=0.01)

    def reset(self) -> None:
        self.http.post("/sandbox/reset").raise_for_status()

    def close(self) -> None:
        self.http.close()


@dataclass
class World:
    """One runtime and its provider. `notified` are the wake-ups the stages sent or asked for, with the
    seconds until then if not at once."""

    runtime: Runtime
    provider: Provider
    notified: Sequence[tuple[str, str] | tuple[str, str, float]] = ()

    # -- given

    def enqueue(self, offered: Sequence[Message]) -> None:
        """Straight into the ledger."""
        with self.runtime.ledger.begin() as connection:
            assert enqueue(connection, offered).new == len(offered)

    def line(self, route: str = "alpha") -> Route:
        return self.runtime.routes[route]

    def claim(self, route: str = "alpha", lane: Lane = Lane.BULK, items: int | None = None) -> Claim:
        """The first half of a dispatch, committed; what comes next is up to the test."""
        line = self.line(route)
        limits = replace(line.dialect.limits, items=items) if items else line.dialect.limits
        with self.runtime.ledger.begin() as connection:
            return claim(connection, ClaimRequest(route, limits, parallel=9, lease=line.config.lease), lane)

    def passes(self, **time: float) -> None:
        """Let time go by: passes(minutes=2)."""
        gone = timedelta(**time)
        with self.runtime.ledger.begin() as connection:
            for table, clocks in _CLOCKS.items():
                moved = ", ".join(f"{clock} = {clock} - :gone" for clock in clocks)
                connection.execute(text(f"UPDATE {table} SET {moved}"), {"gone": gone})
        for lane in Lane:
            self._age_what_was_read(f"worker:intake:{lane.value}", gone)
            for route in self.runtime.intake.unrouted_routes(lane):
                self._age_what_was_read(f"worker:intake:{lane.value}:unrouted:{route}", gone)

    def _age_what_was_read(self, stream: str, gone: timedelta) -> None:
        redis = self.runtime.intake.client
        if redis.exists(stream) and redis.xinfo_groups(stream):
            for entry in redis.xpending_range(stream, GROUP, "-", "+", 1000):
                idle = int(entry["time_since_delivered"]) + int(gone.total_seconds() * 1000)
                redis.xclaim(
                    stream, GROUP, CONSUMER, 0, [entry["message_id"]], idle=max(0, idle), justid=True
                )

    # -- when

    def ingest(self, lane: Lane = Lane.BULK, runtime: Runtime | None = None) -> Ingested:
        """One step, by another runtime if one is given. Whom it would have woken stands in `notified`."""
        done = sum(ingest(runtime or self.runtime, lane), Ingested())
        for route, of_route in done.wake:
            self.runtime.notify("dispatch", f"{route}:{of_route}")
        return replace(done, wake=())

    def dispatch(self, route: str = "alpha", lane: Lane = Lane.BULK) -> Dispatched:
        return dispatch(self.runtime, route, lane)

    def poll(self, route: str = "alpha") -> Polled:
        return poll(self.runtime, route)

    def rescue(self, route: str = "alpha") -> Rescued:
        return rescue(self.runtime, route)

    def all_stages_once(self, *routes: str) -> None:
        """As beat would start them, one after another; for every route, if none is named."""
        for lane in Lane:
            self.ingest(lane)
        for route in routes or self.runtime.routes:
            for lane in Lane:
                self.dispatch(route, lane)
            self.poll(route)
            self.rescue(route)

    def reopen(self) -> None:
        """What a person does about stopped routes."""
        with self.runtime.ledger.begin() as connection:
            for row in list(connection.execute(text("SELECT name FROM routes WHERE state = 'stopped'"))):
                open_route(connection, row.name)

    def mend(self) -> None:
        """Nothing goes wrong any more, and every route is open, as if nothing ever had."""
        self.provider.script()
        with self.runtime.ledger.begin() as connection:
            for route in self.runtime.routes:
                open_route(connection, route)

    def until_final(self, *routes: str, within: float = 30, step: float = 20) -> dict[Status, int]:
        """Run all stages, `step` seconds of our time a round, until every message has its end."""

        def one_round() -> bool:
            self.all_stages_once(*routes)
            self.passes(seconds=step)
            return self.all_final()

        eventually(one_round, within=within, every=0)
        return self.statuses()

    # -- then

    def statuses(self) -> dict[Status, int]:
        with self.runtime.ledger.begin() as connection:
            return by_status(connection)

    def all_final(self) -> bool:
        """Nothing waits in the intake, and every message has its end."""
        waiting = sum(self.runtime.intake.waiting().values())
        return not waiting and self.statuses().keys() <= FINAL | {Status.UNCONFIRMED}

    def books(self) -> Books:
        with self.runtime.ledger.snapshot() as connection:
            return books(connection)

    def rows(self, statement: str, **values: object) -> list[Row[Any]]:
        with self.runtime.ledger.begin() as connection:
            return list(connection.execute(text(statement), values))

    def message(self, number: int = 1) -> Row[Any]:
        """The ledger's row of message `number`."""
        return self.rows("SELECT * FROM messages WHERE client_id = :id", id=f"client-{number}")[0]

    def history(self, number: int = 1) -> History:
        with self.runtime.ledger.begin() as connection:
            found = history(connection, f"client-{number}")
        assert found is not None
        return found

    def walked(self, number: int = 1) -> list[str]:
        """The statuses message `number` has been in, in order."""
        return [event.to_status for event in self.history(number).events]

    def packages(self) -> list[Row[Any]]:
        """Every package in the order they were opened, with how far off its clocks are."""
        return self.rows(
            "SELECT *, poll_at - now() AS poll_in, rescue_at - now() AS rescue_in FROM packages ORDER BY id"
        )

    def states(self) -> Counter[str]:
        """How many packages are in which state."""
        return Counter(package.state for package in self.packages())

    def route(self, name: str = "alpha") -> Row[Any]:
        return self.rows("SELECT * FROM routes WHERE name = :name", name=name)[0]

    def references(self, *statuses: Status) -> list[int]:
        """Our ids of the messages in these statuses; of all, if none is named."""
        chosen = [status.value for status in statuses or Status]
        found = self.rows(
            "SELECT reference FROM messages WHERE status = ANY(:chosen) ORDER BY id", chosen=chosen
        )
        return [row.reference for row in found]

    def promise_holds(self) -> None:
        """Nobody got anything twice, and the books balance."""
        assert self.provider.twice == 0
        assert set(self.provider.times().values()) <= {1}
        assert self.books().unbalanced == ()


OpenWorld = Callable[..., World]
