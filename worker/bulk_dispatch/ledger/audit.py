"""The audit: verifies everything the ledger claims, and names the rows that break it. Writes nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, TextClause, text

from bulk_dispatch.ledger.invariants import VIEWS, View


@dataclass(frozen=True, slots=True)
class Breach:
    """A row that breaks an invariant. `name` is the client id of a message, the name of a route, the number
    of a package or an event. Holds no text and nobody's number."""

    kind: str  # message, package, event, route or total
    name: str
    wrong: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.wrong}"


@dataclass(frozen=True, slots=True)
class Finding:
    """An invariant that does not hold: what it claims, how many rows break it, and the oldest of them."""

    invariant: str
    claim: str
    count: int
    breaches: tuple[Breach, ...]

    def __str__(self) -> str:
        return f"{self.invariant}: {self.count}, as {'; '.join(map(str, self.breaches))}"


def audit(
    connection: Connection, most: int = 20, tell: Callable[[str], None] = lambda _: None
) -> tuple[Finding, ...]:
    """Verify every invariant. Returns those that do not hold, each with at most so many rows; none is well.

    Wants one instant: read it in `ledger.snapshot()`. `tell` hears what is looked at next; it may take long.
    """
    connection.execute(text("SET LOCAL work_mem = '64MB'"))  # sorts and counts of all messages stay in memory
    found: list[Finding] = []
    for view in VIEWS:
        tell(view.name)
        found += _look(connection, view, most)
    return tuple(found)


def _look(connection: Connection, view: View, most: int) -> list[Finding]:
    rows = connection.execute(_statement(view), {"most": most}).all()
    found = []
    for invariant in view.invariants:
        own = [row for row in rows if row.invariant == invariant.name]
        if own:
            breaches = tuple(Breach(row.kind, row.name, row.wrong) for row in own)
            found.append(Finding(invariant.name, invariant.claim, own[0].total, breaches))
    return found


def _statement(view: View) -> TextClause:
    """The sieve comes first: almost every row passes it, and only what is left is asked what is wrong."""
    sieve = " OR ".join(f"({invariant.broken})" for invariant in view.invariants)
    asked = ", ".join(
        f"('{invariant.name}', ({invariant.broken}), ({invariant.wrong}))" for invariant in view.invariants
    )
    return text(f"""
        WITH viewed AS ({view.rows}), caught AS (SELECT * FROM viewed WHERE {sieve}), numbered AS (
            SELECT v.invariant, c.kind, c.name, v.wrong,
                   count(*) OVER (PARTITION BY v.invariant) AS total,
                   row_number() OVER (PARTITION BY v.invariant ORDER BY c.id) AS place
            FROM caught c, LATERAL (VALUES {asked}) AS v (invariant, broken, wrong) WHERE v.broken
        )
        SELECT invariant, kind, name, wrong, total FROM numbered
        WHERE place <= :most ORDER BY invariant, place
    """)  # noqa: S608 - our own constants
