"""Everything one can set on a sandbox."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bulk_dispatch.sandbox.alphasms.options import AlphasmsOptions
from bulk_dispatch.sandbox.outcomes import Mix, Timings
from bulk_dispatch.sandbox.smartswitch.options import SmartSwitchOptions
from bulk_dispatch.sandbox.webcom.options import WebcomOptions

# Of make-believe accounts, on the loopback address.
SANDBOX_KEY = "sandbox-key"
SANDBOX_LOGIN = "sandbox"
SANDBOX_PASSWORD = "sandbox-password"  # noqa: S105


@dataclass(frozen=True)
class SandboxOptions:
    """One account at every make-believe provider, and where they all listen."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: any free one
    key: str = SANDBOX_KEY  # AlphaSMS; webcom's token
    login: str | None = SANDBOX_LOGIN  # besides the key; both or none
    password: str | None = SANDBOX_PASSWORD
    mix: Mix = field(default_factory=Mix)
    timings: Timings = field(default_factory=Timings)
    seed: int = 1
    journal: Path | None = None  # absent: everything is forgotten with the process
    # Seconds after which it closes an idle connection. Longer than any client keeps one, so that we never
    # close one that is just being used again: that would look like a dropped request nobody scripted.
    keep_alive: float = 120
    parallel_limit: int | None = None  # more requests at once are throttled, where a provider documents that
    unknown_id: Literal["answered", "left out"] = "answered"  # sheet 3.4: both have to be reckoned with
    take_repeats: bool = False  # of AlphaSMS's own ids: as a provider that keeps no count of them
    may_kill: bool = (
        False  # take scripts that kill -9 the caller: only where every caller is there to be killed
    )
    zone: str = "Europe/Kyiv"  # AlphaSMS: of dates without one, in and out [assumption of the sheet]
    pushes: Mapping[str, str] = field(default_factory=dict)  # provider to the URL that is told of states
    alphasms: AlphasmsOptions = field(default_factory=AlphasmsOptions)
    webcom: WebcomOptions = field(default_factory=WebcomOptions)
    smartswitch: SmartSwitchOptions = field(default_factory=SmartSwitchOptions)

    def __post_init__(self) -> None:
        if (self.login is None) != (self.password is None):
            raise ValueError("login and password come together")
        if self.parallel_limit is not None and self.parallel_limit < 1:
            raise ValueError("parallel_limit must be at least 1")
        if self.keep_alive <= 0:
            raise ValueError("keep_alive must be longer than nothing")
        for name, url in self.pushes.items():
            check_listener(name, url)
        if self.may_kill and sys.platform != "linux":
            raise ValueError("killing callers needs Linux: they are found through /proc")


def check_listener(provider: str, url: object) -> None:
    """Raises ValueError for what is no address to push to."""
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ValueError(f"the URL of {provider} must begin with http:// or https://")
