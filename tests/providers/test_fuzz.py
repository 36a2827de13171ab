"""The fuzzer itself: it finds what is wrong, keeps it, and says nothing where all is well."""

from dataclasses import replace
from pathlib import Path

import pytest

from bulk_dispatch.providers.interface import Reply
from tests.providers.fuzz import KEPT, unresolvable
from tests.providers.reach import telling
from tests.providers.rules import Outcome
from tests.providers.seeds import Target, targets

ALL = targets()


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return replace(ALL[0], root=tmp_path)


def test_every_reader_is_fed() -> None:
    assert len(ALL) == len({target.folder for target in ALL})
    for target in ALL:
        target.feed(target.question.good)


@pytest.mark.parametrize("problem", [RecursionError("too deep"), KeyError("id"), AssertionError("a rule")])
def test_it_finds_and_keeps_what_makes_a_reader_fail(target: Target, problem: Exception) -> None:
    def read(reply: Reply) -> Outcome:
        if b"203" in reply.body:
            raise problem
        return target.question.read(reply)

    broken = replace(target, question=replace(target.question, read=read))
    ran = unresolvable(broken, 5_000, 60, seed=1)
    assert ran.failures == KEPT
    assert len(broken.kept()) == KEPT
    for path in broken.kept():
        with pytest.raises(type(problem)):
            broken.feed(path.read_bytes())


def test_it_says_nothing_where_all_is_well(target: Target) -> None:
    ran = unresolvable(target, 300, 60, seed=1)
    assert (ran.inputs, ran.failures) == (300, 0)
    assert not target.kept()


def test_the_same_chance_leads_the_same_way(target: Target) -> None:
    seen: list[list[bytes]] = []
    for _ in range(2):
        bodies: list[bytes] = []

        def read(reply: Reply, bodies: list[bytes] = bodies) -> Outcome:
            bodies.append(reply.body)
            return target.question.read(reply)

        unresolvable(replace(target, question=replace(target.question, read=read)), 50, 60, seed=7)
        seen.append(bodies)
    assert seen[0] == seen[1]


def test_what_tells_nothing_new_is_not_kept(target: Target) -> None:
    good = target.question.good
    bodies = [good, b"", b"<html/>", b"<html> </html>", good.replace(b">1<", b">100<"), b"<p", b"<q"]
    assert telling(target, bodies, 10) == [b"", b"<html/>", b"<p"]
    assert telling(target, bodies, 1) == [b""]
