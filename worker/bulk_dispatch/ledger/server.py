"""The server that the ledger lives on: the least version it may have, the settings a promise leans on, and
who else is at it in a way that slows us down."""

import re
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Connection, text

LEAST = 18
"""The oldest PostgreSQL that will do: RETURNING old.* came with it. The one place that knows."""

GUARDS = ("fsync", "full_page_writes", "synchronous_commit")
"""Settings that are on unless somebody turned them off."""


class LedgerError(RuntimeError):
    """The ledger cannot be used: not there, not migrated, or not ours. One sentence, no credential."""


class TooOldError(LedgerError):
    """The server is older than what we need. It will not pass by itself, so nobody should wait for it."""


class LedgerRefusedError(LedgerError):
    """The server is there, and our account may not do that."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server is set up."""

    version: int  # its major number
    lazy: tuple[str, ...]  # settings that are off and let a crash forget what was committed

    @property
    def warning(self) -> str:
        """One sentence for all who open a ledger; empty if all is well."""
        are = "are" if len(self.lazy) > 1 else "is"
        names = " and ".join(self.lazy)
        return f"{names} {are} off in PostgreSQL: a crash may forget what was sent" if self.lazy else ""


def check_version(version_number: int, least: int = LEAST) -> None:
    """Raise TooOldError for a server whose `server_version_num` (180000) is below `least`, a major number."""
    found = version_number // 10_000
    if found < least:
        raise TooOldError(f"PostgreSQL {found} is too old; {least} is needed")


def check_connection(connection: Connection) -> None:
    """The same for a connection that is not of our own making, by what SQLAlchemy asked when it first met the
    server."""
    found = connection.dialect.server_version_info
    if found:
        check_version(int(found[0]) * 10_000)


def server_settings(connection: Connection) -> ServerSettings:
    """How the server is set up."""
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    off = (name for name in GUARDS if connection.execute(text(f"SHOW {name}")).scalar_one() == "off")
    return ServerSettings(version // 10_000, tuple(off))


@dataclass(frozen=True, slots=True)
class SnapshotHolder:
    """A session that has seen the database as it was, for so long: what was changed since cannot be cleared
    away, and each claim walks over it."""

    pid: int | None  # of a session; none of a transaction that was prepared
    name: str  # of its application and account, or of the prepared transaction
    held_for: timedelta
    query: str = field(repr=False)  # its last one, without the values in it


_HOLDERS = text("""
    SELECT pid, concat_ws(', ', nullif(application_name, ''), usename) AS name,
           now() - xact_start AS held_for, query
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type IN ('client backend', 'walsender')
      AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND xact_start < now() - :held_for
    UNION ALL
    SELECT NULL, 'the prepared transaction ' || gid, now() - prepared, '' FROM pg_prepared_xacts
    WHERE database = current_database() AND prepared < now() - :held_for
    ORDER BY held_for DESC
""")

_VALUE = re.compile(r"""\$(\w*)\$.*?(?:\$\1\$|$)|'(?:[^']|'')*(?:'|$)|\b\d[\d.]*""", re.DOTALL)


def snapshot_holders(connection: Connection, held_for: timedelta) -> list[SnapshotHolder]:
    """Who has held a snapshot of this database for so long, the longest first. Of others' sessions only those
    that our account may see."""
    rows = connection.execute(_HOLDERS, {"held_for": held_for})
    return [
        SnapshotHolder(row.pid, row.name, row.held_for, " ".join(_VALUE.sub("?", row.query or "").split()))
        for row in rows
    ]
