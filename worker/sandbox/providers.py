"""The families the sandbox plays, one line each: what opens a new account of it."""

from collections.abc import Callable, Sequence

from worker.sandbox.alphasms.provider import alphasms
from worker.sandbox.journal import Journal
from worker.sandbox.options import SandboxOptions
from worker.sandbox.provider import Provider
from worker.sandbox.smartswitch.provider import smartswitch
from worker.sandbox.webcom.provider import webcom

FAMILIES: tuple[Callable[[SandboxOptions, Journal | None], Sequence[Provider]], ...] = (
    alphasms,
    smartswitch,
    webcom,
)
