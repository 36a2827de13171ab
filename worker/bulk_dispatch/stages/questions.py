"""Questions: what is put to a provider beside messages, and what a refusal of it does.

Not every page is in everybody's contract. A provider that refuses a kind of question is asked it ever more
rarely, up to once an hour, and goes on being given messages: sending finds out by itself whether the account
is well.
"""

import logging
from collections.abc import Iterable
from datetime import timedelta

from bulk_dispatch.domain.question import Question
from bulk_dispatch.ledger.questions import forget_refused, note_refused
from bulk_dispatch.providers.failures import (
    CREDENTIALS,
    MALFORMED,
    MISDIRECTED,
    NOT_OFFERED,
    UNREADABLE,
    Failure,
)
from bulk_dispatch.providers.interface import StatusReport
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.route_health import worst

log = logging.getLogger(__name__)

RARELY = timedelta(hours=1)  # between two questions of a kind that is refused, at most

_NOT_OFFERED = {failure.name for failure in (MISDIRECTED, NOT_OFFERED)}
_REFUSING = {CREDENTIALS.name, MALFORMED.name, *_NOT_OFFERED}


def refuses(failure: Failure) -> bool:
    """Whether they do not answer this kind of question, rather than could not this time. An error in words of
    theirs that nobody knows is such an answer; what is no document of theirs is not."""
    return failure.name in _REFUSING or (failure.name == UNREADABLE.name and bool(failure.code))


def refused_by_all(reports: Iterable[StatusReport]) -> Failure | None:
    """The refusal of the question, where they say it of every message instead of once; None as soon as one
    report says anything else."""
    failures = [report.failure and report.failure.because(report.code) for report in reports]
    return worst(failures) if all(failure and refuses(failure) for failure in failures) else None


def is_not_offered(failure: Failure) -> bool:
    """Whether there is nobody who would answer this kind of question."""
    return failure.name in _NOT_OFFERED


def heard(
    runtime: Runtime, route: Route, question: Question, failure: Failure | None, *, refused: bool = True
) -> None:
    """Keep what came of a question: that it is refused, or no longer is. `refused` says whether it may have
    been before. What failed otherwise says nothing of that."""
    name = route.config.name
    if failure is None:
        if refused:
            with runtime.ledger.begin() as connection:
                if forget_refused(connection, name, question):
                    log.info("question_answered route=%s question=%s", name, question)
    elif refuses(failure):
        refusal = NOT_OFFERED.because(failure.code, failure.detail) if is_not_offered(failure) else failure
        first, most = route.config.in_doubt_first, max(RARELY, route.config.poll_max)
        with runtime.ledger.begin() as connection:
            if note_refused(connection, name, question, str(refusal), first, most):
                log.warning("question_refused route=%s question=%s failure=%r", name, question, str(refusal))
