"""What a case of the matrix is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.faults.tally import NONE, Pardon
from tests.faults.world import EVERY, Batch, World

Act = Callable[[World, Batch], None]
"""Hands the batch over and injects the fault; returns when the fault is over."""


@dataclass(frozen=True)
class Case:
    """One fault, injected for real into a working installation."""

    name: str
    act: Act
    messages: int = 1500
    routes: Sequence[str] = EVERY
    pool: str = "threads"
    in_doubt: str = ""  # the messages' own policy
    pardon: Pardon = NONE
    lives: bool = False  # no process may end by it
    within: float = 90.0  # seconds from the end of the fault until all is settled

    @property
    def about(self) -> str:
        """The name as people read it."""
        return self.name.replace("_", " ")
