"""Commands as processes of their own, without the half second that each would take to load the libraries.

A server loads everything but the command line once, and forks a process for each command: with the
environment, folder, words and streams it was asked for, and an exit code of its own. It ends with the tests.
What depends on how a process starts (signals, encodings, what loading costs) is tested without it.
"""

import atexit
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any

UNLOADED = ("bulk_dispatch.cli", "bulk_dispatch.tasks", "bulk_dispatch.__main__")
"""What reads the environment when it is loaded, or is to be loaded as the command does."""


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
        self, *words: str, env: Mapping[str, str], cwd: Path, stdin: str = "", timeout: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        """`worker WORDS`, run to its end. Raises TimeoutError if it takes longer than so many seconds."""
        with (
            tempfile.TemporaryFile() as into,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            into.write(stdin.encode())
            into.seek(0)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout)
                connection.connect(self._path)
                asked = json.dumps({"words": words, "env": dict(env), "cwd": str(cwd)}).encode()
                socket.send_fds(
                    connection, [len(asked).to_bytes(4, "big")], [one.fileno() for one in (into, out, err)]
                )
                connection.sendall(asked)
                pid = int.from_bytes(_exactly(connection, 4), "big")
                try:
                    code = int.from_bytes(_exactly(connection, 4), "big", signed=True)
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise
            return subprocess.CompletedProcess(words, code, _written(out), _written(err))


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
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.argv = ["worker", *asked["words"]]
    code = 0
    try:
        import_module("bulk_dispatch.__main__").main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve(sys.argv[1])
