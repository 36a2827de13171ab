"""The journal: how a statement writes down what it moved, and where the history of one message is found."""

from bulk_dispatch.ledger.schema import BLOCK, SPAN


def sql_journal(moved: str, happened_at: str = "", **parts: str) -> str:
    """The INSERT that writes down the rows of `moved`, a CTE with the `id` of each message: a row of the
    journal for all that agree in `parts`, which are its columns and SQL over those of the CTE. What is of no
    package is apart by blocks of ids, too: cancelled in one statement may be what lies far apart."""
    package_id = parts.get("package_id")
    block = f"id / {BLOCK}" if package_id is None else f"CASE WHEN {package_id} IS NULL THEN id / {BLOCK} END"
    instants = f"CASE WHEN count({happened_at}) > 0 THEN array_agg({happened_at} ORDER BY id) END"
    arrays = {
        "message_ids": "array_agg(id ORDER BY id)",
        **({"happened_at": instants} if happened_at else {}),
    }
    written = {**parts, "message_count": "count(*)", **arrays}
    return f"""
        INSERT INTO journal ({", ".join(written)}) SELECT {", ".join(written.values())} FROM {moved}
        GROUP BY {", ".join(str(place) for place, _ in enumerate(parts, 1))}, {block}
    """  # noqa: S608 - our own constants


OF_MESSAGE = f"""
    (e.package_id = ANY(m.earlier_packages || m.package_id)
     OR (e.package_id IS NULL AND {SPAN.format(journal="e.")} @> m.id))
    AND m.id = ANY(e.message_ids)
"""
"""Of a row e of the journal and a message m: it tells of it. Two indexes find it, in a ledger of any age."""
