"""Endpoints: which callers may bring receipts for a route, and how many."""

import hashlib
import hmac
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic

from bulk_dispatch.config.routes_file import RouteConfig
from bulk_dispatch.config.settings import SettingsError
from bulk_dispatch.providers.interface import Receipts
from bulk_dispatch.routing import Route

SECRET_LEAST = 20  # characters
SECRET = re.compile(rf"[A-Za-z0-9_-]{{{SECRET_LEAST},}}")
NO_SECRET = bytes(32)  # what nobody's secret has for a digest

Network = IPv4Network | IPv6Network


class Bucket:
    """A token bucket: so many receipts a second, and as many at once after a quiet second.

    A body's receipts are counted once it is read, so it may run into debt; nothing more comes in until that
    is paid.
    """

    def __init__(self, per_second: int, clock: Callable[[], float] = monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._tokens = float(per_second)
        self._counted_at = clock()

    def wait(self) -> int:
        """Whole seconds until something may come in again; 0 if it may now."""
        now = self._clock()
        grown = self._tokens + (now - self._counted_at) * self._per_second
        self._tokens, self._counted_at = min(float(self._per_second), grown), now
        return 0 if self._tokens > 0 else 1 + math.floor(-self._tokens / self._per_second)

    def spend(self, receipts: int) -> None:
        """Count what came in."""
        self._tokens -= receipts


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The endpoint of one route."""

    route: str
    dialect: Receipts
    networks: Sequence[Network]  # none: from anywhere
    bucket: Bucket
    digest: bytes = field(repr=False)  # of the secret

    def admits(self, address: str) -> bool:
        """Whether receipts may come from there."""
        if not self.networks:
            return True
        try:
            found = ip_address(address)
        except ValueError:  # a proxy may say anything
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found in network for network in self.networks)


def endpoints(routes: Mapping[str, Route], clock: Callable[[], float] = monotonic) -> dict[str, Endpoint]:
    """The endpoints of those routes that have one. Raises SettingsError, naming the route."""
    return {name: _endpoint(route, clock) for name, route in routes.items() if route.config.webhook_secret}


def authenticate(found: Mapping[str, Endpoint], route: str, secret: str, address: str) -> Endpoint | None:
    """The endpoint, if all is right. What is wrong is not to be learnt, nor by the time it takes."""
    endpoint = found.get(route)
    right = hmac.compare_digest(_digest(secret), endpoint.digest if endpoint else NO_SECRET)
    return endpoint if endpoint and right and endpoint.admits(address) else None


def _endpoint(route: Route, clock: Callable[[], float]) -> Endpoint:
    config = route.config
    if not isinstance(route.dialect, Receipts):
        raise SettingsError(
            f"routes.{config.name}.webhook_secret: {config.provider} brings none; leave it out"
        )
    if not SECRET.fullmatch(config.webhook_secret):
        raise SettingsError(
            f"routes.{config.name}.webhook_secret must be at least {SECRET_LEAST} letters, digits, "
            f"dashes and underscores"
        )
    bucket = Bucket(config.webhook_per_second, clock)
    return Endpoint(config.name, route.dialect, _networks(config), bucket, _digest(config.webhook_secret))


def _networks(route: RouteConfig) -> list[Network]:
    parts = [part.strip() for part in route.webhook_allow_from.split(",") if part.strip()]
    try:
        return [ip_network(part, strict=False) for part in parts]
    except ValueError:
        raise SettingsError(
            f"routes.{route.name}.webhook_allow_from must be addresses and networks, by commas, "
            f"got {route.webhook_allow_from!r}"
        ) from None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
