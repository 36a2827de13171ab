"""The processes of a whole installation on one machine, as `worker up` and `worker demo` run them.

They are started by the names of their commands: nothing of theirs is imported here.
"""

import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from bulk_dispatch.local.processes.spec import Child, StopPhase

WORKERS = (("urgent", "urgent,celery", 4), ("bulk", "bulk", 4), ("poll", "poll", 4))
"""Name, queues and threads of each Celery worker: a lane never waits for another."""

GRACE = timedelta(seconds=45)  # an exchange in flight is finished: it may take the route's time-outs


def _child(name: str, command: Sequence[str], env: Mapping[str, str], **more: Any) -> Child:
    """A child that runs in the data folder. Python and Celery look for modules in the folder they run in
    first: in the caller's, his own `redis.py` or `logging.py` would stand in for the real one."""
    return Child(
        name=name, command=(sys.executable, *command), env=env, folder=env["WORKER_DATA_DIR"], **more
    )


def workers(env: Mapping[str, str]) -> list[Child]:
    """A Celery worker per lane, and beat."""
    celery = ("-m", "celery", "--quiet", "-A", "bulk_dispatch.tasks")
    children = [
        _child(
            name,
            (
                *celery, "worker", "-n", f"{name}@%h", "-Q", queues, "--pool", "threads",
                "--concurrency", str(threads), "--without-gossip", "--without-mingle",
            ),
            env,
            stop_phase=StopPhase.FIRST,
            grace=GRACE,
        )
        for name, queues, threads in WORKERS
    ]  # fmt: skip
    return [*children, _child("beat", (*celery, "beat"), env)]


def sandbox(env: Mapping[str, str], port: int, *options: str) -> Child:
    """The make-believe provider on a port."""
    return _child("sandbox", ("-m", "bulk_dispatch", "sandbox", "--port", str(port), *options), env)


def web(env: Mapping[str, str], port: int) -> Child:
    """The door for receipts, on a loopback port."""
    return _child("web", ("-m", "bulk_dispatch", "web", "--port", str(port)), env)


def flower(env: Mapping[str, str], port: int) -> Child:
    """Flower on a loopback port. It listens to events; nothing depends on it."""
    command = (
        "-m", "celery", "-A", "bulk_dispatch.tasks", "flower",
        "--address=127.0.0.1", f"--port={port}", "--logging=warning",
    )  # fmt: skip
    return _child("flower", command, env, stop_signal=signal.SIGTERM)


def free_ports(*wanted: int) -> list[int]:
    """Each of these if it is free, else any free port of the loopback address; no two alike: one that is let
    go may be given again at once."""
    with ExitStack() as held:
        return [_bound(held.enter_context(socket.socket()), port) for port in wanted]


def _bound(probe: socket.socket, wanted: int) -> int:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for port in (wanted, 0):
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")
