"""The make-believe provider in a case's hands: its script, its count, its process and its sockets."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from bulk_dispatch.sandbox.faults import read_rule
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.provider import Trait
from bulk_dispatch.sandbox.providers import FAMILIES
from tests.faults.fleet import Fleet
from tests.faults.proxy import Proxy
from tests.faults.tally import times_by_digest
from tests.waiting import eventually

NAME = "sandbox"  # of its process
REQUEST = 1000  # bytes; no request that sends is shorter


PROVIDED = [provider for family in FAMILIES for provider in family(SandboxOptions(), None)]

Command = tuple[str, str]
"""A provider, and a command of it."""


def _commands(trait: Trait) -> list[Command]:
    """Of every provider. Viber has none of the matrix's messages."""
    return [
        (provider.name, command)
        for provider in PROVIDED
        for command, traits in provider.commands.items()
        if trait & traits and command != "message-viber"
    ]


SENDS = _commands(Trait.SENDS)
ASKS = _commands(Trait.ASKS)

LATE = {"do": "late", "seconds": 15, "when": {"provider": "webcom-xml", "command": "push"}}
"""Where states are pushed too, they come so late that they are asked for, also by a poller just killed."""


def each(rule: dict[str, Any], commands: Sequence[Command]) -> list[dict[str, Any]]:
    """A rule for each of these commands that it has a meaning for."""
    found = []
    for provider, command in commands:
        one = {**rule, "when": {"provider": provider, "command": command}}
        try:
            read_rule(one, PROVIDED)
        except ValueError:
            continue
        found.append(one)
    return found


@dataclass(frozen=True)
class Provider:
    """A sandbox over HTTP. `proxy` is the network before it, for the routes that go through it."""

    url: str
    process: Fleet
    proxy: Proxy

    def script(self, *rules: dict[str, Any]) -> None:
        """From now on it misbehaves by these rules, and no others."""
        httpx.post(f"{self.url}/sandbox/faults", json=list(rules), timeout=10).raise_for_status()

    def await_met(self, times: int = 1) -> None:
        """Until each rule of the script has come up so often."""
        eventually(lambda: self._met() >= times, within=60, every=0.02)

    def _met(self) -> int:
        return min((int(rule["hits"]) for rule in self._asked("faults")), default=0)

    def answers(self) -> bool:
        """Whether it is there."""
        try:
            return httpx.get(f"{self.url}/sandbox/health", timeout=1).is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """Kill -9; it is started again, and remembers what it took."""
        self.process.kill(NAME)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Held still: requests lie in its sockets."""
        with self.process.stopped(NAME):
            yield

    def has_unread(self) -> bool:
        """Whether a request lies in its sockets. The end of a connection alone counts as one byte."""
        port = f":{urlsplit(self.url).port:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(row[1].endswith(port) and int(row[4].partition(":")[2], 16) > REQUEST for row in rows)

    def delivered(self) -> Mapping[str, int]:
        """How often it delivered, by content digest."""
        return times_by_digest(self._asked("deliveries"))

    def is_idle(self) -> bool:
        """Whether all that it took has come to its end."""
        under_way = {"accepted", "sending", "enroute", "scheduled", "send", "ok"}
        return under_way.isdisjoint(self._asked("counts")["by_state"])

    def kills(self, since: int = 0) -> int:
        """Callers it has killed, less `since`; it forgets its count when it dies itself."""
        kills = int(self._asked("counts")["kills"])
        return kills - since if kills >= since else kills

    def _asked(self, what: str) -> Any:
        return httpx.get(f"{self.url}/sandbox/{what}", timeout=60).json()
