"""Poll: ask about what was sent, package by package, until every message has its end.

A package that became a job is asked for its job first; when the job has ended, each of its messages is
asked for by our id, since a job reports no statuses. Past the horizon a message is unconfirmed. Where they
refuse to be asked, nothing is asked for a while, and what only they could have told goes the same way.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from bulk_dispatch.domain.backoff import Backoff
from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.domain.question import Question
from bulk_dispatch.domain.status import FINAL, Status
from bulk_dispatch.ledger.leases import PACKAGES, Leased, lease_polls, next_poll
from bulk_dispatch.ledger.packages import OpenMessage, open_messages
from bulk_dispatch.ledger.questions import RefusedQuestion, refused_questions
from bulk_dispatch.ledger.transitions import Clock, Looks, Transition
from bulk_dispatch.providers.failures import LOST, NOT_SENT, Failure
from bulk_dispatch.providers.interface import JobPhase, Jobs, Statuses, StatusReport
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.outcomes import Outcome, record
from bulk_dispatch.stages.provider_calls import PATIENCE, ask, askable, exchanged
from bulk_dispatch.stages.questions import heard, refuses
from bulk_dispatch.stages.route_health import worst
from bulk_dispatch.stages.status_reports import note_segments, note_strange, reads, reported, settled

log = logging.getLogger(__name__)

MESSAGES = 5000  # a round, at most
QUESTIONS = 25  # a round, one after another: well before its lease runs out
ROUNDS = 5  # a step
TICK = timedelta(seconds=1)  # between beat's visits; for what is due sooner a wake-up is sent
BREATH = timedelta(seconds=0.25)  # between such wake-ups: looks at several packages together are cheaper
GONE_LOOKS = 3  # a job they do not know, or will not speak of, may be one they do not know yet
UNASKED = "they refuse to be asked"

_UNREACHABLE = (LOST.name, NOT_SENT.name)  # nobody answers there


@dataclass(frozen=True, slots=True)
class Polled:
    """What one step did. `more` if it stopped because a step is bounded."""

    packages: int = 0
    asked: int = 0
    final: int = 0
    strange: int = 0
    unreachable: bool = False  # nobody answers there: the others' turn
    more: bool = False


def poll(runtime: Runtime, name: str) -> Polled:
    """Look at the packages of a route that are due, a bounded number of them."""
    route = runtime.routes[name]
    done = Polled()
    for _ in range(ROUNDS):
        if runtime.stopping():
            return done
        with runtime.ledger.begin() as connection:
            leased = lease_polls(connection, name, messages=_askable(route), lease=route.config.lease)
            wait = None if leased else next_poll(connection, name)
            refused = refused_questions(connection, name) if leased else {}
        if wait is not None and wait < TICK:
            runtime.notify("poll", name, max(wait, BREATH).total_seconds())
        if not leased:
            return done
        full = len(leased) == PACKAGES or sum(package.message_count for package in leased) >= _askable(route)
        if full and not done.packages:
            runtime.notify("poll", name)  # there may be more: let another look meanwhile
        part = _Round(runtime, route, leased, refused).run()
        done = Polled(
            packages=done.packages + part.packages,
            asked=done.asked + part.asked,
            final=done.final + part.final,
            strange=done.strange + part.strange,
            unreachable=part.unreachable,
        )
        if done.unreachable:
            return done  # every further round would be a time-out, in a pool that serves all routes
    return replace(done, more=True)


def _askable(route: Route) -> int:
    """How many messages a round can ask about: what is leased and not asked about would wait for nothing."""
    dialect = route.dialect
    if not isinstance(dialect, Statuses):
        return MESSAGES
    return min(MESSAGES, QUESTIONS * dialect.status_items * dialect.status_in_flight)


def classify(
    route: Route,
    message: OpenMessage,
    report: StatusReport | None,
    age: timedelta,
    limit: timedelta,
    note: str = "",
) -> Transition | None:
    """What a look at a message comes to: the end they tell of it; UNCONFIRMED, with `note`, if they told none
    of one that was sent, and its package's `age` is over `limit`; else None, for it goes on."""
    end = reported(route, message, report) if report else None
    if end or message.status is not Status.SENT or age <= limit:
        return end
    return Transition(message.id, message.package_id, Status.UNCONFIRMED, note=note)


@dataclass(frozen=True, slots=True)
class _Heard:
    """The messages of a round that were to be asked about, what was told of them by their ledger ids, and the
    worst failure of a question."""

    messages: Sequence[OpenMessage]
    reports: Mapping[int, StatusReport]
    failure: Failure | None

    @property
    def found(self) -> list[tuple[OpenMessage, StatusReport]]:
        """The messages that something was told of."""
        return [(one, self.reports[one.id]) for one in self.messages if one.id in self.reports]


