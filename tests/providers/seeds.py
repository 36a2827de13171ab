"""Inputs that are kept: what a fuzzer found to matter, by provider and reader, replayed by a normal test.

They lie in seeds/PROVIDER/READER/, one file an input, named by its digest.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from bulk_dispatch.providers import PROVIDERS, dialect
from bulk_dispatch.providers.interface import Account, Reply
from tests.providers.harness import sample_of
from tests.providers.questions import Question, pushes, questions

SEEDS = Path(__file__).parent / "seeds"
STATUSES = (200, 400, 500)  # of HTTP: well, their document error, and a fault that may carry a body


@dataclass(frozen=True)
class Target:
    """A reader of a provider, which may be fed anything."""

    provider: str
    reader: str
    question: Question
    account: Account
    root: Path = SEEDS

    def __str__(self) -> str:
        return f"{self.provider}/{self.reader}"

    def feed(self, body: bytes) -> None:
        """Read it and hold what comes to the rules. Raises what the reader should not, or AssertionError."""
        for status in STATUSES if self.question.request else STATUSES[:1]:
            self.question.sound(Reply(status, body), self.account)

    @property
    def folder(self) -> Path:
        """Where its inputs are kept."""
        return self.root / self.provider / self.reader

    def kept(self) -> list[Path]:
        """The inputs that are kept, as files."""
        return sorted(self.folder.glob("*")) if self.folder.is_dir() else []

    def keep(self, body: bytes) -> Path:
        """Keep an input."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / sha256(body).hexdigest()[:16]
        path.write_bytes(body)
        return path


def targets(providers: Iterable[str] = PROVIDERS) -> list[Target]:
    """Every reader of every provider, speaking for the first account of its sample."""
    found = []
    for provider in providers:
        sample = sample_of(provider)
        account = sample.accounts[0]
        speaker = dialect(provider, account)
        for name, question in (questions(sample, speaker) | pushes(sample, speaker)).items():
            found.append(Target(provider, name.replace(" ", "-"), question, account))
    return found


def target(provider: str, reader: str) -> Target:
    """One of them. Raises StopIteration if there is no such."""
    return next(found for found in targets([provider]) if found.reader == reader)
