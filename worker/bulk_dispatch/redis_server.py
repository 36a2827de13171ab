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


def without_fsync(client: "redis.Redis") -> str:
    """What a server is that cannot confirm an fsync, in a few words; empty for one that can. Raises as
    redis-py does if it is away, or does not let us ask."""
    appendfsync = _configured(client, "appendfsync")
    if appendfsync != "no" and _knows_waitaof(client):  # with `no`, nothing is ever confirmed
        return ""
    settings = {"appendonly": _setting(client, "appendonly"), "appendfsync": appendfsync}
    told = [f"{name} {value}" for name, value in settings.items() if value]
    return " with ".join([_product(client), " and ".join(told)] if told else [_product(client)])


def _knows_waitaof(client: "redis.Redis") -> bool:
    """Whether WAITAOF is there and has an append-only file to wait for. This one waits for nothing, or for a
    millisecond."""
    try:
        client.waitaof(1, 0, 1)
    except redis.ResponseError as problem:
        if "unknown command" in str(problem) or "appendonly is disabled" in str(problem):
            return False
        raise
    return True


def _product(client: "redis.Redis") -> str:
    """Name and version: Valkey tells for which Redis it may be taken, too."""
    told = _info(client, "server")
    if version := told.get("valkey_version"):
        return f"Valkey {version}"
    return f"Redis {told.get('redis_version', 'of a version that it does not tell')}"


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
