"""Questions: what is put to a provider beside messages, and what a refusal of it does.

Not every page is in everybody's contract. Who refuses a kind of question is asked it ever more rarely, up to
once an hour, and goes on being given messages: sending finds out by itself whether the account is well.
"""

import logging
from collections.abc import Iterable
from datetime import timedelta

from worker.ledger import Connection
from worker.ledger.governor import sending_tells
from worker.ledger.questions import forget_refused, note_refused
from worker.lines import Line
from worker.providers.contract import (
    CREDENTIALS,
    MALFORMED,
    MISDIRECTED,
    NOT_OFFERED,
    UNREADABLE,
    Failure,
    Remedy,
    Verdict,
)
from worker.runtime import Runtime
from worker.sms.question import Question
from worker.stages.verdicts import mend_route, worst

log = logging.getLogger(__name__)

RARELY = timedelta(hours=1)  # between two questions of a kind that is refused, at most

_NOT_OFFERED = {failure.name for failure in (MISDIRECTED, NOT_OFFERED)}
_REFUSING = {CREDENTIALS.name, MALFORMED.name, *_NOT_OFFERED}


def refuses(failure: Failure) -> bool:
    """Whether they do not answer this kind of question, rather than could not this time. An error in words of
    theirs that nobody knows is such an answer; what is no document of theirs is not."""
    return failure.name in _REFUSING or (failure.name == UNREADABLE.name and bool(failure.code))


def is_not_offered(failure: Failure) -> bool:
    """Whether there is nobody who would answer this kind of question."""
    return failure.name in _NOT_OFFERED


def heard(
    runtime: Runtime, line: Line, question: Question, failure: Failure | None, *, refused: bool = True
) -> None:
    """Keep what came of a question: that it is refused, or no longer is. `refused` says whether it may have
    been before. What failed otherwise says nothing of that."""
    name = line.route.name
    if failure is None:
        if refused:
            with runtime.ledger.begin() as connection:
                if forget_refused(connection, name, question):
                    log.info("question_answered route=%s question=%s", name, question)
    elif refuses(failure):
        refusal = NOT_OFFERED.because(failure.code, failure.detail) if is_not_offered(failure) else failure
        first, most = line.route.doubt_first, max(RARELY, line.route.poll_max)
        with runtime.ledger.begin() as connection:
            if note_refused(connection, name, question, str(refusal), first, most):
                log.warning("question_refused route=%s question=%s failure=%r", name, question, str(refusal))


def mend_asked(
    runtime: Runtime, line: Line, connection: Connection, verdicts: Iterable[Verdict], failure: Failure | None
) -> None:
    """Do to the route what asking shows about the account: what verdicts say, and how a question failed.

    Their own word that they do not let us in stops the route; but not where sending finds out by itself: what
    it brings back proves more than any question. What only the web server says (404, 403) is about the page.
    """
    account = failure if failure and failure.name == CREDENTIALS.name and failure.code else None
    trouble = worst([*(verdict.failure for verdict in verdicts), account])
    if trouble is None or (trouble.remedy is Remedy.STOP and sending_tells(connection, line.route.name)):
        return
    mend_route(runtime, line, connection, trouble)