@dataclass(frozen=True, slots=True)
class _Round:
    """One lease of packages, asked about and written down."""

    runtime: Runtime
    route: Route
    leased: Sequence[Leased]
    refused: Mapping[Question, RefusedQuestion] = field(default_factory=dict)

    def run(self) -> Polled:
        """Jobs first, then messages, then the book."""
        jobs = self._jobs()
        ready = [
            package
            for package in self.leased
            if package.state is not PackageState.JOB
            or (jobs.get(package.id) is JobPhase.DONE and not self._is_paused(Question.STATUS))
        ]
        lost = [package for package in self.leased if jobs.get(package.id) in self._ends_in_doubt]
        messages, doubtful = self._messages(ready, lost)
        reports, failure = self._ask(messages)
        failure = worst([failure, *(job for job in jobs.values() if isinstance(job, Failure))])
        heard = _Heard(messages, reports, failure)
        strange = note_strange(self.route, reports.values())
        note_segments(
            self.route, ((message.segments_estimated, report.segments) for message, report in heard.found)
        )
        final = self._write(heard, doubtful, jobs)
        return Polled(
            packages=len(self.leased),
            asked=len(messages),
            final=final,
            strange=strange,
            unreachable=failure is not None and failure.name in _UNREACHABLE,
        )

    def _is_paused(self, question: Question) -> bool:
        """Whether they refuse the question, and it is not yet time to put it again."""
        refused = self.refused.get(question)
        return refused is not None and refused.paused

    @property
    def _ends_in_doubt(self) -> Sequence[JobPhase]:
        """In doubt is what a job broken off leaves; and one that is done, if nobody says of what."""
        return (JobPhase.BROKEN, JobPhase.DONE) if self._is_paused(Question.STATUS) else (JobPhase.BROKEN,)

    def _ask(self, messages: Sequence[OpenMessage]) -> tuple[Mapping[int, StatusReport], Failure | None]:
        """What they say of messages, unless they refuse to; whoever answered for one message does not."""
        if self._is_paused(Question.STATUS):
            return {}, None
        reports, failure = ask(self.runtime, self.route, messages)
        if reports or failure:
            before = Question.STATUS in self.refused
            trouble = None if reports else failure
            heard(self.runtime, self.route, Question.STATUS, trouble, refused=before)
        return reports, failure

    def _jobs(self) -> dict[int, JobPhase | Failure]:
        """Where each package's job stands. Asking ends where nobody answers: each question more would take a
        whole time-out, and the leases would run out over it. So it does where they refuse to."""
        found: dict[int, JobPhase | Failure] = {}
        deadline = self.runtime.clock() + self.route.config.lease.total_seconds() * PATIENCE
        for package in self.leased:
            if package.state is PackageState.JOB and self.runtime.clock() <= deadline:
                job = found[package.id] = self._job(package)
                if isinstance(job, Failure) and refuses(job):
                    found[package.id] = job if package.tries < GONE_LOOKS else JobPhase.BROKEN
                    break
                if isinstance(job, Failure) and job.name in _UNREACHABLE:
                    break
        return found

    def _job(self, package: Leased) -> JobPhase | Failure:
        """Where the package's job stands. BROKEN: nothing more is to be learnt from the job."""
        dialect = self.route.dialect
        if not (isinstance(dialect, Jobs) and self.route.knows(package.account)):
            return JobPhase.BROKEN
        if package.age > dialect.job_kept:
            return JobPhase.BROKEN
        if self._is_paused(Question.JOB):
            return _unknown(package)
        job_report = exchanged(self.runtime, self.route, dialect.job(package.job), dialect.read_job)
        failure = job_report if isinstance(job_report, Failure) else None
        heard(self.runtime, self.route, Question.JOB, failure, refused=Question.JOB in self.refused)
        if isinstance(job_report, Failure):
            log.warning(
                "job_failed route=%s package=%d failure=%r",
                self.route.config.name,
                package.id,
                str(job_report),
            )
            return job_report  # asking again is free
        return _unknown(package) if job_report.phase is JobPhase.GONE else job_report.phase

    def _messages(
        self, ready: Iterable[Leased], lost: Iterable[Leased]
    ) -> tuple[list[OpenMessage], list[OpenMessage]]:
        """The messages to ask about, and those of broken jobs, which are in doubt."""
        with self.runtime.ledger.begin() as connection:
            waiting = (Status.SENDING, Status.SENT)
            return (
                open_messages(connection, [package.id for package in ready], waiting),
                open_messages(connection, [package.id for package in lost], (Status.SENDING,)),
            )

    def _write(
        self, heard: "_Heard", doubtful: Iterable[OpenMessage], jobs: Mapping[int, JobPhase | Failure]
    ) -> int:
        """Settle what came out of jobs, report the rest, and set the next look. Returns how many ended."""
        ages = {package.id: package.age for package in self.leased}
        note = UNASKED if self._is_silent(heard) else ""
        waiting = self._limits(heard)
        ends = [
            classify(
                self.route, message, heard.reports.get(message.id), ages[message.package_id], limit, note
            )
            for message, limit in waiting
        ]
        out_of_jobs = [(message, told) for message, told in heard.found if message.status is Status.SENDING]
        outcome = Outcome(
            looks=self._looks(jobs),
            moves=[
                *(Transition(message.id, message.package_id, Status.IN_DOUBT) for message in doubtful),
                *(self._settled(message, report) for message, report in out_of_jobs),
            ],
            news=[move for move in ends if move],
            reads=reads(heard.messages, heard.reports),
            found=heard.found,
            first_told=out_of_jobs,
            keeps=(Clock.RESCUE,),
            reason="",
        )
        with self.runtime.ledger.begin() as connection:
            moved = record(self.runtime, self.route, connection, outcome).moved
        self._log(moved)
        return sum(moved.get(status, 0) for status in FINAL)

    def _is_silent(self, heard: "_Heard") -> bool:
        """Whether they refuse to be asked, and went on to."""
        return Question.STATUS in self.refused and not heard.reports

    def _limits(self, heard: "_Heard") -> list[tuple[OpenMessage, timedelta]]:
        """The messages, each with the age of its package until which an end is waited for.

        A provider that does not answer at all gets one longest wait more; one that cannot be asked, none.
        What could have been asked about, and was not because its turn did not come, waits on.
        """
        can_be_asked = isinstance(self.route.dialect, Statuses) and not self._is_silent(heard)
        unheard = [message for message in heard.messages if message.id not in heard.reports]
        to_come = askable(self.route, unheard) if can_be_asked and not heard.failure else []
        longer = self._horizon + (self.route.config.poll_max if can_be_asked else timedelta(0))
        limits = {
            **dict.fromkeys((message.id for message in heard.messages), self._horizon),
            **dict.fromkeys((message.id for message in unheard), longer),
            **dict.fromkeys((message.id for message in to_come), timedelta.max),
        }
        return [(message, limits[message.id]) for message in heard.messages]

    def _settled(self, message: OpenMessage, report: StatusReport) -> Transition:
        """After a job has ended, a message they do not know is in doubt: rescue asks once more, and waits."""
        move = settled(self.runtime, self.route, message.package_id, message, report)
        return move or Transition(message.id, message.package_id, Status.IN_DOUBT, code=report.code)

    def _looks(self, jobs: Mapping[int, JobPhase | Failure]) -> dict[int, Looks]:
        chance = self.runtime.chance()
        return {
            package.id: Looks(
                poll=self._next(package, self._wait(package, jobs, chance)),
                rescue=self.route.config.in_doubt_first,
            )
            for package in self.leased
        }

    def _wait(self, package: Leased, jobs: Mapping[int, JobPhase | Failure], chance: float) -> timedelta:
        """By the back-off; the messages of a job that has just ended begin anew."""
        route = self.route.config
        if not isinstance(self.route.dialect, Statuses):
            return self._horizon  # nobody to ask: receipts tell, or nobody does
        if package.state is not PackageState.JOB:
            wait = Backoff(route.poll_first, route.poll_max).delay(package.tries + 1, chance)
            refused = self.refused.get(Question.STATUS)
            return max(wait, refused.ask_in) if refused else wait
        if jobs.get(package.id) is JobPhase.DONE:
            return route.poll_first
        return Backoff(route.job_first, route.job_max).delay(package.tries + 1, chance)

    def _next(self, package: Leased, wait: timedelta) -> timedelta:
        """Not far past the horizon."""
        left = self._horizon - package.age
        return min(wait, left + timedelta(seconds=1)) if left > timedelta(0) else wait

    @property
    def _horizon(self) -> timedelta:
        """From when a package was opened; what they hold until its time waits longer for its end."""
        return self.route.config.horizon + self.route.config.schedule_ahead

    def _log(self, moved: Mapping[Status, int]) -> None:
        counts = " ".join(f"{status}={count}" for status, count in Counter(moved).items())
        log.info("polled route=%s packages=%d %s", self.route.config.name, len(self.leased), counts)


def _unknown(package: Leased) -> JobPhase:
    """Of a job they say nothing about: perhaps not yet."""
    return JobPhase.BROKEN if package.tries >= GONE_LOOKS else JobPhase.RUNNING
