"""`worker send`: one message by options, or many from CSV or JSON lines."""

import csv
import io
import json
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeAlias

import typer

from worker.cli.output import Json, complain, emit, out, progress, say
from worker.cli.session import servers
from worker.dispatcher import Dispatcher, EnqueueError
from worker.garbage import collect_rarely
from worker.sms.content import Kind
from worker.sms.fields import MessageError
from worker.sms.message import FIELDS, Message

SHOWN = 10  # refused lines named on stderr

Row: TypeAlias = Mapping[str, Any] | MessageError
"""What stands in a line by the names of fields, or why that cannot be told."""

Rows: TypeAlias = Iterator[tuple[int, Row]]


def send(
    file: Annotated[
        str | None,
        typer.Argument(help="CSV with a heading line, or JSON lines, one message each; - for stdin."),
    ] = None,
    to: Annotated[str | None, typer.Option(help="Recipient: an international number.")] = None,
    sender: Annotated[str | None, typer.Option(help="Sender; for a file, of lines that name none.")] = None,
    text: Annotated[str | None, typer.Option(help="Text; for a file, of lines that have none.")] = None,
    client_id: Annotated[
        str | None, typer.Option(help="Your own id of the message. Default: a new one.")
    ] = None,
    route: Annotated[str | None, typer.Option(help="Route. Default: the only one there is.")] = None,
    lane: Annotated[str | None, typer.Option(help="urgent or bulk. Default: bulk.")] = None,
    kind: Annotated[str | None, typer.Option(help=f"{', '.join(Kind)}. Default: sms.")] = None,
    url: Annotated[
        str | None, typer.Option(help="Link: of a WAP-push, a business card, or a Viber button.")
    ] = None,
    image: Annotated[str | None, typer.Option(help="Viber: the address of a picture.")] = None,
    button: Annotated[
        str | None, typer.Option(help="Viber: the caption of a button; goes with --url.")
    ] = None,
    sms_text: Annotated[
        str | None, typer.Option(help="viber_sms: the text of the SMS where Viber does not arrive.")
    ] = None,
    sms_sender: Annotated[
        str | None, typer.Option(help="viber_sms: the sender of that SMS. Default: the same sender.")
    ] = None,
    send_at: Annotated[
        str | None,
        typer.Option(help='When it is to leave: "2031-03-04T09:30+02:00". Default: at once.'),
    ] = None,
    valid_until: Annotated[
        str | None, typer.Option(help="When it is too late for it to arrive, with a time zone too.")
    ] = None,
    viber_valid_until: Annotated[
        str | None, typer.Option(help="When Viber has had its chance, with a time zone too.")
    ] = None,
    campaign: Annotated[str | None, typer.Option(help="A name to count them under.")] = None,
    in_doubt: Annotated[
        str | None,
        typer.Option(
            help="hold, resend or fail, where nobody can know whether they have it. Default: the route's."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hand messages over: one by options, or many from a file.

    A file may give every field of a message, those of a business card too; options fill in what a line leaves
    out.
    Lines that cannot be messages are named and left out, and the exit code is 1; the others are sent.
    Sending the same file again sends nobody a second message: the client ids are the same.
    """
    defaults = {
        name: value
        for name, value in (
            ("sender", sender), ("text", text), ("route", route), ("lane", lane), ("kind", kind),
            ("url", url), ("image", image), ("button", button), ("sms_text", sms_text),
            ("sms_sender", sms_sender), ("send_at", send_at), ("valid_until", valid_until),
            ("viber_valid_until", viber_valid_until), ("campaign", campaign), ("in_doubt", in_doubt),
        )
        if value is not None
    }  # fmt: skip
    if (to is None) == (file is None):
        raise typer.BadParameter("give either --to for one message, or a FILE (- for stdin) for many")
    with servers() as settings:
        dispatcher = Dispatcher(settings)
        try:
            if file is None:
                one = {**defaults, "recipient": to, "client_id": client_id or uuid.uuid4().hex}
                _send_one(dispatcher, one, as_json=as_json)
            else:
                if client_id is not None:
                    raise typer.BadParameter("--client-id is for one message; a file names its own")
                _send_many(dispatcher, file, defaults, as_json=as_json)
        finally:
            dispatcher.close()


def _send_one(dispatcher: Dispatcher, values: Mapping[str, Any], *, as_json: bool) -> None:
    message = Message.from_dict(values)
    say(
        f"client id: {message.client_id}"
    )  # before: whatever happens next, it can be asked for, or sent again
    dispatcher.enqueue(message)
    if as_json:
        emit({"enqueued": 1, "refused": 0, "client_id": message.client_id})
    else:
        out.print(f"Enqueued. Follow it with: worker status {message.client_id}", markup=False)


@dataclass(slots=True)
class _Reader:
    """Turns rows into messages; keeps what it had to refuse."""

    accept: Callable[[Message], Message]
    defaults: Mapping[str, str] = field(repr=False)
    refused: int = 0
    errors: list[str] = field(default_factory=list)

    def messages(self, rows: Rows) -> Iterator[Message]:
        for line, row in rows:
            try:
                yield self.accept(Message.from_dict({**self.defaults, **_filled(row)}))
            except MessageError as problem:
                self.refused += 1
                if len(self.errors) < SHOWN:
                    self.errors.append(f"line {line}: {problem}")


def _filled(row: Row) -> Mapping[str, Any]:
    """What a row says. Raises the refusal of one that cannot be read."""
    if isinstance(row, MessageError):
        raise row
    if all(row.values()):
        return row
    return {key: value for key, value in row.items() if value not in ("", None)}


def _send_many(dispatcher: Dispatcher, name: str, defaults: Mapping[str, str], *, as_json: bool) -> None:
    collect_rarely()
    reader = _Reader(dispatcher.accept, {"route": dispatcher.default_route(), **defaults})
    handed = 0
    stopped = ""

    def count(done: int) -> None:
        nonlocal handed
        handed = done
        bar.update(task, completed=done)

    with _opened(name) as stream, progress() as bar:
        task = bar.add_task("enqueued", total=None, rate="")
        try:
            dispatcher.hand_over(reader.messages(_rows(stream)), progress=count)
        except (_Unreadable, EnqueueError) as problem:
            stopped = str(problem)
    _tell(reader, handed, stopped, as_json=as_json)


def _tell(reader: _Reader, handed: int, stopped: str, *, as_json: bool) -> None:
    """What was done, also if it ended before the file did."""
    for error in reader.errors:
        complain(error)
    if reader.refused > SHOWN:
        complain(f"and {reader.refused - SHOWN} lines more")
    if stopped:
        complain(f"stopped: {stopped}. Mend it and send the whole file again: nobody gets a message twice")
        reader.errors.append(stopped)
    if as_json:
        emit({"enqueued": handed, "refused": reader.refused, "errors": reader.errors})
    else:
        out.print(f"Enqueued {handed:,}, refused {reader.refused:,}. Watch them with: worker books")
    if reader.refused or stopped:
        raise typer.Exit(1)


class _Unreadable(ValueError):
    """The file cannot be read on; says where and why."""


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    if name == "-":
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(encoding="utf-8", errors="strict", newline="")  # whatever the locale says
        yield sys.stdin or io.StringIO()
        return
    try:
        stream = Path(name).open(encoding="utf-8", newline="")  # noqa: SIM115 - closed below
    except OSError as problem:
        raise typer.BadParameter(f"{name}: {problem.strerror}") from None
    with stream:
        yield stream


def _rows(stream: Iterable[str]) -> Rows:
    """Rows with their line numbers; JSON lines if the first character that is no blank says so."""
    lines = iter(stream)
    first, heading = _heading(lines)
    if first:
        whole = chain([heading], lines)
        yield from (_json_rows if heading.lstrip().startswith("{") else _csv_rows)(whole, first)


def _heading(lines: Iterable[str]) -> tuple[int, str]:
    """The first line that is not blank, without what spreadsheets put in front, and its number; 0 if there
    is none."""
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            if line.strip("\ufeff \t\r\n"):
                return number, line.removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise _not_text(number + 1) from None
    return 0, ""


def _not_text(line: int) -> _Unreadable:
    return _Unreadable(f"line {line} or soon after is not UTF-8")


def _json_rows(lines: Iterable[str], first: int) -> Rows:
    number = first - 1
    try:
        for number, line in enumerate(lines, first):
            if line.strip():
                yield number, _json_row(line)
    except UnicodeDecodeError:
        raise _not_text(number + 1) from None


def _json_row(line: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return MessageError("row", "…", "must be JSON")
    return row if isinstance(row, dict) else MessageError("row", type(row).__name__, "must be a JSON object")


def _csv_rows(lines: Iterable[str], first: int) -> Rows:
    table = csv.reader(lines, strict=True)
    read = 0  # lines: one that is no CSV takes all that follow along
    try:
        names = next(table)
        read = table.line_num
        _check_heading(names)
        for row in table:
            read = table.line_num
            if row:  # blank lines are none
                yield first - 1 + read, _named(names, row)
    except csv.Error as problem:
        raise _Unreadable(f"line {first + read} is not CSV: {problem}") from None
    except UnicodeDecodeError:
        raise _not_text(first + table.line_num) from None


def _named(names: Sequence[str], row: Sequence[str]) -> Row:
    """A row by the names in the heading. Cells may be missing at its end."""
    if len(row) > len(names):
        return MessageError("row", len(row), f"must have at most {len(names)} cells")
    return dict(zip(names, row, strict=False))


def _check_heading(names: Sequence[str]) -> None:
    """One sentence about the heading, instead of one about every line."""
    strange = [name for name in names if name not in FIELDS]
    if strange or "client_id" not in names:
        raise _Unreadable(
            f"the heading names no message: {', '.join(FIELDS)} are the fields, separated by commas"
        )
    if len(set(names)) < len(names):
        raise _Unreadable("the heading names a field twice")
