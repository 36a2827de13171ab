"""A file of recipients, sent: read whole and checked, told, and only then handed over."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import typer

from worker.campaign.check import Check, Refusal, Report, Rules
from worker.campaign.heading import Wanted, plain
from worker.campaign.rows import Rows
from worker.campaign.source import UnreadableError, lines_of, opened
from worker.campaign.spool import Spool
from worker.cli.output import complain, emit, out, progress, say
from worker.dispatcher import Dispatcher, EnqueueError, parcels
from worker.garbage import collect_rarely
from worker.sms.content import FIELDS as CONTENT_FIELDS
from worker.sms.content import Kind, fields_of
from worker.sms.fields import MessageError, member
from worker.sms.message import FIELDS, Foreseen, Message, Said
from worker.sms.segments import character_name

SHOWN = 10  # refused rows, and characters, named on stderr
REQUIRED = ("client_id", "recipient")


@dataclass(frozen=True, slots=True)
class Ways:
    """How people want it done: the options of `worker send` that are no fields of a message."""

    region: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    literal: bool = False
    only_valid: bool = False
    allow_repeats: bool = False
    strict: bool = False
    dry_run: bool = False
    refused: str = ""
    as_json: bool = False


class Sending:
    """One file on its way."""

    def __init__(self, dispatcher: Dispatcher, name: str, defaults: Mapping[str, str], ways: Ways) -> None:
        self._dispatcher = dispatcher
        self._name = name
        self._defaults = {"route": dispatcher.default_route(), **defaults}
        self._ways = ways
        self._refusals = _Refusals(ways.refused or _beside(name))
        self._left_out: Sequence[str] = ()
        self._report = Report()
        self._enqueued = 0
        self._stopped = ""
        self._ledger_away = False

    def run(self) -> None:
        """Read, check, tell, hand over. Exit code 1 if a row is refused or something stopped it."""
        collect_rarely()
        with self._refusals, Spool.opened() as spool:
            try:
                self._read(spool)
            except UnreadableError as problem:
                self._stopped = str(problem)
                complain(f"nothing was sent: {self._name}: {problem}")
            else:
                self._foretell()
                if self._leaves():
                    self._hand_over(spool)
        self._tell()

    # -- before anything leaves

    def _read(self, spool: Spool) -> None:
        with _file(self._name) as stream, lines_of(stream) as (lines, utf8):
            rows = Rows(lines, self._wanted(), utf8=utf8)
            check = Check(self._message, self._refusals.keep, self._rules(), self._foresee, self._before())
            self._report = check.report
            with progress() as bar:
                task = bar.add_task("rows read", total=None, rate="")
                ready = check.messages(rows)
                for parcel in parcels(ready):
                    spool.keep([parcel])
                    bar.update(task, completed=check.report.rows)
        self._left_out = sorted(rows.left_out)

    def _foresee(self, messages: Sequence[Message]) -> Foreseen:
        """What the ledger would say; nothing once it cannot be asked, for sending does not depend on it."""
        if self._ledger_away:
            return Foreseen()
        try:
            return self._dispatcher.foresee(messages)
        except RuntimeError as problem:
            self._miss_ledger(problem)
            return Foreseen()

    def _before(self) -> Iterator[Said]:
        """What the campaign's messages say that the ledger has."""
        if campaign := self._defaults.get("campaign"):
            try:
                yield from self._dispatcher.said_in(campaign)
            except RuntimeError as problem:
                self._miss_ledger(problem)

    def _miss_ledger(self, problem: RuntimeError) -> None:
        from worker.ledger import LedgerError  # loaded by now, if at all

        if not isinstance(problem, LedgerError):
            raise problem
        self._ledger_away = True
        say(f"what the ledger knows already is not told: {problem}")

    def _wanted(self) -> Wanted:
        kind = member(Kind, "kind", self._defaults.get("kind", Kind.SMS))
        own = [name for name in FIELDS if name not in CONTENT_FIELDS]
        named = {plain(name): known for known, name in self._ways.columns.items()}
        return Wanted((*own, *fields_of(kind), *self._ways.columns), REQUIRED, CONTENT_FIELDS, named)

    def _message(self, values: Mapping[str, Any], region: str) -> Message:
        return made(self._dispatcher, {**self._defaults, **values}, region)

    def _rules(self) -> Rules:
        ways, default = self._ways, self._defaults["route"]
        return Rules(
            region=lambda values: ways.region or self._dispatcher.region(values.get("route") or default),
            allow_repeats=ways.allow_repeats,
            only_valid=ways.only_valid,
            literal=ways.literal,
        )

    def _leaves(self) -> bool:
        return not self._ways.dry_run and not (self._ways.strict and self._report.refused)

    # -- what people are told

    def _foretell(self) -> None:
        """What would leave, before it does."""
        for line in (*self._totals(), *self._cautions()):
            say(line)
        for notice in self._dispatcher.notices(self._report.routes, self._report.lanes):
            complain(notice)
        for refusal in self._refusals.first:
            complain(str(refusal))
        if (more := self._report.refused - len(self._refusals.first)) > 0:
            complain(f"and {_many(more, 'row')} more")
        if self._refusals.written:
            complain(f"the rows that are refused are in {self._refusals.name}")

    def _totals(self) -> Iterator[str]:
        """How much there is, and what it will be billed as."""
        report = self._report
        refused = f", {_many(report.refused, 'row')} refused" if report.refused else ""
        yield f"{self._name}: {_many(report.rows, 'row')}, {_many(report.messages, 'message')}{refused}"
        for encoding, (messages, segments) in report.counted.items():
            if messages:
                yield f"  {encoding}: {_many(messages, 'message')}, {_many(segments, 'segment')}"
        for character, messages in report.dear.most_common(SHOWN):
            yield f"  {character_name(character)} makes {_many(messages, 'Latin text')} UCS-2"
        if report.dear_segments:
            yield f"  these characters cost {_many(report.dear_segments, 'segment')}; plain ones cost none"

    def _cautions(self) -> Iterator[str]:
        """What may not be meant."""
        report = self._report
        if self._left_out:
            yield f"  columns left out: {', '.join(self._left_out[:SHOWN])}"
        if report.repeats:
            done = "sent all the same" if self._ways.allow_repeats else "left out; --allow-repeats sends them"
            yield f"  {_many(report.repeats, 'row')} with number and text of a row before: {done}"
        if report.repeated:
            yield f"  {_many(report.repeated, 'message')} to a number that gets another text too"
        if report.not_valid:
            numbers = _many(report.not_valid, "number")
            yield f"  {numbers} in no range known to be in use: sent; --only-valid refuses them"
        if report.known:
            yield f"  {_many(report.known, 'message')} known already, {report.new:,} new"
        if report.corrections:
            yield f"  {_many(report.corrections, 'message')} in the stead of one that nobody got"
        if report.conflicts:
            yield f"  {_many(report.conflicts, 'message')} with the id of another: never sent"

    # -- and after

    def _hand_over(self, spool: Spool) -> None:
        with progress() as bar:
            task = bar.add_task("enqueued", total=spool.messages, rate="")

            def count(done: int) -> None:
                self._enqueued = done
                bar.update(task, completed=done)

            try:
                self._dispatcher.hand_over(spool.parcels(), progress=count)
            except EnqueueError as problem:
                self._stopped = str(problem)
                complain(f"stopped: {problem}. Send the whole file again: nobody gets a message twice")

    def _tell(self) -> None:
        """What was done, also if it ended before the file did."""
        if self._ways.as_json:
            emit(self._plain())
        elif self._ways.dry_run:
            out.print("Nothing is sent: --dry-run.")
        elif not self._leaves():
            out.print(f"Nothing is sent: {self._report.refused:,} rows are refused, and --strict wants all.")
        else:
            refused = self._report.refused
            out.print(f"Enqueued {self._enqueued:,}, refused {refused:,}. Watch them with: worker books")
        if self._report.refused or self._stopped:
            raise typer.Exit(1)

    def _plain(self) -> dict[str, Any]:
        report = self._report
        return {
            "enqueued": self._enqueued,
            "refused": report.refused,
            "errors": [*map(str, self._refusals.first), *([self._stopped] if self._stopped else [])],
            "rows": report.rows,
            "messages": report.messages,
            "segments": {
                encoding.value: {"messages": messages, "segments": segments}
                for encoding, (messages, segments) in report.counted.items()
            },
            "dear": {character_name(one): count for one, count in report.dear.most_common(SHOWN)},
            "dear_segments": report.dear_segments,
            "left_out": list(self._left_out),
            "repeats": report.repeats,
            "not_valid": report.not_valid,
            "known": report.known,
            "corrections": report.corrections,
            "conflicts": report.conflicts,
            "new": report.new,
        }


