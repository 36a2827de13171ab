"""The sandbox's accounts as routes, for `worker up`, `worker demo` and the tests: what a worker needs to send
there, and what the sandbox needs to push receipts back."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from bulk_dispatch.sandbox.options import SANDBOX_KEY, SANDBOX_LOGIN, SANDBOX_PASSWORD

SANDBOX_RECEIPTS = "sandbox-receipts-of-this-machine"

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
        "webhook_secret": SANDBOX_RECEIPTS,
    },
    "sandbox-smartswitch": {
        "provider": "smartswitch",
        "login": SANDBOX_LOGIN,
        "password": SANDBOX_PASSWORD,
        "webhook_secret": SANDBOX_RECEIPTS,
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
        if "webhook_secret" in own
        for part in ("--push", f"{own['provider']}={door}/receipts/{name}/{own['webhook_secret']}")
    )


def write_sandbox_routes(data_dir: Path, url: str, *, looks: str = "1s") -> Path:
    """Write the sandbox's routes file into the data directory."""
    path = data_dir / "routes.toml"
    path.write_text(sandbox_routes(url, looks=looks), "utf-8")
    return path
