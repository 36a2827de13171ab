"""A sandbox in a process of its own, as `worker sandbox` runs it."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.sandbox.customer import PATIENCE, Customer

ROOT = Path(__file__).parents[2]
NOBODY: Mapping[str, str] = {}
PROGRAM = """
import json
import sys
from pathlib import Path
from bulk_dispatch.sandbox.server import Mix, SandboxOptions, Timings, serve

options = SandboxOptions(
    port=int(sys.argv[1]),
    journal=Path(sys.argv[2]) if sys.argv[2] else None,
    mix=Mix(delivered=1, undeliverable=0, expired=0, rejected=0),
    timings=Timings(first=0.01, final=(0.03, 0.06), job=0.1),
    may_kill=sys.argv[3] == "may kill",
    pushes=json.loads(sys.argv[4]),
)
serve(options, lambda url: print(url, flush=True))
"""


@dataclass
class Process:
    """One running sandbox and a customer of it."""

    popen: subprocess.Popen[str]
    customer: Customer

    def end(self, how: signal.Signals) -> int:
        """Send the signal, wait, and give the exit code."""
        self.popen.send_signal(how)
        return self.popen.wait(PATIENCE)

    def in_background(self, ask: Callable[[], object]) -> threading.Thread:
        """A request nobody waits for; the server may die under it."""

        def quietly() -> None:
            with suppress(httpx.TransportError):
                ask()

        thread = threading.Thread(target=quietly)
        thread.start()
        return thread


@contextmanager
def started(
    journal: Path | None = None, port: int = 0, *, may_kill: bool = False, pushes: Mapping[str, str] = NOBODY
) -> Iterator[Process]:
    """Runs until the block ends, by SIGTERM if nothing else ended it before."""
    arguments = [str(port), str(journal or ""), "may kill" if may_kill else "", json.dumps(pushes)]
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as popen:
        assert popen.stdout is not None
        try:
            customer = Customer(popen.stdout.readline().strip())
            with customer.http:
                yield Process(popen, customer)
        finally:
            if popen.poll() is None:
                popen.terminate()
