"""How long to wait before the next try. Pure arithmetic; chance is passed in."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Backoff:
    """A doubling wait: `first` after the first try, never more than `most`."""

    first: timedelta
    most: timedelta

    def delay(self, tries: int, chance: float = 0.5) -> timedelta:
        """The wait after `tries` tries (counted from one).

        `chance` in 0..1 spreads waits over ±10 %, so that a fleet does not come back as one; 0.5 is
        exactly the plain doubling.
        """
        times: int = 2 ** min(max(tries, 1) - 1, 30)
        # Compared this way round, because a first wait of a day is soon more than a timedelta can hold.
        wait = self.most if self.first >= self.most / times else self.first * times
        return wait * (0.9 + 0.2 * chance)
