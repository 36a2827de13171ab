"""Questions that a provider refuses: since when, in which words, and when it is asked again.

A row stands here exactly as long as a kind of question is refused. It stops the questions of that kind for
the whole fleet, by the database's clock, and never the sending.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from bulk_dispatch.domain.question import Question


@dataclass(frozen=True, slots=True)
class RefusedQuestion:
    """A kind of question that the provider of a route does not answer."""

    question: Question
    refused_at: datetime  # since when
    ask_at: datetime  # not to be asked again before
    reason: str  # their words, as far as they may be kept
    lasts: timedelta  # refused for so long
    ask_in: timedelta  # to be asked again in so long; none or less: now

    @property
    def paused(self) -> bool:
        """Whether it is not to be asked now."""
        return self.ask_in > timedelta(0)


def refused_questions(connection: Connection, route: str) -> dict[Question, RefusedQuestion]:
    """What the provider of a route refuses to be asked."""
    rows = connection.execute(text(f"{_SELECT} WHERE route = :route ORDER BY question"), {"route": route})
    return {one.question: one for _, one in map(_read, rows)}


def all_refused(connection: Connection) -> list[tuple[str, RefusedQuestion]]:
    """The same of every route, with its name."""
    return [_read(row) for row in connection.execute(text(f"{_SELECT} ORDER BY route, question"))]


_SELECT = """
    SELECT route, question, refused_at, ask_at, reason, now() - refused_at AS lasts, ask_at - now() AS ask_in
    FROM refused_questions
"""


def _read(row: Row[Any]) -> tuple[str, RefusedQuestion]:
    return row.route, RefusedQuestion(
        question=Question(row.question),
        refused_at=row.refused_at,
        ask_at=row.ask_at,
        reason=row.reason,
        lasts=row.lasts,
        ask_in=row.ask_in,
    )


def note_refused(
    connection: Connection, route: str, question: Question, reason: str, first: timedelta, most: timedelta
) -> bool:
    """Keep that a question was refused: it is asked again after `first`, then ever more rarely, up to `most`.
    False if that was known: many questions are under way at once, and those refused together are one."""
    noted = connection.execute(
        text("""
            INSERT INTO refused_questions AS q (route, question, ask_at, reason)
            VALUES (:route, :question, now() + :first, :reason)
            ON CONFLICT (route, question) DO UPDATE
            SET reason = excluded.reason, refusals = q.refusals + 1,
                ask_at = now() + least(:first * power(2, least(q.refusals, 30)), :most)
            WHERE q.ask_at <= now()
        """),
        {"route": route, "question": question.value, "reason": reason, "first": first, "most": most},
    )
    return bool(noted.rowcount)


def forget_refused(connection: Connection, route: str, question: Question) -> bool:
    """Keep that a question was answered. False if it was not refused before."""
    forgotten = connection.execute(
        text("DELETE FROM refused_questions WHERE route = :route AND question = :question"),
        {"route": route, "question": question.value},
    )
    return bool(forgotten.rowcount)


def ask_again(connection: Connection, route: str) -> None:
    """Let everything be asked at once that the provider of a route refused. Since when stays known."""
    connection.execute(
        text("UPDATE refused_questions SET ask_at = now(), refusals = 0 WHERE route = :route"),
        {"route": route},
    )
