"""Wake-ups: whether one is on its way already."""

from datetime import timedelta

from bulk_dispatch.intake import scripts
from bulk_dispatch.intake.connection import IntakeConnection, once


class WakeupCommands(IntakeConnection):
    """What keeps a wake-up from being sent twice."""

    @staticmethod
    def wakeup_key(name: str) -> str:
        """The key of a wake-up."""
        return f"worker:wakeup:{name}"

    def claim_wakeup(self, name: str, quiet: timedelta) -> bool:
        """Whether this wake-up is to be sent: none is on its way. One counts as on its way until it is
        acknowledged, or `quiet` is over."""
        with self._explained(), once():
            key = self.wakeup_key(name)
            return bool(self._run(scripts.WAKEUP, [key], [int(quiet.total_seconds() * 1000)]))

    def acknowledge(self, name: str) -> None:
        """A worker has begun the step: the next wake-up is sent again."""
        with self._explained():
            self.client.delete(self.wakeup_key(name))
