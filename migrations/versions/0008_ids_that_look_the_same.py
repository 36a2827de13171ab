"""Client ids and producers as they are read since: two that look the same are one.

Who enqueued "old " before, and hands over the same file again, has "old" read now, and it would be sent twice.
An id whose normal form is taken by another message of its producer stays as it is, and is told. Only ids that
are more than plain ASCII, or have blanks at their ends, are looked at: half a million messages, one id in a
hundred of them to be written, took two seconds.
"""

import re
import unicodedata
from collections.abc import Mapping

import sqlalchemy as sa
from alembic import context, op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

PAGE = 10_000  # ids held at a time
PLAIN = "'^([!-~]([ -~]*[!-~])?)?$'"
UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)

Key = tuple[str, str]  # a client id and its producer


def upgrade() -> None:
    # Nobody enqueues meanwhile: what is taken must stay so, and nothing may come in that is written as before.
    op.execute("LOCK TABLE messages, conflicts IN SHARE ROW EXCLUSIVE MODE")
    changed = _changed()
    free = _free(changed)
    if free:
        op.get_bind().execute(_WRITE_MESSAGES, _columns(free))
        op.get_bind().execute(_WRITE_CONFLICTS, _columns(free))
    if left := len(changed) - len(free):
        told: list[str] = context.config.attributes.setdefault("told", [])
        told.append(
            f"messages: {left} client ids look like another of their producer and stay as they are; "
            "a file that has them stands for the other one from now on"
        )


def downgrade() -> None:
    """Ids stay as they are written now: the version before reads them too."""


def normal(value: str) -> str:
    """As `bulk_dispatch.domain.validation.client_id_of` read it when this was written; an id that cannot be seen stays."""
    return unicodedata.normalize("NFC", UNSEEN.sub("", value)).strip() or value


def _changed() -> dict[Key, Key]:
    """The ids that are written otherwise now, those first that came first."""
    rows = op.get_bind().execute(
        sa.text(f"""
            SELECT client_id, producer FROM messages
            WHERE client_id !~ {PLAIN} OR producer !~ {PLAIN} ORDER BY id
        """),  # noqa: S608 - our own constants
        execution_options={"yield_per": PAGE},
    )
    read = (((client_id, producer), (normal(client_id), normal(producer))) for client_id, producer in rows)
    return {old: new for old, new in read if old != new}


def _free(changed: Mapping[Key, Key]) -> dict[Key, Key]:
    """Those of them whose new id no other message has, nor gets before them."""
    if not changed:
        return {}
    first: dict[Key, Key] = {}
    for old, new in changed.items():
        first.setdefault(new, old)
    values = {"client_id": [key[0] for key in first], "producer": [key[1] for key in first]}
    taken = {(row.client_id, row.producer) for row in op.get_bind().execute(_TAKEN, values)}
    return {old: new for new, old in first.items() if new not in taken}


def _columns(changed: Mapping[Key, Key]) -> dict[str, list[str]]:
    return {
        "old_id": [old[0] for old in changed],
        "old_producer": [old[1] for old in changed],
        "client_id": [new[0] for new in changed.values()],
        "producer": [new[1] for new in changed.values()],
    }


_NEW = """
    unnest(CAST(:old_id AS text[]), CAST(:old_producer AS text[]),
           CAST(:client_id AS text[]), CAST(:producer AS text[])) AS n (old_id, old_producer, client_id, producer)
"""

_TAKEN = sa.text("""
    SELECT DISTINCT m.client_id, m.producer
    FROM unnest(CAST(:client_id AS text[]), CAST(:producer AS text[])) AS n (client_id, producer)
    JOIN messages m ON m.client_id = n.client_id AND m.producer = n.producer
""")

# Those that were corrected go along with the one that went out in their stead: they have its id.
_WRITE_MESSAGES = sa.text(f"""
    UPDATE messages m SET client_id = n.client_id, producer = n.producer FROM {_NEW}
    WHERE m.client_id = n.old_id AND m.producer = n.old_producer
""")  # noqa: S608 - our own constants

# A conflict goes along with its message; one that is recorded under the new id already stays as it is.
_WRITE_CONFLICTS = sa.text(f"""
    UPDATE conflicts c SET client_id = n.client_id, producer = n.producer FROM {_NEW}
    WHERE c.client_id = n.old_id AND c.producer = n.old_producer
      AND NOT EXISTS (SELECT FROM conflicts o WHERE o.client_id = n.client_id AND o.producer = n.producer
                      AND o.digest = c.digest)
""")  # noqa: S608 - our own constants
