"""The writer: many are written together, and each hears of its own."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from sqlalchemy.exc import DataError

from worker.ledger import LedgerError
from worker.providers.contract import Receipt
from worker.sms.status import Status
from worker.web.writer import MOST, RefusedError, Writer


def receipt(name: str) -> Receipt:
    return Receipt(name, Status.DELIVERED)


@dataclass
class Ledger:
    """What was written, commit by commit. It stands still while `open` is not set, fails as often as `away`
    says, and refuses what is called bad."""

    away: int = 0
    commits: list[dict[str, list[str]]] = field(default_factory=list)
    tries: int = 0
    open: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def write(self, told: Mapping[str, Sequence[Receipt]]) -> None:
        self.tries += 1
        self.entered.set()
        assert self.open.wait(20)
        if self.tries <= self.away:
            raise LedgerError("the database cannot be reached")
        names = {route: [one.id for one in some] for route, some in told.items()}
        if any("bad" in some for some in names.values()):
            raise DataError("", None, ValueError("no such text"))
        self.commits.append(names)


def opened(away: int = 0) -> Ledger:
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


def test_a_ledger_that_is_away_for_a_moment_is_waited_for() -> None:
    ledger = opened(away=3)

    async def run() -> bool:
        async with Writer(ledger.write) as writer:
            return all(await asyncio.gather(*(writer.put("a", [receipt(name)]) for name in "123")))

    assert asyncio.run(run())
    assert ledger.commits == [{"a": ["1", "2", "3"]}]


def test_who_has_waited_too_long_is_told_so_and_is_not_written_behind_his_back_later() -> None:
    ledger = opened(away=10**9)

    async def run() -> list[bool]:
        async with Writer(ledger.write, patience=0.3) as writer:
            said = [await writer.put("a", [receipt("1")]), await writer.works()]
            ledger.away = 0
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


def test_what_nobody_expected_is_no_acknowledgement() -> None:
    def write(_: object) -> None:
        raise ZeroDivisionError

    async def run() -> bool:
        async with Writer(write, patience=0.3) as writer:
            return await writer.put("a", [receipt("1")])

    assert not asyncio.run(run())


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
