"""Another ledger has used the account: they know other messages by the ids that ours gives out next."""

import time
from collections.abc import Sequence

import httpx
from sqlalchemy import text

from bulk_dispatch.config.routes_file import read_routes
from bulk_dispatch.domain.content import Sms
from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.domain.status import Status
from bulk_dispatch.routing import Route, build_routes
from tests.faults.cases.case import Case
from tests.faults.world import Batch, World
from tests.waiting import eventually

OLDER = 4.0  # seconds that a stranger's end lies before our messages: more than clock_tolerance, and rounding
ACCOUNTS = ("sync", "webcom")  # one for each provider that knows our ids; jobs are of the first, too
ROUTES = ("sync", "async", "webcom")

USED = [
    {"do": "message_code", "code": 208, "when": {"provider": "alphasms-xml", "command": command}}
    for command in ("message", "message-async")
]
"""AlphaSMS of the matrix takes an id again, so that what we send twice shows; here it must not."""


def ids_used_before(world: World, batch: Batch) -> None:
    """Nothing is told as delivered: all is held, and each route stops, however often it is opened. What comes
    later flows: the operator has other ids by then, here those after the strangers'."""
    lines = build_routes(read_routes(world.settings.routes))
    for name in ACCOUNTS:
        _others_send(lines[name], _next_reference(world), len(batch.messages))
    eventually(world.provider.is_idle, within=60)
    time.sleep(OLDER)
    world.provider.script(*USED)
    world.enqueue(batch)
    world.await_stopped(*ROUTES)
    eventually(lambda: _held_after_opening(world, batch), within=60, every=0.5)
    world.provider.script()
    batch.held = frozenset(ROUTES)


def _held_after_opening(world: World, batch: Batch) -> bool:
    """A package of each route meets it, then its others: each time the operator opens it."""
    world.resume(*ROUTES)
    return world.status_counts(batch)[Status.IN_DOUBT] == len(batch.messages)


def _next_reference(world: World) -> int:
    with world.ledger.begin() as connection:
        found = connection.execute(text("SELECT last_value + is_called::int FROM message_reference"))
        return int(found.scalar_one())


def _others_send(line: Route, first: int, many: int) -> None:
    items = [
        OutboundMessage(n, first + n, f"+38067{n:07d}", "Others", Sms(f"others {n}")) for n in range(many)
    ]
    size = line.dialect.limits.items
    for start in range(0, many, size):
        _post(line, items[start : start + size])


def _post(line: Route, items: Sequence[OutboundMessage]) -> None:
    request = line.dialect.submit(items)
    httpx.post(request.url, content=request.body, headers=request.headers, timeout=30).raise_for_status()


COLLISIONS = (Case("ids_used_before_by_another_ledger", ids_used_before, routes=ROUTES),)
