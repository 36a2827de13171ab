"""The writer: many are written together, and each hears of its own."""

import asyncio
import threading
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from sqlalchemy.exc import DataError

from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import LedgerError
from bulk_dispatch.webhooks.batch_writer import MOST, RefusedError, Writer

pytestmark = pytest.mark.slow


def receipt(name: str) -> DeliveryReceipt:
    return DeliveryReceipt(name, Status.DELIVERED)


@dataclass
class Ledger:
    """What was written, commit by commit. It stands still while `open` is not set, is away at the tries that
    `away` says, refuses what is called bad, and stumbles over what is called odd."""

    away: Container[int] = ()
    commits: list[dict[str, list[str]]] = field(default_factory=list)
    tries: int = 0
    open: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def write(self, told: Mapping[str, Sequence[DeliveryReceipt]]) -> None:
        self.tries += 1
        self.entered.set()
        assert self.open.wait(20)
        if self.tries in self.away:
            raise LedgerError("the database cannot be reached")
        names = {route: [one.provider_message_id for one in some] for route, some in told.items()}
        if any("bad" in some for some in names.values()):
            raise DataError("", None, ValueError("no such text"))
        if any("odd" in some for some in names.values()):
            raise ZeroDivisionError("what came in")
        self.commits.append(names)


def opened(away: Container[int] = ()) -> Ledger:
    ledger = Ledger(away)
    ledger.open.set()
    return ledger


def test_what_gathers_during_a_commit_is_written_together_in_its_order() -> None:
    ledger = Ledger()

    async def run() -> list[bool]:
        async with Writer(ledger.write) as writer:
            first = asyncio.create_task(writer.put("a", [receipt("1")]))
            await asyncio.to_thread(ledger.entered.wait)
            others = [
                asyncio.create_task(writer.put(route, [receipt(name)]))
                for route, name in (("a", "2"), ("b", "3"), ("a", "4"), ("a", "2"))
            ]
            await asyncio.sleep(0)
            ledger.open.set()
            return list(await asyncio.gather(first, *others))

    assert asyncio.run(run()) == [True] * 5
    assert ledger.commits == [{"a": ["1"]}, {"a": ["2", "4", "2"], "b": ["3"]}]


def test_a_commit_is_bounded() -> None:
    ledger = Ledger()

    async def run() -> None:
        async with Writer(ledger.write) as writer:
            puts = [asyncio.create_task(writer.put("a", [receipt("1")] * (MOST // 2))) for _ in range(5)]
            await asyncio.sleep(0)
            ledger.open.set()
            assert all(await asyncio.gather(*puts))

    asyncio.run(run())
    assert [len(names) for commit in ledger.commits for names in commit.values()] == [MOST, MOST, MOST // 2]


def test_nobody_is_told_before_the_commit() -> None:
    ledger = Ledger()

    async def run() -> bool:
        async with Writer(ledger.write) as writer:
            put = asyncio.create_task(writer.put("a", [receipt("1")]))
            await asyncio.to_thread(ledger.entered.wait)
            assert not put.done()
            assert not ledger.commits
            ledger.open.set()
            return await put

    assert asyncio.run(run())


@pytest.mark.slow
def test_a_ledger_that_is_away_for_a_moment_is_waited_for() -> None:
    ledger = opened(away=range(1, 4))

    async def run() -> bool:
        async with Writer(ledger.write) as writer:
            return all(await asyncio.gather(*(writer.put("a", [receipt(name)]) for name in "123")))

    assert asyncio.run(run())
    assert ledger.commits == [{"a": ["1", "2", "3"]}]


@pytest.mark.slow
def test_who_has_waited_too_long_is_told_so_and_is_not_written_behind_his_back_later() -> None:
    ledger = opened(away=range(1, 10**9))

    async def run() -> list[bool]:
        async with Writer(ledger.write, patience=0.3) as writer:
            said = [await writer.put("a", [receipt("1")]), await writer.works()]
            ledger.away = ()
            return [*said, await writer.put("a", [receipt("2")]), await writer.works()]

    assert asyncio.run(run()) == [False, False, True, True]
    assert [commit for commit in ledger.commits if commit] == [{"a": ["2"]}]


def test_one_that_the_ledger_refuses_takes_nobody_along() -> None:
    ledger = Ledger()

    async def run() -> list[bool | BaseException]:
        async with Writer(ledger.write) as writer:
            puts = [asyncio.create_task(writer.put("a", [receipt(name)])) for name in ("1", "bad", "2")]
            await asyncio.sleep(0)
            ledger.open.set()
            return list(await asyncio.gather(*puts, return_exceptions=True))

    first, second, third = asyncio.run(run())
    assert (first, third) == (True, True)
    assert isinstance(second, RefusedError)
    assert ledger.commits == [{"a": ["1"]}, {"a": ["2"]}]


def test_one_over_which_the_ledger_stumbles_takes_nobody_along(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody knows why; so it is not acknowledged, and not tried for as long as patience lasts."""
    ledger = Ledger()

    async def run() -> list[bool]:
        async with asyncio.timeout(20), Writer(ledger.write, patience=1000) as writer:
            puts = [asyncio.create_task(writer.put("a", [receipt(name)])) for name in ("1", "odd", "2")]
            await asyncio.sleep(0)
            ledger.open.set()
            return [*await asyncio.gather(*puts), await writer.works()]

    assert asyncio.run(run()) == [True, False, True, True]
    assert ledger.commits == [{"a": ["1"]}, {"a": ["2"]}, {}]
    assert caplog.messages == ["receipts_failed route=a problem=ZeroDivisionError"]


def test_a_ledger_that_goes_away_while_each_is_written_by_itself_is_waited_for() -> None:
    ledger = Ledger(away=[4])

    async def run() -> list[bool | BaseException]:
        async with Writer(ledger.write) as writer:
            puts = [asyncio.create_task(writer.put("a", [receipt(name)])) for name in ("1", "bad", "2", "3")]
            await asyncio.sleep(0)
            ledger.open.set()
            return list(await asyncio.gather(*puts, return_exceptions=True))

    said = asyncio.run(run())
    assert [one is True for one in said] == [True, False, True, True]
    assert ledger.commits == [{"a": ["1"]}, {"a": ["2", "3"]}]  # in their order


def test_it_goes_on_after_a_failure_that_nobody_waits_for() -> None:
    """Who waited has gone by the time of the next try, and that one fails in another way."""
    failures = [LedgerError("the database cannot be reached"), DataError("", None, ValueError())]
    tried = [threading.Event(), threading.Event()]

    def write(_: object) -> None:
        if failures:
            tried[-len(failures)].set()
            raise failures.pop(0)

    async def run() -> bool:
        async with Writer(write) as writer:
            put = asyncio.create_task(writer.put("a", [receipt("1")]))
            await asyncio.to_thread(tried[0].wait, 20)
            put.cancel()
            await asyncio.to_thread(tried[1].wait, 20)
            return await writer.put("a", [receipt("2")])

    assert asyncio.run(run())


@pytest.mark.parametrize("waiting", [0, 3])
def test_it_ends_while_some_still_wait(waiting: int) -> None:
    ledger = opened()

    async def run() -> None:
        async with Writer(ledger.write) as writer:
            puts = [asyncio.create_task(writer.put("a", [receipt("1")])) for _ in range(waiting)]
            await asyncio.sleep(0)
            for put in puts:
                put.cancel()

    asyncio.run(run())
