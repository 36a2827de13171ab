"""`worker web`: the door by which providers bring receipts."""

import logging
from typing import Annotated

import typer

from bulk_dispatch.cli.context import servers
from bulk_dispatch.cli.output import complain, say
from bulk_dispatch.config.routes_file import read_routes, receipts_only
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.routing import build_routes
from bulk_dispatch.webhooks.server import BindAddress, serve


def web(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free one.")] = 8900,
    trusted_proxies: Annotated[
        str, typer.Option(help="Who is believed about callers: addresses, networks, by commas; * for all.")
    ] = "127.0.0.1",
) -> None:
    """Take receipts at /receipts/ROUTE/SECRET, by POST or GET, for routes with the key `webhook_secret`.

    It serves until Ctrl-C. GET /health says whether receipts get into the ledger.
    """
    place = BindAddress(host, port, trusted_proxies)
    with servers() as settings:
        logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
        routes = build_routes(read_routes(settings.routes, receipts_only))
        ledger = Ledger.connect(settings.database_url, connections=2)
        try:
            if lacks := ledger.lacks():
                complain(lacks)
            serve(
                ledger, routes, place, lambda url: say(f"Receipts are taken at {url}/receipts/ROUTE/SECRET")
            )
        except OSError as problem:
            complain(f"cannot listen on {host}:{port}: {problem.strerror}")
            raise typer.Exit(1) from None
        finally:
            ledger.close()
