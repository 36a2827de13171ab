"""Whose turn it is to send again what is in doubt, on a route whose provider takes each id only once."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.ledger.routes import ROUTE_IS_ACTIVE


def begin_resubmission(
    connection: Connection, route: str, accounts: Sequence[str], lease: timedelta
) -> datetime | None:
    """Whether doubt is to be settled by sending again now: some that left by these accounts is due, the route
    is active, and nobody else is at it. Returns until when it is our turn.

    It is one request at a time beside the `parallel` ones, so that doubt need not wait for a campaign.
    """
    until: datetime | None = connection.execute(
        text(f"""
            UPDATE routes SET resubmit_lease_until = now() + :lease
            WHERE name = :route AND coalesce(resubmit_lease_until <= now(), true)
              AND {ROUTE_IS_ACTIVE}
              AND EXISTS (
                  SELECT FROM packages
                  WHERE route = :route AND rescue_at <= now() AND state = '{PackageState.IN_DOUBT}'
                    AND coalesce(account = ANY(CAST(:accounts AS text[])), true)
              )
            RETURNING resubmit_lease_until
        """),  # noqa: S608 - our own constants
        {"route": route, "accounts": list(accounts), "lease": lease},
    ).scalar_one_or_none()
    return until


def end_resubmission(connection: Connection, route: str, until: datetime) -> None:
    """The next process may, unless our turn was over and it has begun already."""
    connection.execute(
        text("""
            UPDATE routes SET resubmit_lease_until = NULL
            WHERE name = :route AND resubmit_lease_until = :until
        """),
        {"route": route, "until": until},
    )
