"""What is given on the command line, checked: ids, names, words for the record, and whether all is meant."""

import sys
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Annotated

import typer

from bulk_dispatch.cli.output import complain
from bulk_dispatch.domain.validation import client_id_of


def producer_name(given: str | None) -> str | None:
    """A name as a message could have it: what is none might be nothing that can be asked for."""
    name: str | None = client_id_of(given)
    if name and not name.isprintable():
        raise typer.BadParameter("a producer is a name of printable characters")
    return name


Producer = Annotated[
    str,
    typer.Option(
        callback=producer_name,
        help="The producer whose ids these are; without it, those given without one.",
    ),
]
OfProducer = Annotated[
    str,
    typer.Option(
        callback=producer_name,
        help="Those of this producer; ids without it are those given without one.",
    ),
]


Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking; for --all.")]

LISTED = 10  # names told where none is near


def ask_first(what: str, *, yes: bool) -> None:
    """Whoever is at a terminal is asked whether everything is meant; others say --yes. Ends the command if it
    is not."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise typer.BadParameter(f"{what}, and there is nobody to ask: say --yes too")
    if not typer.confirm(f"{what}. Go on?", err=True):
        complain("nothing is done")
        raise typer.Exit(1)


def no_such(what: str, name: str, known: Collection[str]) -> typer.Exit:
    """The end of a command that was given the name of a `what` that is none; names that are near are told."""
    folded = {one.casefold(): one for one in known}
    near = [folded[one] for one in get_close_matches(name.casefold(), folded, n=3)]
    if near:
        hint = f"; did you mean {' or '.join(map(repr, near))}?"
    elif known:
        more = ", …" if len(known) > LISTED else ""
        hint = f"; the {what}s are {', '.join(list(known)[:LISTED])}{more}"
    else:
        hint = f"; there is no {what} yet"
    complain(f"no {what} {name!r}{hint}")
    return typer.Exit(1)


def names(client_ids: Iterable[str]) -> tuple[str, ...]:
    """Client ids as they are kept, each once."""
    found = tuple(dict.fromkeys(map(client_id_of, client_ids)))
    if any("\ud800" <= letter <= "\udfff" for name in found for letter in name):
        raise typer.BadParameter("a client id is not UTF-8")
    return found


def remark(option: str, written: str, most: int) -> str:
    """Text for the record, on one line."""
    found = " ".join(written.split())
    if not found:
        raise typer.BadParameter(f"{option} is needed: it goes into the record")
    if len(found) > most or not found.isprintable():
        raise typer.BadParameter(f"{option} must be plain text of at most {most} characters")
    return found
