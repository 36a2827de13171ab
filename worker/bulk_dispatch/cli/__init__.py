"""The command line. Thin: it reads options, opens what a command needs, and shows what came of it."""

import io
import signal
import sys
import traceback
from importlib import import_module
from typing import Annotated

import typer

from bulk_dispatch.cli.output import WholeHelp, complain
from bulk_dispatch.config.settings import data_dir
from bulk_dispatch.version import __version__

COMMANDS = {
    "demo": "demo:demo",
    "up": "up:up",
    "send": "send:send",
    "status": "status:status",
    "books": "books:show_books",
    "resolve": "resolve:resolve",
    "cancel": "cancel:cancel",
    "routes": "routes:app",
    "flows": "flows:app",
    "probe": "probe:probe",
    "reload": "reload:reload",
    "suppressions": "suppressions:app",
    "conflicts": "conflicts:app",
    "dead-letters": "dead_letters:app",
    "doctor": "doctor:doctor",
    "web": "web:web",
    "sandbox": "sandbox:sandbox",
    "db": "db:app",
}
"""Command to where it lives. Only the one that is called is loaded: all of them take a second."""

EXPECTED = {
    "SettingsError",
    "LedgerError",
    "IntakeError",
    "BrokerError",
    "EnqueueError",
    "LocalError",
    "AlreadyRunningError",
    "MessageError",
}
"""Failures of ours that are one sentence already, by name: to import them all is to load everything."""


def application(*names: str) -> typer.Typer:
    """The command line with these commands; with all of them if none is named."""
    app = typer.Typer(
        name="worker",
        help="Sends text messages once each: Redis in, Celery through, a Postgres ledger that balances.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        cls=WholeHelp,
    )
    app.callback(invoke_without_command=True)(_version)
    for name in names or COMMANDS:
        module, attribute = COMMANDS[name].split(":")
        command = getattr(import_module(f"bulk_dispatch.cli.{module}"), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run a command. Exit codes: 0 done, 1 it failed and says why, 2 usage. Never a traceback."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)  # so that whatever was opened is closed: servers above all
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter shows a question mark
    called = [name for name in sys.argv[1:2] if name in COMMANDS]
    try:
        application(*called)()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as problem:  # the last door: whatever it is, people get a sentence
        complain(str(problem) if _is_expected(problem) else _unexpected(problem))
        sys.exit(1)


def _leave(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _is_expected(problem: Exception) -> bool:
    return any(
        kind.__module__.startswith("bulk_dispatch.") and kind.__name__ in EXPECTED
        for kind in type(problem).__mro__
    )


def _unexpected(problem: Exception) -> str:
    """Keep the traceback where a developer finds it."""
    path = data_dir() / "crash.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(traceback.format_exception(problem)), "utf-8")
    except OSError as unwritable:
        return f"unexpected {type(problem).__name__}; the details cannot be kept: {unwritable}"
    return f"unexpected {type(problem).__name__}; the details are in {path}"
