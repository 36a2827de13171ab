"""A file of recipients, sent: read whole and checked, told, and only then handed over."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import typer

from bulk_dispatch.campaign.check import Check, Report, Rules
from bulk_dispatch.campaign.heading import Wanted, plain
from bulk_dispatch.campaign.rows import Rows
from bulk_dispatch.campaign.source import UnreadableError, lines_of, opened
from bulk_dispatch.campaign.spool import Spool
from bulk_dispatch.cli.output import complain, emit, many, out, progress, say
from bulk_dispatch.cli.send_preview import as_plain, cautions, totals
from bulk_dispatch.cli.send_rejected_rows import Refusals
from bulk_dispatch.client import Dispatcher, EnqueueError
from bulk_dispatch.domain.content import FIELDS as CONTENT_FIELDS
from bulk_dispatch.domain.content import Kind, fields_of
from bulk_dispatch.domain.message import FIELDS, Foreseen, Message, Said
from bulk_dispatch.domain.validation import MessageError, member
from bulk_dispatch.gc_tuning import tune_gc
from bulk_dispatch.packing import parcels

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
    given_id: bool = False  # people gave the id of the one message


class Sending:
    """One file on its way."""

    def __init__(self, dispatcher: Dispatcher, name: str, defaults: Mapping[str, str], ways: Ways) -> None:
        self._dispatcher = dispatcher
        self._name = name
        self._defaults = {"route": dispatcher.default_route(), **defaults}
        self._ways = ways
        self._refusals = Refusals(name, ways.refused)
        self._left_out: Sequence[str] = ()
        self._report = Report()
        self._enqueued = 0
        self._stopped = ""
        self._away: set[str] = set()  # what was said of the ledger

    def run(self) -> None:
        """Read, check, tell, hand over. Exit code 1 if a row is refused or something stopped it."""
        tune_gc()
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
            rows = Rows(lines, self._wanted(), utf8=utf8, literal=self._ways.literal)
            check = Check(self._message, self._refusals.keep, self._rules(), self._foresee, self._before)
            self._report = check.report
            with progress() as bar:
                task = bar.add_task("rows read", total=None, rate="")
                ready = check.messages(rows)
                for parcel in parcels(ready):
                    spool.keep([parcel])
                    bar.update(task, completed=check.report.rows)
        self._left_out = sorted(rows.left_out)

    def _foresee(self, messages: Sequence[Message]) -> Foreseen:
        """What the ledger would say; nothing if it cannot be asked, for sending does not depend on it."""
        from bulk_dispatch.ledger import LedgerError  # it is being loaded anyway

        if not self._away:
            try:
                return self._dispatcher.foresee(messages)
            except LedgerError as problem:
                self._miss(problem)
        return Foreseen()

    def _before(self, campaign: str) -> Iterator[Said]:
        """What the campaign's messages say that the ledger has."""
        from bulk_dispatch.ledger import LedgerError

        try:
            yield from self._dispatcher.said_in(campaign)
        except LedgerError as problem:
            self._miss(problem)

    def _miss(self, problem: Exception) -> None:
        if str(problem) not in self._away:
            self._away.add(str(problem))
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
        report = self._report
        refused = f", {many(report.refused, 'row')} refused" if report.refused else ""
        say(f"{self._name}: {many(report.rows, 'row')}, {many(report.messages, 'message')}{refused}")
        warned = cautions(report, self._left_out, allow_repeats=self._ways.allow_repeats)
        for line in (*totals(report), *warned):
            say(f"  {line}")
        for notice in self._dispatcher.notices(report.routes, report.lanes):
            complain(notice)
        for refusal in self._refusals.first:
            complain(str(refusal))
        if (more := report.refused - len(self._refusals.first)) > 0:
            complain(f"and {many(more, 'row')} more")
        if self._refusals.written:
            complain(f"the rows that are refused are in {self._refusals.name}")

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
        report = self._report
        if self._ways.as_json:
            emit(self._plain())
        elif self._ways.dry_run:
            out.print("Nothing is sent: --dry-run.")
        elif not self._leaves():
            out.print(f"Nothing is sent: {many(report.refused, 'row')} refused, and --strict wants all.")
        else:
            of_these = f" ({report.known:,} known already, {report.conflicts:,} never sent)"
            apart = of_these if report.known or report.conflicts else ""
            out.print(f"Enqueued {self._enqueued:,}{apart}, refused {report.refused:,}. See: worker books")
        if report.refused or report.conflicts or self._stopped:
            raise typer.Exit(1)

    def _plain(self) -> dict[str, Any]:
        stopped = [self._stopped] if self._stopped else []
        return {
            "enqueued": self._enqueued,
            "refused": self._report.refused,
            "errors": [*map(str, self._refusals.first), *stopped],
            "left_out": list(self._left_out),
            **as_plain(self._report),
        }


def made(dispatcher: Dispatcher, values: Mapping[str, Any], region: str) -> Message:
    """The message of plain values as it would be handed over. Raises MessageError, showing what was given."""
    message = Message.from_dict(values, region)
    try:
        return dispatcher.accept(message)
    except MessageError as problem:
        raise problem.about(values) from None


@contextmanager
def _file(name: str) -> Iterator[BinaryIO]:
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(opened(name))
        except OSError as problem:
            raise typer.BadParameter(f"{name}: {problem.strerror}") from None
        yield stream
