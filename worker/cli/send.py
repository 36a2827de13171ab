"""`worker send`: one message by options, or many from CSV or JSON lines."""

import csv
import json
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from worker.cli.output import Json, complain, emit, out, progress
from worker.cli.session import servers
from worker.dispatcher import Dispatcher
from worker.sms.message import Message, MessageError

SHOWN = 10  # refused lines named on stderr

Rows = Iterator[tuple[int, Mapping[str, Any]]]


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
    kind: Annotated[str | None, typer.Option(help="sms, flash or voice. Default: sms.")] = None,
    campaign: Annotated[str | None, typer.Option(help="A name to count them under.")] = None,
    as_json: Json = False,
) -> None:
    """Hand messages over: one by options, or many from a file.

    Lines that cannot be messages are named and left out, and the exit code is 1; the others are sent.
    Sending the same file again sends nobody a second message: the client ids are the same.
    """
    defaults = {
        name: value
        for name, value in (
            ("sender", sender), ("text", text), ("route", route), ("lane", lane), ("kind", kind),
            ("campaign", campaign),
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
    dispatcher.enqueue(message)
    if as_json:
        emit({"enqueued": 1, "refused": 0, "client_id": message.client_id})
    else:
        out.print(f"Enqueued. Follow it with: worker status {message.client_id}", markup=False)


@dataclass(slots=True)
class _Reader:
    """Turns rows into messages; keeps what it had to refuse."""

    accept: Callable[[Message], Message]
    defaults: Mapping[str, str]
    refused: int = 0
    errors: list[str] = field(default_factory=list)

    def messages(self, rows: Rows) -> Iterator[Message]:
        for line, row in rows:
            try:
                filled = {key: value for key, value in row.items() if value not in ("", None)}
                yield self.accept(Message.from_dict({**self.defaults, **filled}))
            except MessageError as problem:
                self.refused += 1
                if len(self.errors) < SHOWN:
                    self.errors.append(f"line {line}: {problem}")


def _send_many(dispatcher: Dispatcher, name: str, defaults: Mapping[str, str], *, as_json: bool) -> None:
    reader = _Reader(dispatcher.accept, defaults)
    with _opened(name) as stream, progress() as bar:
        task = bar.add_task("enqueued", total=None, rate="")
        rows = _rows(stream, name)
        count = dispatcher.enqueue_many(
            reader.messages(rows), progress=lambda done: bar.update(task, completed=done)
        )
    for error in reader.errors:
        complain(error)
    if reader.refused > SHOWN:
        complain(f"and {reader.refused - SHOWN} lines more")
    if as_json:
        emit({"enqueued": count, "refused": reader.refused, "errors": reader.errors})
    else:
        out.print(f"Enqueued {count:,}, refused {reader.refused:,}. Watch them with: worker books")
    if reader.refused:
        raise typer.Exit(1)


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    if name == "-":
        yield sys.stdin
        return
    try:
        stream = Path(name).open(encoding="utf-8", newline="")  # noqa: SIM115 - closed below
    except OSError as problem:
        raise typer.BadParameter(f"{name}: {problem.strerror}") from None
    with stream:
        yield stream


def _rows(stream: Iterable[str], name: str) -> Rows:
    """Rows with their line numbers; JSON lines if the first character that is no blank says so."""
    lines = iter(stream)
    first = next(lines, "")
    first = first.removeprefix("\ufeff")  # what spreadsheets put in front
    whole = chain([first], lines)
    rows = _json_rows(whole) if first.lstrip().startswith("{") else _csv_rows(whole)
    try:
        yield from rows
    except UnicodeDecodeError as problem:
        raise typer.BadParameter(f"{name} is not UTF-8: byte {problem.start} cannot be read") from None
    except csv.Error as problem:
        raise typer.BadParameter(f"{name} is not CSV: {problem}") from None


def _json_rows(lines: Iterable[str]) -> Rows:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, _json_row(line)


def _json_row(line: str) -> Mapping[str, Any]:
    """An unreadable line becomes a row that is refused with the rest of the bad ones."""
    try:
        row = json.loads(line)
    except ValueError:
        return {"line": "is not JSON"}
    return row if isinstance(row, dict) else {"line": "is not a JSON object"}


def _csv_rows(lines: Iterable[str]) -> Rows:
    table = csv.DictReader(lines, restkey="too many columns", strict=True)
    for row in table:
        yield table.line_num, row