def made(dispatcher: Dispatcher, values: Mapping[str, Any], region: str) -> Message:
    """The message of plain values as it would be handed over. Raises MessageError, showing what was given."""
    message = Message.from_dict(values, region)
    try:
        return dispatcher.accept(message)
    except MessageError as problem:
        raise problem.about(values) from None


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


@contextmanager
def _file(name: str) -> Iterator[BinaryIO]:
    try:
        with opened(name) as stream:
            yield stream
    except OSError as problem:
        raise typer.BadParameter(f"{name}: {problem.strerror}") from None


def _beside(name: str) -> str:
    """Where refused rows of a file go: into the folder it is in."""
    return "" if name == "-" else str(Path(name).with_name(f"{Path(name).stem}.refused.csv"))


class _Refusals:
    """Rows that are refused: the first few at hand; all of them in a file, which is made when needed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.first: list[Refusal] = []
        self.written = False
        self._file: TextIO | None = None

    def __enter__(self) -> "_Refusals":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def keep(self, refusal: Refusal) -> None:
        """One more."""
        if len(self.first) < SHOWN:
            self.first.append(refusal)
        if not self.name:
            return
        if self._file is None:
            self._file = self._made()
        if self._file:
            csv.writer(self._file).writerow(refusal)

    def _made(self) -> TextIO | None:
        try:
            file = Path(self.name).open("w", encoding="utf-8", newline="")  # noqa: SIM115 - closed at the end
        except OSError as problem:
            complain(f"{self.name} cannot be written: {problem.strerror}")
            self.name = ""
            return None
        self.written = True
        csv.writer(file).writerow(Refusal._fields)
        return file
