"""Everything a provider may do to us. Data: a script for the sandbox, and how often it must come up."""

import time
from functools import partial
from typing import Any

from tests.faults.cases.case import Case
from tests.faults.world import BOTH, Batch, World
from worker.sms.status import Status

Rule = dict[str, Any]

SENDING = ("message", "message-async")


def misbehaving(world: World, batch: Batch, *, rules: list[Rule], times: int) -> None:
    """The sandbox follows a script until it has come up often enough."""
    world.provider.script(*rules)
    world.enqueue(batch)
    world.provider.await_met(times)
    batch.over()
    world.provider.script()


def shutting_the_door(world: World, batch: Batch, *, code: int) -> None:
    """They refuse the account; the routes stop, until an operator has settled it with them."""
    world.provider.script({"do": "error", "code": code, "when": {"command": "*"}})
    world.enqueue(batch)
    world.await_stopped(*BOTH)
    world.provider.script()
    world.resume(*BOTH)


def refusing_connections(world: World, batch: Batch) -> None:
    world.provider.proxy.refuse()
    world.enqueue(batch)
    world.await_status(batch, Status.QUEUED)
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


def case(name: str, *rules: Rule, routes: tuple[str, ...] = BOTH, times: int = 2) -> Case:
    """A case whose fault is a script."""
    return Case(name, partial(misbehaving, rules=list(rules), times=times), routes=routes)


def sending(do: str, times: int = 2, **more: object) -> list[Rule]:
    """The fault meets the first requests that send, in either mode."""
    return [{"do": do, "when": {"command": command}, "times": times, **more} for command in SENDING]


def asking(do: str, times: int = 2, **more: object) -> Rule:
    """The fault meets the first questions for states."""
    return {"do": do, "when": {"command": "status"}, "times": times, **more}


PROVIDER = (
    Case("provider_refuses_connections", refusing_connections, routes=("far",)),
    Case("provider_connections_cut", cutting_connections, routes=("far",)),
    Case("provider_network_silent", silent, routes=("far",)),
    case("provider_times_out_before_taking", *sending("slow_before", seconds=3), times=4),
    case("provider_times_out_after_taking", *sending("slow", seconds=3), times=4),
    case("provider_hangs_up_before_taking", *sending("drop_before"), times=4),
    case("provider_hangs_up_after_taking", *sending("drop_after"), times=4),
    case("provider_cuts_its_answer", *sending("cut"), times=4),
    case("provider_500_before_taking", *sending("http", code=500, take=False), times=4),
    case("provider_502_after_taking", *sending("http", code=502, take=True), times=4),
    case("provider_answers_truncated", *sending("truncated"), times=4),
    case("provider_answers_empty", *sending("empty"), times=4),
    case("provider_answers_html", *sending("html"), times=4),
    case("provider_answers_a_megabyte_of_blanks", *sending("megabyte"), times=4),
    case("provider_answers_with_a_wrong_root", *sending("wrong_root"), times=4),
    case(
        "provider_leaves_items_out", sending("missing", share=0.5)[0], asking("missing", share=0.5), times=4
    ),
    case("provider_adds_items", sending("extra", count=5)[0], asking("extra", count=5), times=4),
    case("provider_reorders_items", sending("wrong_order")[0], asking("wrong_order"), times=4),
    case("provider_repeats_items", sending("duplicate_items")[0], asking("duplicate_items"), times=4),
    case("provider_uses_unknown_codes", sending("unknown_code")[0], asking("unknown_code"), times=4),
    case("provider_throttles", *sending("throttle"), times=4),
    case("provider_has_an_unknown_error", *sending("error", code=200, take=True), times=4),
    case("provider_says_money_is_out", sending("message_code", code=206)[0], routes=("sync",)),
    Case("provider_refuses_the_key", partial(shutting_the_door, code=202)),
    Case("provider_blocks_the_account", partial(shutting_the_door, code=205)),
    case("provider_breaks_jobs_off", sending("job_failed")[1], routes=("async",)),
    case("provider_forgets_jobs", sending("job_notfound")[1], routes=("async",)),
    case("status_times_out", asking("slow", seconds=3)),
    case("status_answers_truncated", asking("truncated")),
    case("status_answers_500", asking("http", code=500)),
)
