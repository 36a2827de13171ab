"""Everything a provider may do to us. Data: a script for the sandbox, and how often it must come up."""

import time
from functools import partial
from typing import Any

from bulk_dispatch.domain.doubt_policy import SETTLING
from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers import PROVIDERS
from tests.faults.cases.case import Case
from tests.faults.provider import ASKS, LATE, SENDS, each
from tests.faults.world import AT_MOST_ONCE, BOTH, EVERY, Batch, World

Rule = dict[str, Any]

IDLE = 0.6  # seconds; longer than those connections are kept that leave doubt
UNASKED_SENDS = [(name, command) for name, command in SENDS if PROVIDERS[name].doubt not in SETTLING]

REFUSED = {
    "alphasms-xml": 202,
    "alphasms-http": "login",
    "webcom-xml": "login",
    "smartswitch": "authentication",
}
BLOCKED = {"alphasms-xml": 205, "webcom-xml": "blocked"}


def misbehaving(world: World, batch: Batch, *, rules: list[Rule], times: int) -> None:
    """The sandbox follows a script until each rule of it has come up often enough."""
    world.provider.script(*rules)
    world.enqueue(batch)
    world.provider.await_met(times)
    batch.over()
    world.provider.script()


def understood_all_the_same(world: World, batch: Batch, *, rules: list[Rule]) -> None:
    """What they answer is strange, and whole: no message is in doubt for it."""
    misbehaving(world, batch, rules=rules, times=1)
    world.await_settled(batch, within=60)
    batch.over()  # until then we waited, and not they
    assert not world.doubted(batch), "a whole answer was not understood"


def hanging_up_when_idle(world: World, batch: Batch) -> None:
    """Connections that were idle for a while close just as they are used again: where nobody can be asked
    none is, and the campaign comes in three waves."""
    world.provider.script(*each({"do": "drop_idle", "seconds": IDLE}, UNASKED_SENDS))
    for part in range(3):
        world.enqueue(batch, slice(part * 100, (part + 1) * 100))
        world.await_settled(batch, within=60)
        time.sleep(2 * IDLE)
    batch.over()
    assert not world.doubted(batch), "a connection was used again that might close"


def shutting_the_door(
    world: World, batch: Batch, *, codes: dict[str, object], routes: tuple[str, ...]
) -> None:
    """They refuse the account; the routes stop, until an operator has settled it with them."""
    rules = [{"do": "error", "code": code, "when": {"provider": name}} for name, code in codes.items()]
    world.provider.script(*rules)
    world.enqueue(batch)
    world.await_stopped(*routes)
    world.provider.script()
    world.resume(*routes)


def refusing_questions(world: World, batch: Batch, *, rules: list[Rule]) -> None:
    """No page that tells states or jobs is in our contract, until it is: all is sent meanwhile."""
    world.provider.script(*rules)
    world.enqueue(batch)
    world.provider.await_met()
    world.await_left(batch)
    assert not world.stopped(), "a question stopped the sending"
    batch.over()
    world.provider.script()


def refusing_connections(world: World, batch: Batch) -> None:
    world.provider.proxy.refuse()
    world.enqueue(batch)
    world.await_entered(batch, Status.QUEUED)
    time.sleep(3)
    world.provider.proxy.mend()


