"""`worker dead-letters`: what could not become a message, with its reason."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from bulk_dispatch import dead_letters
from bulk_dispatch.cli.arguments import Yes, ask_first
from bulk_dispatch.cli.context import opened_intake, servers
from bulk_dispatch.cli.output import Json, WholeHelp, complain, emit, flow, out, progress, table
from bulk_dispatch.dead_letters import TELLING, DeadLetterSelection, Letter
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.intake import Intake

SHOWN = 20  # listed, unless --limit says otherwise

app = typer.Typer(
    help="What could not become a message, with its reason: see it, try it again, drop it.",
    no_args_is_help=True,
    cls=WholeHelp,
)

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Letters, by their ids.")]
Reason = Annotated[str, typer.Option(help="Those whose reason holds these words.")]
OfLane = Annotated[Lane | None, typer.Option("--lane", help="Those of this lane.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="All there are.")]


@app.command("list")
def list_letters(
    reason: Reason = "",
    lane: OfLane = None,
    limit: Annotated[int, typer.Option(min=0, help="How many to list; 0 for all.")] = SHOWN,
    as_json: Json = False,
) -> None:
    """How many there are of each reason, and the oldest of them; never what is in them."""
    counts: Counter[str] = Counter()
    oldest: list[Letter] = []
    with _intake() as intake:
        for page in dead_letters.pages(intake, DeadLetterSelection(reason=reason, lane=lane)):
            counts.update(one.reason for one in page)
            oldest += page[: (limit - len(oldest)) if limit else None]
    if as_json:
        emit(
            {
                "total": counts.total(),
                "reasons": dict(counts.most_common()),
                "letters": [_told(one) for one in oldest],
            }
        )
    elif not counts:
        out.print("There are no dead letters.")
    else:
        table(
            "Dead letters",
            ("#letters", "reason"),
            [(f"{count:,}", reason) for reason, count in counts.most_common()],
        )
        out.print()
        rows = [(one.id, f"{one.at:%Y-%m-%d %H:%M:%S}", one.lane, one.reason) for one in oldest]
        table("The oldest first", ("id", "at (UTC)", "lane", "reason"), rows)
        if more := counts.total() - len(oldest):
            out.print(f"and {more:,} more; --limit 0 lists all", style="dim")


@app.command("show")
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="A letter, by its id.")],
    content: Annotated[bool, typer.Option("--content", help="With texts and numbers of people.")] = False,
    as_json: Json = False,
) -> None:
    """One letter: its reason and what is in it; what is about a person only with --content."""
    with _intake() as intake:
        letter = next(
            (one for page in dead_letters.pages(intake, DeadLetterSelection({letter_id})) for one in page),
            None,
        )
    if letter is None:
        complain(f"no dead letter {letter_id!r}")
        raise typer.Exit(1)
    told = {
        **_told(letter),
        "messages": [one if content else _telling(one) for one in letter.messages()],
    }
    if content:
        told["content"] = json.loads(letter.content)
    if as_json:
        emit(told)
        return
    for name in ("id", "at", "lane", "reason"):
        flow(f"{name:<10}", str(told[name]))
    flow(f"{'messages':<10}", f"{len(told['messages']):,}" if told["messages"] else "none that could be read")
    for one in told["messages"]:
        out.print()
        for name, value in one.items() if isinstance(one, dict) else [("value", one)]:
            flow(f"  {name:<16}", str(value))
    if content and not told["messages"]:
        out.print(letter.content, markup=False, soft_wrap=True)


@app.command("requeue")
def requeue(
    ids: Ids = None,
    reason: Reason = "",
    lane: OfLane = None,
    everything: All = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Put the messages in letters into the intake again, once what was wrong is mended: a route, a setting.

    Each is judged anew: what still is no message is a dead letter again, with its reason of now. Safe to
    interrupt and to repeat; nobody gets a message twice.
    """
    selection = _selected(ids, reason, lane, everything)
    with _intake() as intake:
        _ask(intake, everything, "are put into the intake again", yes)
        messages = stay = 0
        for page in _watched(intake, selection, "requeueing"):
            put, kept = dead_letters.requeue(intake, page)
            messages, stay = messages + put, stay + kept
    if as_json:
        emit({"messages": messages, "kept": stay})
        return
    out.print(f"{messages:,} messages are in the intake again.")
    if stay:
        out.print(f"{stay:,} letters stay: no message in them could be read.", soft_wrap=True)


@app.command("drop")
def drop(
    ids: Ids = None,
    reason: Reason = "",
    lane: OfLane = None,
    everything: All = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Forget letters for good: nobody gets what is in them."""
    selection = _selected(ids, reason, lane, everything)
    with _intake() as intake:
        _ask(intake, everything, "are forgotten for good", yes)
        pages = _watched(intake, selection, "dropping")
        dropped = sum(intake.forget_dead([one.id for one in page]) for page in pages)
    if as_json:
        emit({"dropped": dropped})
    else:
        out.print(f"{dropped:,} letters dropped.")


# -- what the commands share


@contextmanager
def _intake() -> Iterator[Intake]:
    with servers() as settings, opened_intake(settings) as intake:
        yield intake


def _selected(ids: list[str] | None, reason: str, lane: Lane | None, everything: bool) -> DeadLetterSelection:
    """Which letters are meant; a usage error if nothing says so, or two things do."""
    narrowed = bool(ids or reason or lane)
    if narrowed is everything:
        raise typer.BadParameter(
            "say which: ids, --reason, --lane or --all" + (", and not both" if narrowed else "")
        )
    return DeadLetterSelection(ids or (), reason, lane)


def _ask(intake: Intake, everything: bool, what: str, yes: bool) -> None:
    if everything:
        ask_first(f"all {intake.dead_letters():,} dead letters {what}", yes=yes)


def _watched(intake: Intake, selection: DeadLetterSelection, doing: str) -> Iterator[list[Letter]]:
    """The letters selected, page by page, behind a bar. Ends the command if one of the ids is of none."""
    unseen = set(selection.ids)
    with progress() as bar:
        task = bar.add_task(
            doing, total=intake.dead_letters() if selection == DeadLetterSelection() else None, rate=""
        )
        for page in dead_letters.pages(intake, selection):
            yield page
            unseen -= {letter.id for letter in page}
            bar.advance(task, len(page))
    if unseen:
        complain(f"no dead letter {', '.join(sorted(unseen))}")
        raise typer.Exit(1)


def _told(letter: Letter) -> dict[str, Any]:
    return {"id": letter.id, "at": letter.at.isoformat(), "lane": letter.lane.value, "reason": letter.reason}


def _telling(message: Any) -> dict[str, Any]:
    """Its fields that say nothing of a person, and the names of the others."""
    if not isinstance(message, dict):
        return {"hidden": "no object of fields"}
    told = {name: message[name] for name in TELLING if name in message}
    hidden = sorted(str(name) for name in message if name not in TELLING)
    return {**told, "hidden": ", ".join(hidden)} if hidden else told
