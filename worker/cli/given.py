"""What is given on the command line, checked: ids, and words for the record."""

from collections.abc import Iterable
from typing import Annotated

import typer

from worker.sms.fields import client_id_of


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
