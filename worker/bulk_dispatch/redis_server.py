"""What a Redis server tells of itself: how it is set up, and how full it is.

Managed servers have no CONFIG, and an account may be allowed neither that nor INFO. What neither says is
None.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import redis

_INFORMED = {"maxmemory-policy": ("memory", "maxmemory_policy"), "appendonly": ("persistence", "aof_enabled")}
"""Settings as INFO tells them: the section, and the name there."""

_SAID: Mapping[object, str] = {0: "no", 1: "yes"}


@dataclass(frozen=True, slots=True)
class RedisServer:
    """One server, as it was seen. Two of one `identity` are the same."""

    identity: str  # of its run; where it does not say, its address
    maxmemory_policy: str | None
    appendonly: str | None  # yes or no
    fullness: float | None

    @classmethod
    def of(cls, client: "redis.Redis") -> Self:
        """The one that a client talks to. Raises as redis-py does if it is away."""
        return cls(
            _identity(client),
            _setting(client, "maxmemory-policy"),
            _setting(client, "appendonly"),
            fullness(client),
        )


def fullness(client: "redis.Redis") -> float | None:
    """The part of `maxmemory` that is used; 0 without a limit."""
    memory = _info(client, "memory")
    if "used_memory" not in memory:
        return None
    most = int(memory.get("maxmemory", 0))
    return int(memory["used_memory"]) / most if most else 0.0


def _identity(client: "redis.Redis") -> str:
    where = client.connection_pool.connection_kwargs
    address = ":".join(str(where.get(part)) for part in ("host", "port", "path"))
    return str(_info(client, "server").get("run_id", address))


def _setting(client: "redis.Redis", name: str) -> str | None:
    """As it was told, or else as it tells of itself."""
    section, informed = _INFORMED[name]
    told = _configured(client, name)
    said = told if told is not None else _info(client, section).get(informed)
    return None if said is None else _SAID.get(said, str(said))


def _configured(client: "redis.Redis", name: str) -> str | None:
    try:
        return client.config_get(name).get(name) or None
    except redis.ResponseError:  # not allowed, or not there
        return None


def _info(client: "redis.Redis", section: str) -> dict[str, Any]:
    try:
        return dict(client.info(section))
    except redis.ResponseError:
        return {}
