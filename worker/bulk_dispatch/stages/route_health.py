"""What failures do to their route: it pauses, or stops until a person has acted."""

import logging
from collections.abc import Iterable

from bulk_dispatch.domain.doubt_policy import SETTLING
from bulk_dispatch.ledger import Connection
from bulk_dispatch.ledger.routes import note_failure, pause_route, stop_route
from bulk_dispatch.providers.failures import Acceptance, Failure, RouteAction
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime

log = logging.getLogger(__name__)

UNRESOLVABLE = 10  # failures that left doubt nobody can settle, and nothing went through between them


def worst(failures: Iterable[Failure | None]) -> Failure | None:
    """Of several failures, the one whose remedy weighs most."""
    weight = {RouteAction.NONE: 0, RouteAction.BISECT: 1, RouteAction.PAUSE: 2, RouteAction.STOP: 3}
    return max(filter(None, failures), key=lambda failure: weight[failure.remedy], default=None)


def apply_failure(runtime: Runtime, route: Route, connection: Connection, failure: Failure) -> None:
    """Do to the route what the failure asks for."""
    name = route.config.name
    if failure.remedy is RouteAction.STOP:
        stop_route(connection, name, str(failure))
    elif failure.remedy is not RouteAction.NONE:
        unresolvable = failure.taken is Acceptance.UNKNOWN and route.doubt not in SETTLING
        streak = note_failure(connection, name, unresolvable=unresolvable)
        if streak.unresolvable >= UNRESOLVABLE:  # to go on would bring the whole queue in doubt
            stop_route(
                connection, name, f"{streak.unresolvable} failures left doubt nobody can settle; {failure}"
            )
        else:
            wait = max(route.pause(streak.failures, runtime.chance()), failure.wait)
            pause_route(connection, name, wait, str(failure))
    log.warning("route_trouble route=%s remedy=%s failure=%r", name, failure.remedy.value, str(failure))
