"""The stop list holds until a message leaves: new transitions to `suppressed`; and its numbers become E.164.

What is the same number, differently written, becomes one row: with the earliest date, and the reasons of all.
What the library cannot read as a number that may exist stays as it is, and so does whoever it keeps safe.
Messages still queued for a number that is now written otherwise follow it, whether the list has it or not:
written as before, they would pass by the list, now and later. What has left stays as it is: so its provider
was told. To read a number takes 50 microseconds; nobody enqueues or claims meanwhile.

Everything that somebody should know is left in the attribute `told` of Alembic's configuration, masked.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from alembic import context, op
from alembic.util import CommandError

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ALLOWED = "(verb = 'enqueue' AND source IS NULL AND target IN ('queued', 'suppressed')) OR (source IS NOT NULL AND ((verb = 'claim' AND (source, target) IN (('queued', 'suppressed'), ('queued', 'sending'), ('queued', 'expired'))) OR (verb = 'cancel' AND (source, target) IN (('queued', 'suppressed'), ('queued', 'cancelled'))) OR (verb = 'settle' AND (source, target) IN (('sending', 'queued'), ('sending', 'in_doubt'), ('sending', 'sent'), ('sending', 'rejected'), ('sending', 'failed'), ('in_doubt', 'queued'), ('in_doubt', 'sent'), ('in_doubt', 'rejected'), ('in_doubt', 'failed'))) OR (verb = 'report' AND (source, target) IN (('sent', 'delivered'), ('sent', 'undeliverable'), ('sent', 'expired'), ('sent', 'rejected'), ('sent', 'cancelled'), ('sent', 'unconfirmed'), ('unconfirmed', 'delivered'), ('unconfirmed', 'undeliverable'), ('unconfirmed', 'expired'), ('unconfirmed', 'rejected'))) OR (verb = 'read' AND (source, target) IN (('delivered', 'delivered')))))"
ALLOWED_BEFORE = "(verb = 'enqueue' AND source IS NULL AND target IN ('queued', 'suppressed')) OR (source IS NOT NULL AND ((verb = 'claim' AND (source, target) IN (('queued', 'sending'), ('queued', 'expired'))) OR (verb = 'cancel' AND (source, target) IN (('queued', 'cancelled'))) OR (verb = 'settle' AND (source, target) IN (('sending', 'queued'), ('sending', 'in_doubt'), ('sending', 'sent'), ('sending', 'rejected'), ('sending', 'failed'), ('in_doubt', 'queued'), ('in_doubt', 'sent'), ('in_doubt', 'rejected'), ('in_doubt', 'failed'))) OR (verb = 'report' AND (source, target) IN (('sent', 'delivered'), ('sent', 'undeliverable'), ('sent', 'expired'), ('sent', 'rejected'), ('sent', 'cancelled'), ('sent', 'unconfirmed'), ('unconfirmed', 'delivered'), ('unconfirmed', 'undeliverable'), ('unconfirmed', 'expired'), ('unconfirmed', 'rejected'))) OR (verb = 'read' AND (source, target) IN (('delivered', 'delivered')))))"
PAGE = 10_000  # numbers held at a time
MOST_TOLD = 100  # sentences of a kind; of more, how many


def upgrade() -> None:
    op.drop_constraint(op.f("ck_events_road"), "events", type_="check")
    op.create_check_constraint(op.f("ck_events_road"), "events", ALLOWED)
    # The events are locked by now: what is queued stays so, and nobody enqueues, until this is committed.
    _write_the_list_as_e164()
    _write_the_queue_as_e164()


def downgrade() -> None:
    """The version before has no words for what was suppressed in the queue: its events must be gone first.
    Numbers stay as they are written now: it reads them too."""
    _refuse(
        "SELECT count(*) FROM events WHERE source = 'queued' AND target = 'suppressed'",
        "messages were suppressed while queued",
    )
    op.drop_constraint(op.f("ck_events_road"), "events", type_="check")
    op.create_check_constraint(op.f("ck_events_road"), "events", ALLOWED_BEFORE)


# -- the numbers -----------------------------------------------------------------------------------------


class _Listed(NamedTuple):
    """A row of the stop list."""

    recipient: str
    added_at: datetime
    why: str | None


def _write_the_list_as_e164() -> None:
    rows = op.get_bind().execute(
        sa.text("SELECT recipient, added_at, why FROM stop_list ORDER BY added_at, recipient")
    )
    people: dict[str, list[_Listed]] = defaultdict(list)
    unread: list[str] = []
    for row in (_Listed(*row) for row in rows):
        number = _e164(row.recipient)
        if number is None:
            unread.append(f"stop list: {_mask(row.recipient)} is no number that may exist; it stays as it is")
        people[number or row.recipient].append(row)
    changed = {number: rows for number, rows in people.items() if [row.recipient for row in rows] != [number]}
    if changed:
        _replace(changed)
    joined = [_sentence(number, rows) for number, rows in changed.items() if len(rows) > 1]
    _tell(joined, "stop list: %d numbers more stood in several rows")
    _tell(unread, "stop list: %d rows more are no numbers that may exist")


def _e164(recipient: str) -> str | None:
    """The number as the library writes it; None where it finds none that is possible, or reads its own writing
    as another: of two trunk zeros it takes off one each time."""
    written = _read(recipient)
    stands = written is not None and (written == recipient or _read(written) == written)
    return written if stands else None


def _read(recipient: str) -> str | None:
    import phonenumbers  # takes a moment to load, and most upgrades need it no more

    try:
        number = phonenumbers.parse(recipient, None)
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    written: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return written


def _replace(changed: Mapping[str, Sequence[_Listed]]) -> None:
    """One row for each number, whose rows so far come oldest first."""
    connection = op.get_bind()
    old = {"old": [row.recipient for rows in changed.values() for row in rows]}
    new = {
        "number": list(changed),
        "added_at": [rows[0].added_at for rows in changed.values()],
        "why": ["; ".join(dict.fromkeys(row.why for row in rows if row.why)) for rows in changed.values()],
    }
    connection.execute(sa.text("DELETE FROM stop_list WHERE recipient = ANY (CAST(:old AS text[]))"), old)
    connection.execute(
        sa.text("""
            INSERT INTO stop_list (recipient, added_at, why)
            SELECT n.number, n.added_at, nullif(n.why, '')
            FROM unnest(CAST(:number AS text[]), CAST(:added_at AS timestamptz[]), CAST(:why AS text[]))
                 AS n (number, added_at, why)
            ON CONFLICT DO NOTHING
        """),
        new,
    )


def _write_the_queue_as_e164() -> None:
    """The numbers of what is queued, read part by part; only those that change are written."""
    connection = op.get_bind()
    numbers = connection.execute(
        sa.text("SELECT DISTINCT recipient FROM messages WHERE due_at IS NOT NULL"),
        execution_options={"yield_per": PAGE},
    )
    read = ((recipient, _e164(recipient)) for recipient in numbers.scalars())
    changed = [(old, number) for old, number in read if number and number != old]
    if not changed:
        return
    written = connection.execute(
        sa.text("""
            UPDATE messages m SET recipient = n.number
            FROM unnest(CAST(:old AS text[]), CAST(:number AS text[])) AS n (old, number)
            WHERE m.due_at IS NOT NULL AND m.recipient = n.old
        """),
        {"old": [old for old, _ in changed], "number": [number for _, number in changed]},
    ).rowcount
    _tell([f"queue: the numbers of {written} messages are written otherwise now"], "")


def _sentence(number: str, rows: Sequence[_Listed]) -> str:
    others = ", ".join(_mask(row.recipient) for row in rows)
    return f"stop list: {len(rows)} rows ({others}) are one number, {_mask(number)}, and one row now"


def _mask(number: str) -> str:
    head = min(6, len(number) - 6)
    return f"{number[:head]}…{number[-2:]}" if head > 0 else "…"


def _tell(sentences: Sequence[str], more: str) -> None:
    told: list[str] = context.config.attributes.setdefault("told", [])
    told += sentences[:MOST_TOLD]
    if len(sentences) > MOST_TOLD:
        told.append(more % (len(sentences) - MOST_TOLD))


def _refuse(count: str, what: str) -> None:
    if found := op.get_bind().execute(sa.text(count)).scalar_one():
        raise CommandError(f"{found} {what}, which version {down_revision} has no words for")
