"""How long a step of a stage may take, and a task, by what the stages allow themselves."""

from datetime import timedelta

from bulk_dispatch.config.routes_file import RouteConfig
from bulk_dispatch.stages.dispatch import PACKAGES
from bulk_dispatch.stages.poll import ROUNDS
from bulk_dispatch.stages.provider_calls import PATIENCE

STATEMENTS = timedelta(seconds=60)  # room for what a step does in the ledger


def max_step_duration(route: RouteConfig) -> timedelta:
    """The longest a stage can take on a route, every exchange taking all the time it has."""
    return max(_dispatching(route), _polling(route)) + STATEMENTS


def max_task_duration(route: RouteConfig) -> timedelta:
    """The longest a task can take on a route: one step of a stage, but for the task that ingests, which may
    dispatch after that."""
    return max(STATEMENTS + _dispatching(route), _polling(route)) + STATEMENTS


def _dispatching(route: RouteConfig) -> timedelta:
    """A package of many requests begins none after its lease."""
    return PACKAGES * max(route.exchange, route.lease)


def _polling(route: RouteConfig) -> timedelta:
    """Each round asks about jobs, then about messages."""
    return ROUNDS * 2 * (route.lease * PATIENCE + route.exchange)
