"""`worker reload`: has every worker and beat read the routes file again."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer

from bulk_dispatch.cli.context import opened_intake, servers
from bulk_dispatch.cli.output import Json, complain, emit, out, table
from bulk_dispatch.config.routes_file import names_only, read_routes
from bulk_dispatch.intake import Intake
from bulk_dispatch.monitoring.heartbeat import STALL_AFTER, Heartbeat, read_heartbeats
from bulk_dispatch.routing import build_routes

NOBODY = "no worker and no beat is running; the next to start reads the routes file as it is"


def reload(
    wait: Annotated[
        float, typer.Option(min=1, help="Seconds that they have; a process looks every two or three.")
    ] = 15,
    as_json: Json = False,
) -> None:
    """Have all workers and beat read the routes file again; exit code 1 if one did not, or has other routes.

    Nothing is interrupted: a step in hand ends by the routes it began with. A file that cannot be used
    changes nothing. Credentials of the environment are those with which a process started: for a new one,
    restart it.
    """
    with servers() as settings:
        routes = read_routes(settings.routes, secret=names_only)
        build_routes(routes)  # before anybody is asked: they would only refuse it, too
        with opened_intake(settings) as intake:
            replies = _ask(intake, wait, {name: route.settings_digest for name, route in routes.items()})
    good = bool(replies) and all(one.good or one.silent for one in replies)
    if as_json:
        emit({"reloaded": good, "processes": [one.plain for one in replies]})
    else:
        _tell(replies)
    if not good:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Reply:
    """What became of the asking at one process."""

    heartbeat: Heartbeat
    read: bool  # it looked into the file
    silent: bool  # it was silent before already: as far as one can see, it is not running
    unlike: str  # what sets its routes apart from those of the file

    @property
    def good(self) -> bool:
        return self.read and not self.problem

    @property
    def problem(self) -> str:
        if self.silent:
            return f"said nothing since {self.heartbeat.sent_at:%H:%M:%S} UTC: it seems not to run"
        if not self.read:
            return "did not read the routes again: restart it"
        if self.heartbeat.kept:
            return f"keeps the routes it had: {self.heartbeat.kept}"
        return f"{self.unlike}, unlike the file here: is it the same file?" if self.unlike else ""

    @property
    def plain(self) -> dict[str, Any]:
        return {
            "node": self.heartbeat.node,
            "reloaded": self.good,
            "routes": sorted(self.heartbeat.routes or {}),
            "problem": self.problem,
        }


def _ask(intake: Intake, wait: float, digests: Mapping[str, str]) -> list[_Reply]:
    """Ask all, and wait until each has replied or the time is over."""
    asked_at, _ = read_heartbeats(intake)
    asked = intake.ask_to_reload()
    until = time.monotonic() + wait
    while True:
        _, heartbeats = read_heartbeats(intake)
        if time.monotonic() > until or all(heartbeat.reloads >= asked for heartbeat in heartbeats):
            return [_reply(heartbeat, asked, asked_at, digests) for heartbeat in heartbeats]
        time.sleep(0.2)


def _reply(heartbeat: Heartbeat, asked: int, asked_at: datetime, digests: Mapping[str, str]) -> _Reply:
    read = heartbeat.reloads >= asked
    silent = not read and asked_at - heartbeat.sent_at > STALL_AFTER
    return _Reply(heartbeat, read, silent, heartbeat.unlike(digests))


def _tell(replies: Sequence[_Reply]) -> None:
    if not replies:
        complain(NOBODY)
        return
    heads = ("process", "routes")
    table(
        "Routes",
        heads,
        [(one.heartbeat.node, ", ".join(sorted(one.heartbeat.routes or {}))) for one in replies],
    )
    for one in replies:
        if one.problem:
            complain(f"{one.heartbeat.node} {one.problem}")
    if all(one.good for one in replies):
        out.print("All of them go by the routes file as it is now.", style="green")
