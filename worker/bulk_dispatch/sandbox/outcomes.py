"""What becomes of a message, and when. The same seed gives the same ends, run after run."""

import hashlib
import re
from bisect import bisect
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple


class End(StrEnum):
    """How a taken message ends. Each provider has its own words and codes for these."""

    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"
    EXPIRED = "expired"  # validity ran out, or nobody was there at any attempt
    REJECTED = "rejected"


ENDS = tuple(End)


@dataclass(frozen=True)
class Mix:
    """Weights of the four ends of taken messages, and which messages are refused at once."""

    delivered: float = 0.94
    undeliverable: float = 0.03
    expired: float = 0.02
    rejected: float = 0.01
    refused: float = 0.0  # share of all messages, 0 to 1
    refused_recipients: str = ""  # regular expression, matched against the digits of the number

    def __post_init__(self) -> None:
        if min(self.weights) < 0 or sum(self.weights) <= 0:
            raise ValueError("the weights of a mix must not be negative, and not all zero")
        if not 0 <= self.refused <= 1:
            raise ValueError("refused is a share: 0 to 1")
        re.compile(self.refused_recipients)

    @property
    def weights(self) -> tuple[float, float, float, float]:
        """In the order of `ENDS`."""
        return self.delivered, self.undeliverable, self.expired, self.rejected


@dataclass(frozen=True)
class Timings:
    """How long things take at the provider, in seconds (floats: they are added to clock readings)."""

    first: float = 0.05  # from accepted to the first news
    final: tuple[float, float] = (0.2, 1.0)  # from accepted to the end: shortest, longest
    job: float = 0.3  # from a job's submission to its end
    job_kept: float = 12 * 3600  # then the job is NOTFOUND [vendor docs]

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.final[0] <= self.final[1]:
            raise ValueError("timings must be in order: 0 <= first <= shortest final <= longest final")
        if min(self.job, self.job_kept) < 0:
            raise ValueError("a job's seconds must not be negative")


class Fate(NamedTuple):
    """Decided before anything happens: refused at once, or this end after so much of the way."""

    refused: bool
    end: End
    pace: float  # 0: as fast as `Timings.final` allows, 1: as slow


class Oracle:
    """Draws fates. No random state: own id, recipient and seed alone decide, whatever the order."""

    def __init__(self, mix: Mix, seed: int) -> None:
        self._seed = seed
        self._refused = mix.refused
        self._pattern = re.compile(mix.refused_recipients) if mix.refused_recipients else None
        total = sum(mix.weights)
        self._cumulative = [share / total for share in accumulate(mix.weights[:-1])]

    def fate(self, own_id: int | None, digits: str) -> Fate:
        """`digits` is the recipient without its plus."""
        drawn = hashlib.blake2b(f"{self._seed}/{own_id}/{digits}".encode(), digest_size=12).digest()
        refused = _share(drawn[:4]) < self._refused or (
            self._pattern is not None and self._pattern.search(digits) is not None
        )
        return Fate(refused, ENDS[bisect(self._cumulative, _share(drawn[4:8]))], _share(drawn[8:]))


def _share(four: bytes) -> float:
    return int.from_bytes(four) / 2**32
