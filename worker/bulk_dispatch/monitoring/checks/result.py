"""What a check found."""

from dataclasses import dataclass
from typing import Self

from bulk_dispatch.config.settings import SettingsError
from bulk_dispatch.intake import IntakeError, IntakeNotAllowedError
from bulk_dispatch.ledger import LedgerError, LedgerRefusedError
from bulk_dispatch.messaging.celery_app import BrokerError, BrokerNotAllowedError


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing looked at."""

    what: str  # the thing
    result: str  # ok; warning: works, but look at it; bad: does not work, or must not be sent like this
    seen: str  # one sentence for people

    @classmethod
    def unseen(cls, what: str, problem: Exception | str) -> Self:
        """The warning that something could not be looked at, and why."""
        return cls(what, "warning", f"cannot be seen: {problem}")

    @property
    def severity(self) -> int:
        """0 well, 1 a warning, 2 something does not work."""
        return RESULTS.index(self.result)


RESULTS = ("ok", "warning", "bad")

NOT_ALLOWED = (LedgerRefusedError, IntakeNotAllowedError, BrokerNotAllowedError)
"""It is there, and does not let us look."""

UNUSABLE = (LedgerError, IntakeError, BrokerError, SettingsError)
"""It cannot be used: away, not ours, or set up wrongly. One sentence each."""
