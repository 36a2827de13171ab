"""`worker cancel`: withdraws what is queued, and asks providers to forget what they hold."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from bulk_dispatch.cli.arguments import OfProducer, Yes, ask_first, names, remark
from bulk_dispatch.cli.context import opened_runtime, servers
from bulk_dispatch.cli.known_names import check_route, check_selection
from bulk_dispatch.cli.output import Json, complain, emit, out, progress, say, table
from bulk_dispatch.ledger import LedgerError
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.cancel import CancelSelection, Fate, cancel_all, cancel_names

Step = tuple[Mapping[Fate, int], Mapping[str, Fate]]

MEANING = {
    Fate.CANCELLED_QUEUED: "withdrawn before they left",
    Fate.CANCELLED_AT_PROVIDER: "dropped by the provider",
    Fate.CANCELLED_BEFORE: "cancelled already",
    Fate.TOO_LATE: "too late: they have left the provider, or come to an end",
    Fate.CANNOT: "at a provider that cannot cancel, or the route is gone, or has another account now",
    Fate.UNKNOWN: "known to nobody by that id",
    Fate.UNANSWERED: "the provider gave no answer: say it again",
    Fate.ON_THE_WIRE: "on the wire, not cancelled: say it again",
    Fate.IN_DOUBT: "in doubt, not cancelled: see worker resolve",
}
_DONE = (Fate.CANCELLED_QUEUED, Fate.CANCELLED_AT_PROVIDER, Fate.CANCELLED_BEFORE)


def cancel(
    client_ids: Annotated[
        list[str] | None, typer.Argument(help="Messages by the ids you gave them.", show_default=False)
    ] = None,
    campaign: Annotated[str, typer.Option(help="Those of this campaign.")] = "",
    route: Annotated[str, typer.Option(help="Those of this route.")] = "",
    producer: OfProducer = "",
    everything: Annotated[bool, typer.Option("--all", help="All there are.")] = False,
    yes: Yes = False,
    reason: Annotated[
        str, typer.Option("--reason", help="The reason, for the record.")
    ] = "cancelled by hand",
    as_json: Json = False,
) -> None:
    """Withdraw what is queued, and ask providers to forget what they hold.

    Name messages, or select them with --campaign, --route and --producer (all that are given must fit) or
    --all. With ids, --producer says whose they are. What is queued is surely withdrawn. What a provider has,
    it is asked to cancel; it may be too late, or unable. What is on the wire or in doubt is not cancelled. To
    interrupt it undoes nothing; say it again, and it goes on.

    --all asks at a terminal, and elsewhere wants --yes. Exit code 1 if it could not go on, if a provider gave
    no answer, if one you named is not cancelled, or if there is no such route, campaign or producer.
    """
    selection, named = CancelSelection(route, campaign, producer), names(client_ids or [])
    narrowed = selection != CancelSelection(producer=producer if named else "")
    if sum(map(bool, (named, narrowed, everything))) != 1:
        raise typer.BadParameter(
            "name messages, or give --campaign, --route or --producer, or --all: one of the three"
        )
    note = remark("--reason", reason, 200)
    if everything:
        ask_first("--all cancels every message there is, of all routes", yes=yes)
    with servers() as settings, opened_runtime(settings) as runtime:
        check_route(runtime.ledger, route, runtime.routes)
        if named:
            tally = run(_by_name(runtime, named, note, producer))
        else:
            tally = run((counts, {}) for counts in cancel_all(runtime, selection, note))
        waiting = sum(runtime.intake.waiting().values()) + runtime.intake.set_aside()
        if not (named or tally.counts.total() or tally.stopped):
            _tell(tally, waiting)
            check_selection(runtime.ledger, campaign, producer)
            waiting = 0  # that was told
    if as_json:
        emit(_plain(tally, note, named=bool(named)))
    else:
        _show(tally)
    _tell(tally, waiting)
    if tally.stopped or tally.left or tally.counts[Fate.UNANSWERED]:
        raise typer.Exit(1)


@dataclass(slots=True)
class Tally:
    """What was done so far. `left` are the messages that were named and are not cancelled."""

    counts: Counter[Fate] = field(default_factory=Counter)
    left: dict[str, Fate] = field(default_factory=dict)
    stopped: str = ""


def _by_name(runtime: Runtime, named: tuple[str, ...], note: str, producer: str) -> Iterator[Step]:
    for fates in cancel_names(runtime, named, note, producer):
        yield Counter(fates.values()), {name: fate for name, fate in fates.items() if fate not in _DONE}


def run(steps: Iterator[Step]) -> Tally:
    """Take the steps of a cancellation, and count. What ends it leaves whole steps behind."""
    tally = Tally()
    with progress() as bar:
        task = bar.add_task("looked at", total=None, rate="")
        try:
            for counts, left in steps:
                tally.counts.update(counts)
                tally.left.update(left)
                bar.update(task, completed=tally.counts.total())
        except LedgerError as problem:
            tally.stopped = str(problem)
        except BaseException:
            complain(f"stopped: {_cancelled(tally):,} are cancelled; say it again, and it goes on")
            raise
    return tally


def _cancelled(tally: Tally) -> int:
    return tally.counts[Fate.CANCELLED_QUEUED] + tally.counts[Fate.CANCELLED_AT_PROVIDER]


def _plain(tally: Tally, note: str, *, named: bool) -> dict[str, Any]:
    return {
        "reason": note,
        **{fate.value: tally.counts[fate] for fate in Fate},
        **({"left": tally.left} if named else {}),
        "stopped": tally.stopped,
    }


def _show(tally: Tally) -> None:
    if not tally.counts.total():
        out.print("Nothing was there to cancel.")
        return
    rows = [(f"{tally.counts[fate]:,}", MEANING[fate]) for fate in Fate if tally.counts[fate]]
    table("Cancelled", ("#messages", "what became of them"), rows)


def _tell(tally: Tally, waiting: int) -> None:
    if tally.stopped:
        complain(f"stopped: {tally.stopped}. What is cancelled stays so; say it again")
    for name, fate in tally.left.items():
        complain(f"{name!r} is not cancelled: {fate.value.replace('_', ' ')}")
    if waiting:
        say(f"{waiting:,} messages still wait in the intake; those are not cancelled.")
