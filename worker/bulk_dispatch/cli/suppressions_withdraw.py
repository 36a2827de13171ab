"""What becomes of messages under way when numbers are put on the suppression list, and how it is told."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from bulk_dispatch.cli.cancel import MEANING, Tally, run
from bulk_dispatch.cli.context import opened_runtime
from bulk_dispatch.cli.output import complain, emit, out, table
from bulk_dispatch.config.settings import Settings, SettingsError
from bulk_dispatch.domain.numbers import phone_number, region_of
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.intake import IntakeError
from bulk_dispatch.ledger import LedgerError
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.cancel import Fate, cancel_listed

NOTE = "put on the suppression list"  # in the history of each message

Region = Annotated[
    str, typer.Option(help="Whose national numbers are read too: two letters, like UA. Default: nobody's.")
]


def number(written: str, region: str) -> str:
    """A number as the list has it. Raises MessageError."""
    return phone_number(written, region=region_of(region))


def as_listed(written: str, region: str) -> str:
    """A number that may be on the list, also one that is none by what we know today: it was put there when we
    knew less. Raises MessageError."""
    try:
        return number(written, region)
    except MessageError:
        if re.fullmatch(r"\+[0-9]{7,15}", written, re.ASCII):
            return written
        raise


def withdraw(runtime: Runtime, recipients: Sequence[str] = ()) -> Tally:
    """Suppress what is queued for these numbers, or for the whole list, and ask providers to cancel what they
    have."""
    return run((counts, {}) for counts in cancel_listed(runtime, NOTE, recipients))


def withdraw_if_possible(settings: Settings, recipients: Sequence[str]) -> Tally:
    """The same; where nobody can be asked, for want of a routes file or of Redis, that keeps no number off
    the list."""
    try:
        with opened_runtime(settings) as runtime:
            return withdraw(runtime, recipients)
    except (SettingsError, LedgerError, IntakeError) as problem:
        return Tally(stopped=str(problem))


def tell(values: dict[str, Any], sentence: str, tally: Tally, *, as_json: bool) -> None:
    """What was done to the list, and what became of messages. Exit code 1 where somebody may still get one
    because nobody answered."""
    if as_json:
        fates = {_word(fate): tally.counts[fate] for fate in Fate if fate is not Fate.CANCELLED_BEFORE}
        emit({**values, **fates, "stopped": tally.stopped})
    else:
        out.print(sentence, markup=False)
        rows = [(f"{tally.counts[fate]:,}", _meaning(fate)) for fate in Fate if tally.counts[fate]]
        if rows:
            table("Under way for them", ("#messages", "what became of them"), rows)
    if tally.stopped:
        complain(f"stopped: {tally.stopped}. The numbers are on the list; say it again")
    if tally.stopped or tally.counts[Fate.UNANSWERED]:
        raise typer.Exit(1)


def _word(fate: Fate) -> str:
    return "suppressed" if fate is Fate.CANCELLED_QUEUED else fate.value


def _meaning(fate: Fate) -> str:
    return "suppressed before they left" if fate is Fate.CANCELLED_QUEUED else MEANING[fate]
