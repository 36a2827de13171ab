"""`worker resolve`: what is in doubt with what is known of it, and a person's word about it."""

import getpass
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Annotated, Any

import typer

from bulk_dispatch.cli.arguments import OfProducer, Yes, ask_first, names, remark
from bulk_dispatch.cli.context import migrated_ledger, opened_intake, servers
from bulk_dispatch.cli.known_names import check_route, check_selection
from bulk_dispatch.cli.output import Json, complain, emit, out, progress, say, table
from bulk_dispatch.config.routes_file import LONGEST, duration, names_only, read_routes
from bulk_dispatch.config.settings import Settings, SettingsError
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.status import Status
from bulk_dispatch.domain.validation import mask
from bulk_dispatch.ledger import Ledger, LedgerError
from bulk_dispatch.ledger.in_doubt import Chunk, Doubtful, DoubtList, DoubtSelection, Resolution, in_doubt
from bulk_dispatch.providers.code_texts import in_words
from bulk_dispatch.routing import Route, build_routes
from bulk_dispatch.stages.resolve import Decision, policy_of, selected, unsettled
from bulk_dispatch.stages.resolve import resolve as settle_chunks

SHOWN = 50  # messages listed, unless --limit says otherwise

Lines = Mapping[str, Route]


def resolve(
    client_ids: Annotated[
        list[str] | None, typer.Argument(help="Messages by the ids you gave them.", show_default=False)
    ] = None,
    resolution: Annotated[
        Resolution | None,
        typer.Option(
            "--as", help="Settle them: sent, rejected, or requeue (send again although they may have it)."
        ),
    ] = None,
    route: Annotated[str, typer.Option(help="Those of this route.")] = "",
    campaign: Annotated[str, typer.Option(help="Those of this campaign.")] = "",
    producer: OfProducer = "",
    older_than: Annotated[
        str, typer.Option(help='Those in doubt for longer than this, such as "30m" or "2h".')
    ] = "",
    collided: Annotated[
        bool, typer.Option("--collided", help="Those held for a collision: their ids were used by others.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="All that is in doubt.")] = False,
    yes: Yes = False,
    reason: Annotated[
        str, typer.Option("--reason", help="How you know, for the record. Needed with --as.")
    ] = "",
    by: Annotated[str, typer.Option(help="Who says so, for the record. Default: your user name.")] = "",
    limit: Annotated[
        int | None, typer.Option(min=0, help=f"Messages to list; 0 for all. Default: {SHOWN}.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what is in doubt with what is known of it; with --as, settle it by hand.

    sent: the provider has it; it is asked about like any other message sent. rejected: the provider refused
    it, and that is its end. requeue: it is sent again ALTHOUGH THE PROVIDER MAY HAVE IT, so somebody may get
    it twice; this uses up no attempt, and works when none is left.

    Name messages, or select them with --route, --campaign, --producer, --older-than and --collided (all that
    are given must fit) or --all. With ids, --producer says whose they are. What is settled meanwhile by
    others stays as it is. Without ids, --route or --campaign, --as asks at a terminal, and elsewhere wants
    --yes. Exit code 1 if a message you named could not be settled, or if there is no such route, campaign or
    producer.
    """
    selection = DoubtSelection(
        names(client_ids or []),
        route,
        campaign,
        _age(older_than) if older_than else timedelta(0),
        producer,
        collided,
    )
    _check_selection(selection, everything=everything)
    if resolution is None:
        if reason or by:
            raise typer.BadParameter("--reason and --by are for the record of what --as settles")
        _with_ledger(lambda opened: _list(opened, selection, limit, as_json=as_json))
        return
    if limit is not None:
        raise typer.BadParameter("--limit is for the list; --as settles all that is selected")
    if selection == DoubtSelection() and not everything:
        raise typer.BadParameter(
            "say which: name messages, or give --route, --campaign, --producer, --older-than, --collided or "
            "--all"
        )
    decision = Decision(
        resolution, by=remark("--by", by or _user(), 64), reason=remark("--reason", reason, 200)
    )
    _with_ledger(lambda opened: _settle(opened, selection, decision, yes=yes, as_json=as_json))


# -- what is given -----------------------------------------------------------------------------------


def _age(written: str) -> timedelta:
    try:
        age = duration("--older-than", written)
    except SettingsError as problem:
        raise typer.BadParameter(str(problem)) from None
    if age > LONGEST:
        raise typer.BadParameter(f"--older-than may be at most {LONGEST.days}d, got {written}")
    return age


def _check_selection(selection: DoubtSelection, *, everything: bool) -> None:
    of_whom = selection.producer and not selection.client_ids  # whose the ids are narrows nothing
    narrowed = (selection.route, selection.campaign, selection.older_than, selection.collided, of_whom)
    if sum(map(bool, (selection.client_ids, any(narrowed), everything))) > 1:
        raise typer.BadParameter("name messages, or select them, or say --all: one of the three")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a number without a name, as in a container
        return ""


@dataclass(frozen=True, slots=True)
class _Opened:
    """What the two need open."""

    settings: Settings
    ledger: Ledger
    routes: Lines

    def check(self, selection: DoubtSelection) -> None:
        """A name nobody knows is a slip of the pen, where it selects nothing."""
        check_route(self.ledger, selection.route, self.routes)
        check_selection(self.ledger, selection.campaign, "" if selection.client_ids else selection.producer)


def _with_ledger(work: Callable[[_Opened], None]) -> None:
    with servers() as settings, migrated_ledger(settings) as ledger:
        work(_Opened(settings, ledger, build_routes(read_routes(settings.routes, secret=names_only))))


# -- the list ----------------------------------------------------------------------------------------


def _list(opened: _Opened, selection: DoubtSelection, limit: int | None, *, as_json: bool) -> None:
    most = SHOWN if limit is None else limit
    with opened.ledger.snapshot() as connection:
        found = in_doubt(connection, selection, most or None)
    if not found.total:
        opened.check(selection)
    messages = [_plain(message, opened.routes.get(message.route)) for message in found.messages]
    if as_json:
        emit(
            {
                "total": found.total,
                "by_route": found.by_route,
                "collided": found.collided,
                "messages": messages,
            }
        )
    else:
        _show(found, messages)


def _plain(message: Doubtful, route: Route | None) -> dict[str, Any]:
    """A message in doubt as plain values; `policy` is what settles it, as the routes file stands now."""
    plain = asdict(message)
    del plain["own"]
    policy, whose = policy_of(message, route)
    return {
        **plain,
        "recipient": mask(message.recipient),
        "reference": message.reference + route.config.reference_offset if route else None,
        "policy": policy,
        "policy_of": whose,
    }


def _told_code(message: Mapping[str, Any]) -> str:
    return in_words(message["provider"], message["code"], Status.IN_DOUBT)


_COLUMNS: Mapping[str, Callable[[dict[str, Any]], object]] = {
    "client id": lambda m: m["client_id"],
    "producer": lambda m: m["producer"] or None,
    "recipient": lambda m: m["recipient"],
    "route": lambda m: m["route"],
    "campaign": lambda m: m["campaign"],
    "#package": lambda m: m["package_id"],
    "#our id": lambda m: m["reference"],
    "their id": lambda m: m["provider_message_id"],
    "since (UTC)": lambda m: m["since"] and f"{m['since']:%m-%d %H:%M}",
    "#asked": lambda m: m["asked"] or None,
    "#attempts": lambda m: m["attempts"] or None,
    "policy": lambda m: m["policy"] and f"{m['policy']} ({m['policy_of']})",
    "reason": lambda m: ": ".join(filter(None, (_told_code(m), m["reason"]))) or None,
}


def _show(found: DoubtList, messages: Sequence[dict[str, Any]]) -> None:
    if not found.total:
        out.print("Nothing is in doubt.", style="green")
        return
    told = {head: [cell(message) for message in messages] for head, cell in _COLUMNS.items()}
    kept = {head: cells for head, cells in told.items() if any(cell is not None for cell in cells)}
    table("In doubt, the longest first", list(kept), zip(*kept.values(), strict=True))
    if found.total > len(messages):
        out.print(f"and {found.total - len(messages):,} more; --limit 0 lists all", style="dim")
    table("", *_counted(found))


def _counted(found: DoubtList) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """How many by route, those that collided apart if there are any: heads and rows."""
    rows = [
        (name, f"{count:,}", f"{found.collided.get(name, 0):,}") for name, count in found.by_route.items()
    ]
    heads = ("route", "#in doubt", "#of them collided")
    return (heads, rows) if found.collided else (heads[:2], [row[:2] for row in rows])


# -- a person's word ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Settled:
    """What was settled so far. `settled_ids` are kept only of messages that were named."""

    found: int
    by_route: Counter[str] = field(default_factory=Counter)
    settled_ids: set[str] = field(default_factory=set)
    stopped: str = ""

    @property
    def settled(self) -> int:
        return self.by_route.total()


def _settle(
    opened: _Opened, selection: DoubtSelection, decision: Decision, *, yes: bool, as_json: bool
) -> None:
    found = selected(opened.ledger, selection)
    if not found:
        opened.check(selection)
    if not (selection.client_ids or selection.route or selection.campaign):
        ask_first(
            f"{_count(found):,} messages, of every route, are settled as {decision.resolution}", yes=yes
        )
    tally = _settle_chunks(opened, found, decision, named=bool(selection.client_ids))
    left = _unsettled(opened.ledger, selection, tally)
    if decision.resolution is Resolution.REQUEUE:
        _notify(opened.settings, tally.by_route.keys() & opened.routes.keys())
    if as_json:
        emit(_report(decision, tally, left))
    else:
        out.print(f"Settled {tally.settled:,} as {decision.resolution}.", markup=False)
    _complain(tally, left)
    if tally.stopped or left:
        raise typer.Exit(1)


def _settle_chunks(opened: _Opened, found: Sequence[Chunk], decision: Decision, *, named: bool) -> _Settled:
    """All that was found, before a bar that shows how far it is. What ends it leaves whole chunks behind."""
    tally = _Settled(_count(found))
    with progress() as bar:
        task = bar.add_task(f"settled as {decision.resolution}", total=tally.found, rate="")
        steps = settle_chunks(opened.ledger, opened.routes, found, decision)
        try:
            for chunk, settled in zip(found, steps, strict=True):
                tally.by_route.update(message.route for message in settled)
                if named:
                    tally.settled_ids.update(message.client_id for message in settled)
                bar.advance(task, len(chunk.message_ids))
        except LedgerError as problem:
            tally.stopped = str(problem)
        except BaseException:
            complain(
                f"stopped: {tally.settled:,} of {tally.found:,} are settled, the others are as they were"
            )
            raise
    return tally


def _count(found: Sequence[Chunk]) -> int:
    return sum(len(chunk.message_ids) for chunk in found)


def _unsettled(ledger: Ledger, selection: DoubtSelection, tally: _Settled) -> Mapping[str, Status | None]:
    """Where the messages stand that were named and are not settled; if the ledger has gone away, only which
    they are."""
    try:
        return unsettled(ledger, selection, tally.settled_ids)
    except LedgerError:
        if not tally.stopped:
            raise
        return dict.fromkeys(name for name in selection.client_ids if name not in tally.settled_ids)


def _report(decision: Decision, tally: _Settled, left: Mapping[str, Status | None]) -> dict[str, Any]:
    return {
        "as": decision.resolution,
        "by": decision.by,
        "reason": decision.reason,
        "settled": tally.settled,
        "by_route": dict(sorted(tally.by_route.items())),
        "unsettled": left,
        "stopped": tally.stopped,
    }


def _complain(tally: _Settled, left: Mapping[str, Status | None]) -> None:
    missed = tally.found - tally.settled
    if tally.stopped:
        complain(f"stopped with {missed:,} to go: {tally.stopped}. They are as they were; say it again")
    elif missed and not left:
        say(f"{missed:,} were settled by others meanwhile.")
    for name, status in left.items():
        if status is Status.IN_DOUBT:
            complain(f"{name!r} is still in doubt")
        elif status:
            complain(f"{name!r} is not in doubt: it is {status}")
        elif not tally.stopped:
            complain(f"no message {name!r} in the ledger")


def _notify(settings: Settings, routes: Iterable[str]) -> None:
    """What is queued again leaves at once; unheard, it leaves when beat comes by."""
    from bulk_dispatch.messaging.celery_app import BrokerError, celery_app
    from bulk_dispatch.messaging.wakeup import Notifier  # Celery takes its time to load

    try:
        app = celery_app(settings.broker_url)
    except BrokerError as problem:
        say(f"no wake-up sent: {problem}")
        return
    with opened_intake(settings) as intake:
        notifier = Notifier(app, intake)
        for route in routes:
            for lane in Lane:
                notifier.notify("dispatch", f"{route}:{lane.value}")
