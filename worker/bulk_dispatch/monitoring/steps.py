"""The work of a process, counted. Values only: no clock, no lock, no thread."""

from dataclasses import dataclass

from bulk_dispatch.monitoring.heartbeat import STALL_AFTER


@dataclass(slots=True)
class StepCounter:
    """What a process has done, and has in hand. Instants are seconds of one clock that only goes forward;
    each change is told the instant at which it happened."""

    last_activity: float  # it came up, began a step, or ended one; beat: it scheduled a task
    active: int = 0  # steps in hand
    last_success: float | None = None  # it ended a step without an error; beat: it scheduled a task
    ticking_since: float | None = None  # it has succeeded since then, without a gap
    last_error: str = ""  # the kind of error that ended a step, if none succeeded since

    def wake(self, now: float) -> None:
        """It is up, or heard what it was asked."""
        self.last_activity = now

    def begin(self, now: float) -> None:
        """A step began."""
        self.last_activity = now
        self.active += 1

    def succeed(self, now: float) -> None:
        """A step ended without an error."""
        self.active -= 1
        self.tick(now)

    def fail(self, now: float, error: str) -> None:
        """A step ended by this kind of error."""
        self.interrupt(now)
        self.last_error = error

    def interrupt(self, now: float) -> None:
        """A step was broken off, as when a process ends: that is neither success nor failure."""
        self.last_activity = now
        self.active -= 1

    def tick(self, now: float) -> None:
        """Beat scheduled a task. A gap longer than a worker may be inactive begins a new run."""
        self.last_activity = now
        if self.last_success is None or now - self.last_success > STALL_AFTER.total_seconds():
            self.ticking_since = now
        self.last_success, self.last_error = now, ""

    def facts(self, now: float) -> dict[str, object]:
        """What a heartbeat says of it; instants as seconds before `now`."""
        return {
            "last_activity": now - self.last_activity,
            "last_success": None if self.last_success is None else now - self.last_success,
            "ticking": None if self.ticking_since is None else now - self.ticking_since,
            "active": self.active,
            "last_error": self.last_error,
        }
