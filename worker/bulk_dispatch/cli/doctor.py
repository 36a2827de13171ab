"""`worker doctor`: looks for what would lose, repeat or delay messages, and refuses it.

Judging one process is for health checks, which come every minute: it loads no Celery and no database.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bulk_dispatch.cli.output import Json, complain, emit, flow, out
from bulk_dispatch.config.settings import Settings
from bulk_dispatch.intake import Intake
from bulk_dispatch.monitoring.heartbeat import read_heartbeats
from bulk_dispatch.monitoring.liveness import check_process

if TYPE_CHECKING:
    from bulk_dispatch.monitoring.checks import CheckResult


def doctor(
    node: Annotated[
        str,
        typer.Option(
            help="Judge one process by the work it does, quickly: urgent@%h, say; beat@%h is beat. "
            "%h is the name of this host. Exit code 1 if it does no work and should."
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Look for what would lose, repeat or delay messages.

    Exit code 0 if all is well, 1 for warnings, 2 if something does not work. With --node it is 0 or 1, as
    health checks want it. What cannot be seen, for want of a permission, is a warning.
    """
    if node:
        _judge(node.replace("%h", socket.gethostname()), as_json)
    else:
        _examine(as_json)


def _judge(node: str, as_json: bool) -> None:
    with _intake() as intake:
        now, heartbeats = read_heartbeats(intake)
    checked = check_process(node, now, heartbeats)
    if as_json:
        worked_at = checked.since.isoformat() if checked.since else None
        emit(
            {
                "node": node,
                "healthy": checked.healthy,
                "state": checked.state.name.lower(),
                "worked_at": worked_at,
            }
        )
    elif checked.healthy:
        out.print(checked.sentence(now), markup=False, soft_wrap=True)
    else:
        complain(checked.sentence(now))
    if not checked.healthy:
        raise typer.Exit(1)


@contextmanager
def _intake() -> Iterator[Intake]:
    settings = Settings.from_env()
    if settings.embedded:
        from bulk_dispatch.cli.context import opened_intake, servers  # slow: it can start servers

        with servers() as whole, opened_intake(whole) as intake:
            yield intake
        return
    intake = Intake.connect(settings.redis_url, tries=1)
    try:
        yield intake
    finally:
        intake.close()


def _examine(as_json: bool) -> None:
    from bulk_dispatch.cli.context import servers
    from bulk_dispatch.monitoring.checks import examine  # a second of loading

    with servers() as settings:
        findings = list(examine(settings))
    severity = max(finding.severity for finding in findings)
    if as_json:
        told = [{**asdict(finding), "severity": finding.severity} for finding in findings]
        emit({"healthy": severity == 0, "severity": severity, "findings": told})
    else:
        _show(findings)
    if severity:
        raise typer.Exit(severity)


def _show(findings: "Sequence[CheckResult]") -> None:
    signs = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "bad": ("✗", "bold red")}
    for finding in findings:
        sign, style = signs[finding.result]
        flow(f"{sign} {finding.what:<12} ", finding.seen, style)
