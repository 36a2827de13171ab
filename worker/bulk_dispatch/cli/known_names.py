"""Names that select messages, held against those there are: a slip must not look like a job done."""

from collections.abc import Collection

from bulk_dispatch.cli.arguments import no_such
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.queries import campaign_names, producer_names, route_names


def check_route(ledger: Ledger, name: str, routes: Collection[str]) -> None:
    """End the command for a route that is not in the routes file, unless the ledger remembers it."""
    if not name or name in routes:
        return
    with ledger.begin() as connection:
        remembered = route_names(connection)
    if name not in remembered:
        raise no_such("route", name, list(routes))


def check_selection(ledger: Ledger, campaign: str, producer: str = "") -> None:
    """End the command for a campaign or a producer there is no message of. Ask only where nothing was found:
    to know all names, all messages are read."""
    with ledger.begin() as connection:
        for what, name, look in (
            ("campaign", campaign, campaign_names),
            ("producer", producer, producer_names),
        ):
            if name and name not in (known := look(connection)):
                raise no_such(what, name, known)
