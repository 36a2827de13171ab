"""Bounds: how long a step may take, by what the stages allow themselves."""

from datetime import timedelta

from bulk_dispatch.config.settings import Route
from bulk_dispatch.stages.dispatch import PACKAGES
from bulk_dispatch.stages.poll import ROUNDS
from bulk_dispatch.stages.provider_calls import PATIENCE

STATEMENTS = timedelta(seconds=60)  # room for what a step does in the ledger


def max_step_duration(route: Route) -> timedelta:
    """The longest a stage can take on a route, every exchange taking all the time it has."""
    round_of_questions = 2 * (route.lease * PATIENCE + route.exchange)  # of jobs, then of messages
    package = max(route.exchange, route.lease)  # a package of many requests begins none after its lease
    return max(PACKAGES * package, ROUNDS * round_of_questions) + STATEMENTS
