"""The command line. Thin: it reads options, opens what a command needs, and shows what came of it."""

import sys
import traceback
from pathlib import Path

import click
import typer

from worker.cli import demo, doctor, migrations, reports, routes, sandbox, send, stoplist, up
from worker.cli.output import complain
from worker.dispatcher import EnqueueError
from worker.intake import IntakeError
from worker.ledger import LedgerError
from worker.local.errors import LocalError
from worker.settings import SettingsError, data_dir
from worker.sms.message import MessageError
from worker.version import __version__

app = typer.Typer(
    name="worker",
    help="Sends text messages once each: Redis in, Celery through, a Postgres ledger that balances.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("up")(up.up)
app.command("send")(send.send)
app.command("status")(reports.status)
app.command("books")(reports.show_books)
app.add_typer(routes.app, name="routes")
app.add_typer(stoplist.app, name="stoplist")
app.command("doctor")(doctor.doctor)
app.command("sandbox")(sandbox.sandbox)
app.add_typer(migrations.app, name="db")

EXPECTED = (SettingsError, LedgerError, IntakeError, EnqueueError, LocalError, MessageError)
"""Failures that are one sentence already."""


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run a command. Exit codes: 0 done, 1 it failed and says why, 2 usage. Never a traceback."""
    try:
        code = app(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as shown:
        shown.show()
        code = 2
    except click.UsageError as problem:
        problem.show()
        code = 2
    except click.Abort:
        code = 130
    except KeyboardInterrupt:
        code = 130
    except EXPECTED as problem:
        complain(str(problem))
        code = 1
    except BrokenPipeError:
        code = 1
    except Exception as problem:  # the last door: whatever it is, people get a sentence
        complain(f"unexpected {type(problem).__name__}; the details are in {_kept()}")
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _kept() -> Path:
    """Keep the traceback where a developer finds it."""
    path = data_dir() / "crash.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(traceback.format_exc(), "utf-8")
    return path
