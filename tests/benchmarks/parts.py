"""What each part of the way takes: microseconds of processor time a message, ours and the servers'.

The parts are the functions that the stages call, with real servers and a real sandbox behind them, one after
another in this process. `wall` is how long a thread is at it.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bulk_dispatch.campaign.heading import Wanted
from bulk_dispatch.campaign.rows import Rows
from bulk_dispatch.campaign.source import lines_of, opened
from bulk_dispatch.client import Dispatcher
from bulk_dispatch.domain.message import FIELDS, Lane, Message
from bulk_dispatch.gc_tuning import tune_gc
from bulk_dispatch.ledger.packages import open_messages
from bulk_dispatch.ledger.transitions import ClaimRequest, Looks, Package, Transition, claim, settle
from bulk_dispatch.providers.interface import Answered, Reply, Request, Statuses, StatusReport
from bulk_dispatch.routing import Route, accept
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.ingest import ingest
from bulk_dispatch.stages.outcomes import first_looks
from bulk_dispatch.stages.provider_calls import asked_for
from bulk_dispatch.stages.status_reports import reported, settled
from tests.benchmarks.installation import ROUTE, Installation, servers, spent, write_campaign
from tests.benchmarks.receipts import Found


@dataclass(frozen=True)
class Part:
    """What one part took, in microseconds a message."""

    name: str
    ours: float
    postgres: float
    redis: float
    wall: float


def of_receipts(found: Found) -> Part:
    """What a receipt takes that came through the door, by `worker web`: no Redis is on that way."""
    return Part(f"a receipt: {found.case}", found.web_us, found.postgres_us, 0.0, 1e6 / found.per_second)


def measure(place: Installation, count: int) -> tuple[list[Part], float]:
    """Walk `count` messages from a file to their ends, part by part. Returns the parts, and the MB that a
    million of them take in Redis."""
    tune_gc()  # as the workers do
    place.migrate()
    runtime = Runtime.open(place.settings)
    try:
        walk = _Walk(place, runtime, count)
        return walk.run(), walk.redis_mb / count * 1e6
    finally:
        runtime.close()


@dataclass
class _Walk:
    place: Installation
    runtime: Runtime
    count: int
    parts: list[Part] = field(default_factory=list)
    redis_mb: float = 0.0

    @property
    def line(self) -> Route:
        return self.runtime.routes[ROUTE]

    def run(self) -> list[Part]:
        file = write_campaign(self.place.folder / "parts.csv", self.count)
        with self.took("read rows, check"):
            messages = list(self.read(file))
        empty = self.in_redis()
        with self.took("enqueue"):
            self.enqueue(messages)
        self.redis_mb = self.in_redis() - empty
        with self.took("ingest"):
            while sum(part.new for part in ingest(self.runtime, Lane.BULK)):
                pass
        with self.took("claim"):
            packages = list(self.claimed())
        dialect = self.line.dialect
        with self.took("build"):
            requests = [dialect.submit(package.items) for package in packages]
        with self.took("the provider, sending"):
            replies = [self.exchange(request) for request in requests]
        with self.took("read"):
            answers = [
                dialect.read_submit(package.items, reply)
                for package, reply in zip(packages, replies, strict=True)
            ]
        with self.took("settle"):
            for package, answer in zip(packages, answers, strict=True):
                assert isinstance(answer, Answered)
                self.settle(package, answer.reports)
        time.sleep(1)  # until the sandbox has an end for each
        assert isinstance(dialect, Statuses)
        with self.took("look what is open"), self.runtime.ledger.begin() as connection:
            waiting = [open_messages(connection, [package.id]) for package in packages]
        with self.took("ask"):
            asked = [[asked_for(self.line, one) for one in part] for part in waiting]
            requests = [dialect.status(part) for part in asked]
        with self.took("the provider, asked"):
            replies = [self.exchange(request) for request in requests]
        with self.took("read what they say"):
            told = [dialect.read_status(part, reply) for part, reply in zip(asked, replies, strict=True)]
        with self.took("report"):
            for package, part, said in zip(packages, waiting, told, strict=True):
                assert isinstance(said, Answered)
                reports = {report.reference: report for report in said.reports}
                news = [move for one in part if (move := reported(self.line, one, reports[one.reference]))]
                assert len(news) == len(part)
                self.write(package, (), news)
        return self.parts

    @contextmanager
    def took(self, name: str) -> Iterator[None]:
        """Note what the block took."""
        theirs = servers(self.place)
        before = {server: sum(map(spent, pids)) for server, pids in theirs.items()}
        ours, wall = time.process_time(), time.perf_counter()
        yield
        ours, wall = time.process_time() - ours, time.perf_counter() - wall
        after = {server: sum(map(spent, pids)) - before[server] for server, pids in theirs.items()}
        per = 1e6 / self.count
        self.parts.append(Part(name, ours * per, after["postgres"] * per, after["redis"] * per, wall * per))

    def read(self, file: Path) -> Iterator[Message]:
        """The rows of a file as the messages that would be handed over, each of them counted."""
        with opened(str(file)) as stream, lines_of(stream) as (lines, _):
            for row in Rows(lines, Wanted(FIELDS, ("client_id", "recipient"))):
                values = row.values
                assert type(values) is dict  # the others are errors
                message = accept(Message.from_dict({"route": ROUTE, **values}), self.runtime.routes)
                message.content.segments  # noqa: B018 - what it costs is what we are here for
                yield message

    def in_redis(self) -> float:
        return float(self.place.redis().info("memory")["used_memory"]) / 1e6

    def enqueue(self, messages: Sequence[Message]) -> None:
        dispatcher = Dispatcher(self.place.settings)
        dispatcher.enqueue_many(messages)
        dispatcher.close()

    def claimed(self) -> Iterator[Package]:
        route, limits = self.line.config, self.line.dialect.limits
        while True:
            with self.runtime.ledger.begin() as connection:
                package = claim(
                    connection, ClaimRequest(ROUTE, limits, parallel=10**6, lease=route.lease), Lane.BULK
                ).package
            if package is None:
                return
            yield package

    def exchange(self, request: Request) -> Reply:
        reply = self.runtime.exchange(self.line.config, request)
        assert isinstance(reply, Reply)
        return reply

    def settle(self, package: Package, reports: Sequence[StatusReport]) -> None:
        told: Mapping[int, StatusReport] = {report.reference: report for report in reports}
        to_move = partial(settled, self.runtime, self.line, package.id)
        moves = [move for item in package.items if (move := to_move(item, told[item.reference]))]
        self.write(package, moves, ())

    def write(self, package: Package, moves: Sequence[Transition], news: Sequence[Transition]) -> None:
        looks: Mapping[int, Looks] = first_looks(self.line, [package.id])
        with self.runtime.ledger.begin() as connection:
            settle(connection, moves, looks, news=news)
