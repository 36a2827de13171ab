"""The families the sandbox plays, one line each: what opens a new account of it."""

from collections.abc import Callable, Sequence

from bulk_dispatch.sandbox.alphasms.provider import alphasms
from bulk_dispatch.sandbox.journal import Journal
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.provider import Provider
from bulk_dispatch.sandbox.smartswitch.provider import smartswitch
from bulk_dispatch.sandbox.webcom.provider import webcom

FAMILIES: tuple[Callable[[SandboxOptions, Journal | None], Sequence[Provider]], ...] = (
    alphasms,
    smartswitch,
    webcom,
)
