"""`worker probe`: a handful of messages to a phone of one's own, that show how a provider reads us."""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Any, TypeAlias

import typer

from bulk_dispatch.cli.arguments import no_such
from bulk_dispatch.cli.context import servers
from bulk_dispatch.cli.output import Json, complain, emit, err, many, out, say, table
from bulk_dispatch.cli.probe_messages import Probe, probes
from bulk_dispatch.client import Dispatcher
from bulk_dispatch.config.routes_file import names_only, read_routes
from bulk_dispatch.config.settings import Settings
from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.status import FINAL, Status
from bulk_dispatch.domain.validation import MessageError, mask
from bulk_dispatch.ledger.queries import Event, History
from bulk_dispatch.providers.code_texts import in_words, meaning
from bulk_dispatch.routing import Route, build_routes

NAME = "probe"  # producer and campaign of these messages
SHOWN = 70  # characters of a text
EVERY = 0.5  # seconds between two looks


def probe(
    route: Annotated[str, typer.Argument(help="A route of the routes file.")],
    to: Annotated[str, typer.Option(help="Your own number: who gets the messages.", metavar="MY_NUMBER")],
    sender: Annotated[
        str, typer.Option(help="A sender that the account may use; with SMARTSwitch perhaps a number.")
    ] = "Probe",
    wait: Annotated[float, typer.Option(min=0, help="Seconds to follow them, until each has its end.")] = 120,
    yes: Annotated[bool, typer.Option("--yes", help="Send without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be sent; send nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Send yourself a handful of messages that show how a provider reads what its pages leave open.

    They go the way of all messages, and are billed. Tells what to look for on the phone, and which setting
    of the route follows from what you see. Exit code 1 if the provider did not take one of them in time.
    """
    with servers() as settings, closing(Dispatcher(settings)) as dispatcher:
        run = _made(dispatcher, _route(settings, route), to, sender)
        run.foretell(say if as_json else _plainly)
        if not dry_run:
            _send(dispatcher, run, asks=not yes)
        if not as_json:
            _tell_signs(run.sending)
        found = None if dry_run else _followed(dispatcher, run.sending, wait)
    if as_json:
        emit(run.as_plain(found))
    else:
        _show(run, found)
    if found is not None and not all(map(_was_taken, found.values())):
        raise typer.Exit(1)


Found: TypeAlias = Mapping[str, History | None]
"""What the ledger knows of each message, by the name of its probe; None of one that has not arrived there."""


@dataclass(frozen=True, slots=True)
class _Sending:
    """A probe and the message that carries it."""

    probe: Probe
    message: Message


@dataclass(frozen=True, slots=True)
class _Run:
    """What is sent to whom, and why other messages are left out, by their names."""

    route: Route
    to: str = field(repr=False)  # masked
    sending: Sequence[_Sending]
    left_out: Mapping[str, str]

    def foretell(self, tell: Callable[[str], None]) -> None:
        """What will be sent, before it is."""
        segments = sum(one.probe.content.segments or 1 for one in self.sending)
        tell(f"{many(len(self.sending), 'message')}, {many(segments, 'segment')}, to {self.to}:")
        for one in self.sending:
            tell(f"  {one.probe.name:<14}{one.probe.content.kind:<7}{_shown(one.probe)}")
        for name, problem in self.left_out.items():
            tell(f"  {name:<14}left out: {problem}")

    def as_plain(self, found: Found | None) -> dict[str, Any]:
        """All of it for programs; `found` is None if nothing was sent."""
        return {
            "route": self.route.config.name,
            "provider": self.route.config.provider,
            "to": self.to,
            "sent": 0 if found is None else len(self.sending),
            "messages": [_plain(one, found) for one in self.sending],
            "left_out": self.left_out,
        }


def _route(settings: Settings, name: str) -> Route:
    """The route of this name, or the end of the command with the names that are near."""
    routes = build_routes(read_routes(settings.routes, secret=names_only))
    if name in routes:
        return routes[name]
    raise no_such("route", name, list(routes))


def _made(dispatcher: Dispatcher, route: Route, to: str, sender: str) -> _Run:
    """The messages, and why others cannot be. Raises MessageError if none can."""
    now, name = datetime.now(UTC), uuid.uuid4().hex[:6]
    sending: list[_Sending] = []
    refused: dict[str, MessageError] = {}
    for one in probes(route.dialect, name, now):
        try:
            message = dispatcher.accept(_message(one, route, f"{NAME}-{name}-{one.name}", to, sender, now))
            sending.append(_Sending(one, message))
        except MessageError as problem:
            refused[one.name] = problem
    if not sending:
        raise next(iter(refused.values()))
    masked = mask(sending[0].message.recipient)
    return _Run(route, masked, sending, {name: str(problem) for name, problem in refused.items()})


def _message(one: Probe, route: Route, client_id: str, to: str, sender: str, now: datetime) -> Message:
    return Message.of(
        recipient=to,
        region=route.config.region,
        client_id=client_id,
        sender=sender,
        content=one.content,
        lane=Lane.URGENT,  # behind no campaign
        route=route.config.name,
        campaign=NAME,
        producer=NAME,
        valid_until=now + one.lasts if one.lasts else None,
        literal=True,
    )


# -- before


def _shown(one: Probe) -> str:
    """What is in it. The texts are our own, so they may be seen."""
    whole = " | ".join(one.content.as_dict().values()).replace("\n", " ⏎ ") or "no text"
    return whole if len(whole) <= SHOWN else f"{whole[:SHOWN]}…"


def _plainly(sentence: str) -> None:
    out.print(sentence, markup=False, soft_wrap=True)


def _send(dispatcher: Dispatcher, run: _Run, *, asks: bool) -> None:
    """Hand them over, if that is wanted; else this is the end of the command."""
    for notice in dispatcher.notices([run.route.config.name], [Lane.URGENT]):
        complain(notice)
    if asks:
        typer.confirm("Send them?", abort=True, err=True)
    dispatcher.enqueue_many(one.message for one in run.sending)


# -- what to look for


def _tell_signs(sending: Sequence[_Sending]) -> None:
    out.print("\nLook for", style="bold")
    for one in sending:
        _plainly(f"  {one.probe.name:<14}{one.probe.right}")
        for seen, advice in _advice(one.probe):
            _plainly(f"    or: {seen}")
            for words in advice:
                _plainly(f"      {words}")


def _advice(one: Probe) -> Iterable[tuple[str, list[str]]]:
    """What else may be seen, and all that may help."""
    for seen, signs in groupby(one.signs, key=lambda sign: sign.seen):
        yield seen, [f"set {sign.setting}: {sign.advice}" if sign.setting else sign.advice for sign in signs]


# -- after


def _followed(dispatcher: Dispatcher, sending: Sequence[_Sending], wait: float) -> Found:
    """What became of them, once all have their end or the time is up; tells on the way."""
    deadline = time.monotonic() + wait
    before: dict[str, str] = {}
    with err.status("waiting for their ends…"):
        while True:
            found = {one.probe.name: dispatcher.status(one.message.client_id, NAME) for one in sending}
            before = _tell_changes(before, {name: _status(history) for name, history in found.items()})
            left = deadline - time.monotonic()
            if all(one and one.status in FINAL for one in found.values()) or left <= 0:
                return found
            time.sleep(min(EVERY, left))


def _tell_changes(before: Mapping[str, str], after: dict[str, str]) -> dict[str, str]:
    for name, status in after.items():
        if status != before.get(name):
            say(f"{name}: {status}")
    return after


def _status(found: History | None) -> str:
    return found.status.value if found else "waiting"


def _was_taken(found: History | None) -> bool:
    """Whether the provider took it, whatever became of it then."""
    return found is not None and any(event.to_status == Status.SENT for event in found.events)


def _last_word(found: History | None) -> Event | None:
    """What last brought a code of the provider's."""
    coded = [event for event in found.events if event.code] if found else []
    return coded[-1] if coded else None


def _plain(one: _Sending, found: Found | None) -> dict[str, Any]:
    history = found[one.probe.name] if found else None
    last = _last_word(history)
    return {
        "name": one.probe.name,
        "client_id": one.message.client_id,
        "kind": one.probe.content.kind.value,
        "segments_estimated": one.probe.content.segments,
        "right": one.probe.right,
        "signs": [sign._asdict() for sign in one.probe.signs],
        "status": None if found is None else _status(history),
        "code": last and last.code,
        "meaning": (last and meaning(last.provider, last.code, last.to_status)) or None,
        "segments_billed": history.segments_billed if history else None,
    }


def _show(run: _Run, found: Found | None) -> None:
    if found is None:
        out.print("\nNothing is sent: --dry-run.")
        return
    out.print()
    heads = ("message", "status", "code", "#segments", "#by our count")
    table("What became of them", heads, [_cells(one, found[one.probe.name]) for one in run.sending])


def _cells(one: _Sending, found: History | None) -> tuple[object, ...]:
    last, segments = _last_word(found), found.segments_billed if found else None
    code = last and in_words(last.provider, last.code, last.to_status)
    return (one.probe.name, _status(found), code, segments, one.probe.content.segments)
