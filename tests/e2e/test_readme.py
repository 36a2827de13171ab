"""Every code block of README.md and of docs/ runs as it stands, in order, beside one `worker up`.

Each page is read at a terminal of its own, so it says itself what it needs.
"""

import json
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from bulk_dispatch.client import Dispatcher
from bulk_dispatch.config.routes_file import names_only, read_routes
from bulk_dispatch.config.settings import Settings
from bulk_dispatch.domain.status import FINAL, Status
from bulk_dispatch.ledger.queries import History
from bulk_dispatch.routing import build_routes
from tests.guards.page import SHELLS, Block, blocks, typed
from tests.guards.repository import pages
from tests.terminal import Terminal, bare_environment, still_running, up
from tests.waiting import eventually

pytestmark = pytest.mark.slow

PAGES = {path: found for path, page in pages().items() if (found := blocks(page))}
BLOCKS = [block for found in PAGES.values() for block in found]
LINES = [line for block in BLOCKS if block.kind in SHELLS for line in typed(block.body)]

NOT_ENTERED = {
    "make demo": "tests/cli/test_whole.py runs it",
    "make test": "it runs this",
    "make up": "runs all the while",
    "make faults": "takes half an hour",
    "make bench": "takes a quarter of an hour",
    ". .venv/bin/activate": "these tests have an environment already, whatever it is called",
    "cp deploy/": "would write into the checkout; tests/guards/test_command_line.py looks for the files",
    "docker compose ": "takes Docker; tests/guards/test_compose.py reads what it would run",
    "celery -A bulk_dispatch.tasks ": "runs until Ctrl-C; `worker up` has the same workers and beat",
    "worker web ": "runs until Ctrl-C; `worker up` has one",
}
"""How lines begin that are not typed here, and why."""

NOT_RUN = {
    "": "a drawing of the folders, and of the import rules that pyproject.toml has",
    "sql": "rights of a role; tests/ledger/test_joined.py gives them",
    "py": "files of a new provider; tests/guards/test_add_a_provider.py puts them in their places",
}
"""Kinds of blocks that nobody can run, and why."""

BY_HAND = {"order-3": Status.REJECTED, "order-5": Status.CANCELLED, "order-6": Status.CANCELLED}
"""Messages that a page ends by hand, and how. All others are to reach the provider."""


def left_alone(line: str) -> bool:
    """Whether a line is not typed here."""
    return line.startswith(tuple(NOT_ENTERED))


def hands_over(line: str) -> bool:
    """Whether what a line names is with us when it has run: a file that it only writes is not."""
    return not re.search(r"^printf [^|]* > \S+$", line)


def ids(example: str) -> list[str]:
    """The messages that an example names."""
    return sorted(set(re.findall(r"order-\d+", example)))


class Newcomer:
    """Tries one example after the other. Each must work, and what it sends come to rest, before the next."""

    def __init__(self, terminal: Terminal, dispatcher: Dispatcher) -> None:
        self._terminal = terminal
        self._dispatcher = dispatcher
        (sandbox,) = re.findall(r"(http://\S+)/sandbox/counts", (terminal.folder / "up.log").read_text())
        self._sandbox = sandbox

    def try_out(self, block: Block) -> None:
        """Do with a block what is done with its kind."""
        if block.kind in SHELLS:
            for line in typed(block.body):
                if not left_alone(line):
                    self._run(line)
        elif block.kind == "python":
            (self._terminal.folder / "example.py").write_text(block.body, "utf-8")
            self._run("python example.py", shown=block.body)
        elif block.kind == "toml":
            path = self._terminal.folder / "example.toml"
            path.write_text(block.body, "utf-8")
            assert build_routes(read_routes(path, secret=names_only))
        else:
            assert block.kind in NOT_RUN, f"who runs this?\n{block.body}"

    def enter(self, line: str) -> "subprocess.CompletedProcess[str]":
        """Type a line; the sandbox is not where the page has it, for there may be another one."""
        return self._terminal.enter(line.replace("http://127.0.0.1:8800", self._sandbox))

    def ended(self, client_id: str) -> History:
        """What the ledger knows of a message, once it has its end."""
        found = eventually(lambda: self._found(client_id, lambda found: found.status in FINAL))
        assert found
        return found

    def _run(self, line: str, shown: str = "") -> None:
        ran = self.enter(line)
        assert ran.returncode == 0, f"{shown or line}\n{ran.stdout}{ran.stderr}"
        for client_id in ids(shown or line) if hands_over(line) else ():
            eventually(partial(self._found, client_id, at_rest))

    def _found(self, client_id: str, wanted: Callable[[History], bool]) -> History | None:
        found = self._dispatcher.status(client_id)
        return found if found and wanted(found) else None


def at_rest(message: History) -> bool:
    """Whether nothing more becomes of it by itself, or not before its time."""
    return message.status in FINAL | {Status.IN_DOUBT} or message.send_at is not None


@contextmanager
def dispatcher(folder: Path) -> Iterator[Dispatcher]:
    """As an application has it that was started after `source .worker/env.sh`."""
    words = shlex.split((folder / ".worker" / "env.sh").read_text("utf-8"))
    settings = Settings.from_env(dict(word.split("=", 1) for word in words if word != "export"))
    with closing(Dispatcher(settings)) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.timeout(1200)  # fifty commands, one after the other
def test_every_page_runs_as_it_stands_beside_worker_up(folder: Path) -> None:
    env = bare_environment()
    with up(env, folder) as process:
        with dispatcher(folder) as opened:
            newcomer = Newcomer(Terminal(env, folder), opened)
            eventually(lambda: newcomer.enter("worker doctor").returncode == 0, every=0.5)

            for page in PAGES.values():
                newcomer = Newcomer(Terminal(env, folder), opened)
                for block in page:
                    newcomer.try_out(block)

            sent = ids("\n".join(block.body for block in BLOCKS))
            for client_id in sent:
                found = newcomer.ended(client_id)
                assert (
                    found.status is BY_HAND[client_id] if client_id in BY_HAND else found.provider_message_id
                )
            books = json.loads(newcomer.enter("worker books --json").stdout)
            assert (books["balanced"], books["total"], books["waiting"]) == (True, len(sent), 0)
            assert (books["duplicates"], books["conflicts"], books["dead_letters"]) == (0, 0, 0)

        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert still_running(folder) == []


@pytest.mark.parametrize("beginning", NOT_ENTERED)
def test_what_is_left_alone_stands_in_a_page(beginning: str) -> None:
    assert any(line.startswith(beginning) for line in LINES)


def test_no_two_pages_send_the_same_message() -> None:
    """It would be a duplicate in one of them."""
    sent = [one for page in PAGES.values() for one in ids("\n".join(block.body for block in page))]

    assert len(sent) == len(set(sent))
