"""What a command needs open: settings with addresses, and the ledger or the intake behind them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from bulk_dispatch.cli.output import say
from bulk_dispatch.config.settings import Settings
from bulk_dispatch.intake import TRIES, Intake

if TYPE_CHECKING:  # loaded where needed: it takes half a second, and `send` seldom needs it
    from bulk_dispatch.ledger import Ledger
    from bulk_dispatch.local.servers.server_pair import Addresses
    from bulk_dispatch.runtime import Runtime


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
