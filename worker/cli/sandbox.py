"""`worker sandbox`: the make-believe provider, by itself."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.output import complain, say
from worker.cli.session import SANDBOX_KEY
from worker.sandbox.mix import Timings
from worker.sandbox.options import SandboxOptions
from worker.sandbox.server import serve


def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for any free one.")] = 8800,
    key: Annotated[str, typer.Option(help="The key that routes must show.")] = SANDBOX_KEY,
    journal: Annotated[Path | None, typer.Option(help="Remember across restarts in this file.")] = None,
    final_least: Annotated[float, typer.Option(help="Seconds until the first messages are final.")] = 0.2,
    final_most: Annotated[float, typer.Option(help="Seconds until the last ones are.")] = 1.0,
    job_seconds: Annotated[float, typer.Option(help="Seconds an asynchronous job takes.")] = 0.3,
    take_repeats: Annotated[
        bool,
        typer.Option("--take-repeats", help="Send again what comes under a used id, instead of refusing."),
    ] = False,
    may_kill: Annotated[
        bool, typer.Option("--may-kill", help="Take scripts that kill -9 the calling process; Linux only.")
    ] = False,
) -> None:
    """A make-believe provider that speaks AlphaSMS XML and takes a script of faults.

    It serves until Ctrl-C. Control it over HTTP: GET /sandbox/counts, POST /sandbox/faults,
    POST /sandbox/reset.
    """
    try:
        timings = Timings(first=min(0.05, final_least), final=(final_least, final_most), job=job_seconds)
        options = SandboxOptions(
            host=host,
            port=port,
            key=key,
            journal=journal,
            timings=timings,
            take_repeats=take_repeats,
            may_kill=may_kill,
        )
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from None
    try:
        serve(options, lambda url: say(f"The sandbox listens on {url}"))
    except OSError as problem:
        complain(f"cannot listen on {host}:{port}: {problem.strerror}")
        raise typer.Exit(1) from None
