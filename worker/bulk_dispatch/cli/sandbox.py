"""`worker sandbox`: the make-believe providers, by themselves."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

from bulk_dispatch.cli.output import complain, say
from bulk_dispatch.gc_tuning import tune_gc
from bulk_dispatch.sandbox.alphasms.options import AlphasmsOptions
from bulk_dispatch.sandbox.options import SANDBOX_KEY, SANDBOX_LOGIN, SANDBOX_PASSWORD, SandboxOptions
from bulk_dispatch.sandbox.outcomes import Timings
from bulk_dispatch.sandbox.server import serve
from bulk_dispatch.sandbox.webcom.options import WebcomOptions

Money = Annotated[float, typer.Option(help="Money on that account; when it is out, nothing more is sent.")]
NO_MONEY: dict[str, Literal[1, 2, 17]] = {"1": 1, "2": 2, "17": 17}


def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free one.")] = 8800,
    key: Annotated[str, typer.Option(help="The key, or token, that routes must show.")] = SANDBOX_KEY,
    login: Annotated[str, typer.Option(help="Or, with the password, the login.")] = SANDBOX_LOGIN,
    password: Annotated[str, typer.Option(help="Of that login.")] = SANDBOX_PASSWORD,
    journal: Annotated[Path | None, typer.Option(help="Remember across restarts in this file.")] = None,
    final_least: Annotated[float, typer.Option(help="Seconds until the first messages are final.")] = 0.2,
    final_most: Annotated[float, typer.Option(help="Seconds until the last ones are.")] = 1.0,
    job_seconds: Annotated[float, typer.Option(help="Seconds an asynchronous job takes.")] = 0.3,
    push: Annotated[
        list[str] | None,
        typer.Option(metavar="PROVIDER=URL", help="Tell this address when states change there; repeatable."),
    ] = None,
    alphasms_money: Money = 1e9,
    webcom_money: Money = 1e9,
    webcom_no_money: Annotated[
        Literal["1", "2", "17"],
        typer.Option(help="The text when it is out: 1 and 2 refuse, 17 sends after a top-up."),
    ] = "2",
    webcom_zone: Annotated[str, typer.Option(help="Time zone of that account.")] = "Europe/Moscow",
    webcom_identical: Annotated[
        float, typer.Option(help="Refuse the same request within so many seconds; 0 for never.")
    ] = 0,
    webcom_repeat: Annotated[
        Literal["id", "text", "both"],
        typer.Option(help="What a used client id is answered with: its old number, a text, or both."),
    ] = "id",
    webcom_language: Annotated[
        Literal["english", "russian"], typer.Option(help="Language of that account's error texts.")
    ] = "english",
    keep_alive: Annotated[
        float, typer.Option(help="Seconds after which an idle connection is closed.")
    ] = 120,
    take_repeats: Annotated[
        bool,
        typer.Option("--take-repeats", help="Send again what comes under a used id, instead of refusing."),
    ] = False,
    may_kill: Annotated[
        bool, typer.Option("--may-kill", help="Take scripts that kill -9 the calling process; Linux only.")
    ] = False,
) -> None:
    """Make-believe providers that speak every dialect and take a script of faults.

    It serves until Ctrl-C. Control it over HTTP: GET /sandbox/counts, POST /sandbox/faults,
    POST /sandbox/pushes, POST /sandbox/reset.
    """
    try:
        options = SandboxOptions(
            host=host,
            port=port,
            key=key,
            login=login,
            password=password,
            journal=journal,
            timings=Timings(first=min(0.05, final_least), final=(final_least, final_most), job=job_seconds),
            keep_alive=keep_alive,
            take_repeats=take_repeats,
            may_kill=may_kill,
            pushes=_pushes(push or ()),
            alphasms=AlphasmsOptions(money=alphasms_money),
            webcom=WebcomOptions(
                zone=webcom_zone,
                identical_seconds=webcom_identical,
                repeat=webcom_repeat,
                language=webcom_language,
                money=webcom_money,
                no_money=NO_MONEY[webcom_no_money],
            ),
        )
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from None
    tune_gc()  # it remembers every message
    try:
        serve(options, lambda url: say(f"The sandbox listens on {url}"))
    except OSError as problem:
        complain(f"cannot listen on {host}:{port}: {problem.strerror}")
        raise typer.Exit(1) from None


def _pushes(given: Iterable[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    if strange := [name for name, _, url in pairs if not url.startswith("http")]:
        raise ValueError(f"--push is PROVIDER=URL, got {strange[0]!r}")
    return {name: url for name, _, url in pairs}
