"""The door of the tests: routes whose providers push, messages that were sent, and calls of all kinds."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from bulk_dispatch.config.routes_file import RouteConfig
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.receipts import name_messages
from bulk_dispatch.routing import Route, build_routes
from bulk_dispatch.webhooks.server import BindAddress, running
from tests.factories import messages
from tests.ledger.book import Book

SECRET = "a-secret-of-some-length"
HERE = "127.0.0.1"

Table = Mapping[str, Any]

OPEN: Mapping[str, Table] = {
    "form": {},
    "xml": {"provider": "webcom-xml"},
    "alpha": {"provider": "alphasms-xml"},
}
"""Every way to push."""


def make_lines(**tables: Table) -> dict[str, Route]:
    """Lines of these routes; a table without a provider gets smartswitch."""
    common = {"url": "http://127.0.0.1:1", "webhook_secret": SECRET, "webhook_per_second": 100_000}
    login = {"login": "shop", "password": "secret"}
    return build_routes(
        {
            name: RouteConfig(name=name, **{"provider": "smartswitch", **common, **login, **table})
            for name, table in tables.items()
        }
    )


@dataclass
class World:
    """A door that is open, and the book behind it."""

    book: Book
    url: str
    http: httpx.Client

    # -- given

    def sent(self, count: int = 1, route: str = "form", status: Status = Status.SENT) -> list[str]:
        """So many messages that have left, or may have, by the provider's names for them."""
        package = self.book.package(messages(count, route=route))
        self.book.settle(package, status)
        names = [(str(10**12 + item.id), item.id) for item in package.items]
        self.book.do(name_messages, route, names)
        return [name for name, _ in names]

    # -- when

    def form(
        self, name: str, state: str = "delivered", route: str = "form", secret: str = SECRET, **options: Any
    ) -> httpx.Response:
        """One state, as SMARTSwitch tells it."""
        fields = {"message_id": name, "message_state": state}
        return self.http.post(f"/receipts/{route}/{secret}", data=fields, **options)

    def xml(self, names: Sequence[str], state: str = "deliver") -> httpx.Response:
        """Several states, as webcom tells them."""
        lines = "".join(
            f'<state id_sms="{n}" time="2031-05-01 09:31:07" sms="{state}">{state}</state>' for n in names
        )
        return self.push("xml", f"<response>{lines}</response>".encode(), "text/xml; charset=utf-8")

    def push(self, route: str, body: Any, media_type: str = "text/plain") -> httpx.Response:
        """Anything."""
        return self.http.post(
            f"/receipts/{route}/{SECRET}", content=body, headers={"content-type": media_type}
        )

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    # -- then

    def statuses(self) -> list[str]:
        return list(self.book.statuses().values())

    def kept(self) -> int:
        return int(self.book.one("SELECT count(*) FROM unmatched_receipts"))


@contextmanager
def opened(ledger: Ledger, lines: Mapping[str, Route], **place: Any) -> Iterator[World]:
    """A door, opened."""
    where = BindAddress(**{"port": 0, **place})
    with (
        running(ledger, lines, where) as url,
        closing(httpx.Client(base_url=url, timeout=20, verify=False)) as http,  # reads no certificates
    ):
        yield World(Book(ledger), url, http)
