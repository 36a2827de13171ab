"""What a command needs open: settings with addresses, and the ledger or the intake behind them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bulk_dispatch.cli.output import say
from bulk_dispatch.config.settings import Settings
from bulk_dispatch.intake import TRIES, Intake

if TYPE_CHECKING:  # loaded where needed: it takes half a second, and `send` seldom needs it
    from bulk_dispatch.ledger import Ledger
    from bulk_dispatch.local.servers.server_pair import Addresses
    from bulk_dispatch.runtime import Runtime

# Of make-believe accounts, on the loopback address.
SANDBOX_KEY = "sandbox-key"
SANDBOX_LOGIN = "sandbox"
SANDBOX_PASSWORD = "sandbox-password"  # noqa: S105
SANDBOX_RECEIPTS = "sandbox-receipts-of-this-machine"


@contextmanager
def servers() -> Iterator[Settings]:
    """Settings whose addresses can be used: those of the environment, else of the embedded pair.

    The embedded pair is found running or started, and migrated, whatever that has to tell on stderr; the last
    to leave stops it.
    """
    settings = Settings.from_env()
    if not settings.embedded:
        yield settings
        return
    from bulk_dispatch.ledger.migrate import upgraded
    from bulk_dispatch.local.servers.shared import embedded

    with embedded(settings.data_dir, notify=say) as addresses:
        whole = at(settings, addresses)
        with opened_ledger(whole) as ledger:
            for sentence in upgraded(ledger).told:
                say(sentence)
        yield whole


def at(settings: Settings, addresses: "Addresses") -> Settings:
    """Settings for an embedded pair, with the sandbox's routes unless there is a routes file."""
    routes = settings.routes if settings.routes.exists() else settings.data_dir / "routes.toml"
    return replace(
        settings,
        data_dir=settings.data_dir.absolute(),
        database_url=addresses.database_url,
        redis_url=addresses.redis_url,
        broker_url=addresses.broker_url,
        routes=routes.absolute(),
    )


@contextmanager
def opened_ledger(settings: Settings) -> Iterator["Ledger"]:
    """The ledger, closed at the end."""
    from bulk_dispatch.ledger import Ledger

    ledger = Ledger.connect(settings.database_url, connections=2)
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def opened_intake(settings: Settings, tries: int = TRIES) -> Iterator[Intake]:
    """The intake, closed at the end. `tries`: how often a command is tried again."""
    intake = Intake.connect(settings.redis_url, tries)
    try:
        yield intake
    finally:
        intake.close()


@contextmanager
def migrated_ledger(settings: Settings) -> Iterator["Ledger"]:
    """The ledger, if it stands where this code expects it. Raises LedgerError if it does not."""
    from bulk_dispatch.ledger.migrate import check_migrated

    with opened_ledger(settings) as ledger:
        check_migrated(ledger)
        yield ledger


@contextmanager
def opened_runtime(settings: Settings) -> Iterator["Runtime"]:
    """Everything a stage needs, over a ledger that stands where this code expects it."""
    from bulk_dispatch.runtime import Runtime  # loads what talks to providers

    runtime = Runtime.open(settings)
    try:
        yield runtime
    finally:
        runtime.close()


Table: TypeAlias = Mapping[str, str | int]

SANDBOX_ROUTES: Mapping[str, Table] = {
    "sandbox-sync": {
        "provider": "alphasms-xml",
        "key": SANDBOX_KEY,
        "mode": "sync",
        "package_items": 1000,
        "status_items": 1000,
    },
    "sandbox-async": {
        "provider": "alphasms-xml",
        "key": SANDBOX_KEY,
        "mode": "async",
        "package_items": 1000,
        "status_items": 1000,
    },
    "sandbox-http": {"provider": "alphasms-http", "key": SANDBOX_KEY},
    "sandbox-webcom": {
        "provider": "webcom-xml",
        "token": SANDBOX_KEY,
        "receipts": SANDBOX_RECEIPTS,
    },
    "sandbox-smartswitch": {
        "provider": "smartswitch",
        "login": SANDBOX_LOGIN,
        "password": SANDBOX_PASSWORD,
        "receipts": SANDBOX_RECEIPTS,
    },
}
"""Every account of the sandbox as a route. `worker up`, `worker demo` and the fault matrix use them all."""

SANDBOX_DEFAULT = "sandbox-sync"
"""The route of messages that name none, in the file that `worker up` writes."""


def sandbox_routes(url: str, *, looks: str = "1s") -> str:
    """A routes file for the sandbox."""
    common: Table = {
        "url": url,
        "parallel": 4,
        "poll_first": looks,
        "poll_max": "5s",
        "job_first": "500ms",
        "job_max": "2s",
    }
    tables: dict[str, Table] = {name: {**own, **common} for name, own in SANDBOX_ROUTES.items()}
    return routes_file({**tables, SANDBOX_DEFAULT: {**tables[SANDBOX_DEFAULT], "default": True}})


def routes_file(routes: Mapping[str, Table]) -> str:
    """A routes file with these tables. JSON's texts and numbers are TOML's too."""
    tables = (
        "\n".join([f"[routes.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())])
        for name, table in routes.items()
    )
    return "\n\n".join(["# Of the make-believe providers.", *tables]) + "\n"


def sandbox_pushes(door: str, routes: Mapping[str, Table] = SANDBOX_ROUTES) -> tuple[str, ...]:
    """Options that let the sandbox push receipts for these routes to our door at that address."""
    return tuple(
        part
        for name, own in routes.items()
        if "receipts" in own
        for part in ("--push", f"{own['provider']}={door}/receipts/{name}/{own['receipts']}")
    )


def write_sandbox_routes(data_dir: Path, url: str, *, looks: str = "1s") -> Path:
    """Write the sandbox's routes file into the data directory."""
    path = data_dir / "routes.toml"
    path.write_text(sandbox_routes(url, looks=looks), "utf-8")
    return path
