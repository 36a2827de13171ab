"""Checks of the intake: does Redis take what is written, and what waits there for a person."""

from collections.abc import Iterator

from bulk_dispatch.intake import Intake
from bulk_dispatch.monitoring.checks.result import CheckResult
from bulk_dispatch.routing import shown_route


def check_writable(intake: Intake) -> Iterator[CheckResult]:
    """Redis can be reached, and takes what is written. Raises IntakeError."""
    intake.takes()
    yield CheckResult("intake", "ok", "Redis takes what is written")


def check_dead_letters(intake: Intake) -> Iterator[CheckResult]:
    """What could not become a message waits for a person."""
    if letters := intake.dead_letters():
        yield CheckResult("dead letters", "warning", f"{letters} are there: worker dead-letters list")


def check_unrouted(intake: Intake) -> Iterator[CheckResult]:
    """Messages wait for a route that no worker knew."""
    for place, count, since in intake.unrouted():
        route = shown_route(place.route)
        yield CheckResult(
            "unrouted",
            "warning",
            f"{count} {place.lane} messages wait for a route that no worker knew: {route}, the oldest since "
            f"{since:%Y-%m-%d %H:%M:%S} UTC",
        )
