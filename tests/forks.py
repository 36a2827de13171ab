"""Commands as processes of their own, without the half second that each would take to load the libraries.

A server loads everything but the command line once, and forks a process for each command: with the
environment, folder, words and streams it was asked for, and an exit code of its own. It ends with the tests.
What depends on how a process starts (signals, encodings, what loading costs) is tested without it.
"""

import atexit
import gc
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any

UNLOADED = ("bulk_dispatch.cli", "bulk_dispatch.tasks", "bulk_dispatch.__main__")
"""What reads the environment when it is loaded, or is to be loaded as the command does."""

PATIENCE = 60  # seconds for the server to start a command

LIBRARIES = ("typer", "rich.console", "rich.progress", "rich.table", "celery.bin.celery")
"""What commands load of others."""

PROGRAMS = {"worker": "bulk_dispatch.__main__", "celery": "celery.__main__"}
"""Where the `main` of a program is."""


class Forks:
    """Runs commands of ours by the server."""

    def __init__(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="forks-")
        self._path = str(Path(folder.name) / "socket")
        roots = [str(Path(__file__).parents[1] / name) for name in ("worker", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(roots)}
        command = (sys.executable, "-m", "tests.forks", self._path)
        server = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"

        def end() -> None:
            server.communicate()  # the end of its stdin is the end of the server
            folder.cleanup()

        atexit.register(end)

    def run(
        self,
        *words: str,
        env: Mapping[str, str],
        cwd: Path,
        stdin: str = "",
        program: str = "worker",
        timeout: float = 120,
    ) -> "subprocess.CompletedProcess[str]":
        """`worker WORDS`, run to its end. Raises TimeoutError if it takes longer than so many seconds."""
        with (
            tempfile.TemporaryFile() as into,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            into.write(stdin.encode())
            into.seek(0)
            command = self.start((program, *words), env, cwd, [one.fileno() for one in (into, out, err)])
            code = command.wait(timeout)
            return subprocess.CompletedProcess(words, code, _written(out), _written(err))

    def start(
        self, words: Sequence[str], env: Mapping[str, str], cwd: Path, streams: Sequence[int]
    ) -> "Command":
        """A command under way, its program first, with these as its stdin, stdout and stderr."""
        asked = json.dumps({"words": words, "env": dict(env), "cwd": str(cwd)}).encode()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(self._path)
        socket.send_fds(connection, [len(asked).to_bytes(4, "big")], streams)
        connection.sendall(asked)
        return Command(connection, int.from_bytes(_exactly(connection, 4), "big"))


@dataclass(frozen=True)
class Command:
    """A command under way."""

    connection: socket.socket
    pid: int

    def wait(self, timeout: float) -> int:
        """Its exit code. Raises TimeoutError after so many seconds; then it is killed."""
        with self.connection:
            self.connection.settimeout(timeout)
            try:
                return int.from_bytes(_exactly(self.connection, 4), "big", signed=True)
            except TimeoutError:
                os.kill(self.pid, signal.SIGKILL)
                raise


@cache
def forks() -> Forks:
    """The server of this process of tests."""
    return Forks()


def _written(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").replace("\r\n", "\n")


def _exactly(connection: socket.socket, octets: int) -> bytes:
    found = b""
    while len(found) < octets:
        more = connection.recv(octets - len(found))
        if not more:
            raise EOFError("the server hung up")
        found += more
    return found


# -- the server


def serve(path: str) -> None:
    """Fork for each connection until stdin ends."""
    _load("bulk_dispatch")
    for library in LIBRARIES:
        import_module(library)
    gc.collect()
    gc.freeze()  # a collection in a command would look at all of this, and copy it: a third of its time
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those who wait for commands are waited for by nobody
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        listener = os.fork()
        if listener == 0:
            while True:
                connection, _ = listening.accept()
                if os.fork() == 0:
                    listening.close()
                    _answer(connection)
                connection.close()
    sys.stdin.read()
    os.kill(listener, signal.SIGKILL)


def _load(package: str) -> None:
    module = import_module(package)
    for found in pkgutil.iter_modules(module.__path__, f"{package}."):
        if found.name.startswith(UNLOADED):
            continue
        if found.ispkg:
            _load(found.name)
        else:
            import_module(found.name)


def _answer(connection: socket.socket) -> None:
    """One command, from its words to its exit code; this process ends with it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    asked = json.loads(_exactly(connection, int.from_bytes(head, "big")))
    pid = os.fork()
    if pid == 0:
        connection.close()
        os._exit(_command(asked, streams))
    connection.sendall(pid.to_bytes(4, "big"))
    _, status = os.waitpid(pid, 0)
    connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
    os._exit(0)


def _command(asked: dict[str, Any], streams: list[int]) -> int:
    for number, (stream, name) in enumerate(zip(streams, ("stdin", "stdout", "stderr"), strict=True)):
        os.dup2(stream, number)
        opened = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
        setattr(sys, name, opened)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.argv = asked["words"]
    code = 0
    try:
        import_module(PROGRAMS[sys.argv[0]]).main()
    except SystemExit as end:  # as the interpreter does
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve(sys.argv[1])