def cutting_connections(world: World, batch: Batch) -> None:
    """Requests and answers end anywhere."""
    world.enqueue(batch)
    for place in (1_000, 20_000, 5_000):
        assert world.provider.proxy.cut_after(place, "up").wait(30)
        assert world.provider.proxy.cut_after(place // 10, "down").wait(30)


def silent(world: World, batch: Batch) -> None:
    world.provider.proxy.silence()
    world.enqueue(batch)
    world.await_status(batch, Status.IN_DOUBT)
    world.provider.proxy.mend("dead")


def case(name: str, *rules: Rule, routes: tuple[str, ...] = EVERY, times: int = 1) -> Case:
    """A case whose fault is a script."""
    return Case(name, partial(misbehaving, rules=list(rules), times=times), routes=routes)


def sending(do: str, **more: object) -> list[Rule]:
    """The fault meets the first requests that send, in every dialect for which it has a meaning."""
    return each({"do": do, "times": 2, **more}, SENDS)


def asking(do: str, **more: object) -> list[Rule]:
    """The fault meets the first questions for states."""
    return [*each({"do": do, "times": 2, **more}, ASKS), LATE]


def jobs(do: str) -> Rule:
    """The fault meets the first jobs."""
    return {"do": do, "when": {"command": "message-async"}, "times": 2}


REFUSED_PAGE: Rule = {"do": "http", "code": 404}
NO_JOBS: Rule = {**REFUSED_PAGE, "when": {"command": "job"}}


MONEY = [
    {
        "do": "message_code",
        "code": 206,
        "when": {"provider": "alphasms-xml", "command": "message"},
        "times": 2,
    },
    {"do": "message_code", "code": 2, "when": {"provider": "webcom-xml", "command": "send"}, "times": 2},
    {"do": "error", "code": "no_money", "when": {"provider": "smartswitch"}, "times": 2},
]
"""For a while they have none of ours left."""

PROVIDER = (
    Case("provider_refuses_connections", refusing_connections, routes=("far",)),
    Case("provider_connections_cut", cutting_connections, routes=("far",)),
    Case("provider_network_silent", silent, routes=("far",)),
    Case(
        "provider_closes_idle_connections",
        hanging_up_when_idle,
        messages=300,
        routes=tuple(sorted(AT_MOST_ONCE)),
    ),
    case("provider_times_out_before_taking", *sending("slow_before", seconds=3)),
    case("provider_times_out_after_taking", *sending("slow", seconds=3)),
    case("provider_hangs_up_before_taking", *sending("drop_before")),
    case("provider_hangs_up_after_taking", *sending("drop_after")),
    case("provider_cuts_its_answer", *sending("cut")),
    case("provider_500_before_taking", *sending("http", code=500, take=False)),
    case("provider_502_after_taking", *sending("http", code=502, take=True)),
    case("provider_answers_truncated", *sending("truncated")),
    case("provider_answers_empty", *sending("empty")),
    case("provider_answers_html", *sending("html")),
    case("provider_answers_a_megabyte_of_blanks", *sending("megabyte")),
    case("provider_answers_with_a_wrong_root", *sending("wrong_root")),
    case("provider_answers_in_a_wrong_encoding", *sending("wrong_encoding")),
    case("provider_answers_nested_deep", *sending("deep")),
    case("provider_answers_with_a_doctype", *sending("doctype")),
    *(
        Case(
            f"provider_answers_in_{coding.replace(' ', '_')}",
            partial(
                understood_all_the_same,
                rules=[*sending("compressed", coding=coding), *asking("compressed", coding=coding)],
            ),
        )
        for coding in ("gzip", "deflate", "br", "zstd")
    ),
    *(
        Case(
            f"provider_answers_among_{noise.replace(' ', '_')}",
            partial(
                understood_all_the_same, rules=[*sending("noisy", noise=noise), *asking("noisy", noise=noise)]
            ),
        )
        for noise in ("warning", "marks")
    ),
    case("provider_leaves_items_out", *sending("missing", share=0.5), *asking("missing", share=0.5)),
    case("provider_adds_items", *sending("extra", count=5), *asking("extra", count=5)),
    case("provider_reorders_items", *sending("wrong_order"), *asking("wrong_order")),
    case("provider_repeats_items", *sending("duplicate_items"), *asking("duplicate_items")),
    case("provider_uses_unknown_codes", *sending("unknown_code"), *asking("unknown_code")),
    case("provider_throttles", *sending("throttle")),
    case(
        "provider_has_an_unknown_error",
        *each({"do": "error", "code": 200, "take": True, "times": 2}, SENDS),
        *each({"do": "error", "code": "timeout", "take": True, "times": 2}, SENDS),
    ),
    case("provider_says_money_is_out", *MONEY, routes=("sync", "webcom", "smartswitch")),
    Case("provider_refuses_the_key", partial(shutting_the_door, codes=REFUSED, routes=EVERY)),
    Case(
        "provider_blocks_the_account",
        partial(shutting_the_door, codes=BLOCKED, routes=(*BOTH, "webcom")),
        routes=(*BOTH, "webcom"),
    ),
    case("provider_breaks_jobs_off", jobs("job_failed"), routes=("async",)),
    case("provider_forgets_jobs", jobs("job_notfound"), routes=("async",)),
    Case(
        "questions_refused",
        partial(refusing_questions, rules=[*each(REFUSED_PAGE, ASKS), NO_JOBS, LATE]),
    ),
    case("status_times_out", *asking("slow", seconds=3)),
    case("status_answers_truncated", *asking("truncated")),
    case("status_answers_500", *asking("http", code=500)),
)
