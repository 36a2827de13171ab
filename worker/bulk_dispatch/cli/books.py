"""`worker books`: every message given to us, by status, and whether the count proves right."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from bulk_dispatch.cli.context import migrated_ledger, opened_intake, servers
from bulk_dispatch.cli.output import Json, emit, err, flow, out, table
from bulk_dispatch.intake import Intake
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.audit import Finding, audit
from bulk_dispatch.ledger.invariants import INVARIANTS
from bulk_dispatch.ledger.queries import Books, Ending, books
from bulk_dispatch.providers.code_texts import meaning


def show_books(
    check: Annotated[
        bool,
        typer.Option("--check", help="Verify everything the ledger claims, and name the rows that break it."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Every message given to us, by state; exit code 1 if the books do not balance."""
    with (
        servers() as settings,
        migrated_ledger(settings) as ledger,
        opened_intake(settings) as intake,
        err.status("counting…") as doing,
    ):
        if check:
            read = checked_books(ledger, intake, lambda view: doing.update(f"checking {view}…"))
        else:
            read = read_books(ledger, intake)
    if as_json:
        emit(read)
    else:
        print_books(read)
    if not read["balanced"]:
        raise typer.Exit(1)


def read_books(ledger: Ledger, intake: Intake) -> dict[str, Any]:
    """The books as plain values: what `worker books --json` prints."""
    with ledger.snapshot() as connection:
        found = books(connection)
    return _plain_books(found, intake)


def checked_books(
    ledger: Ledger, intake: Intake, tell: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """The same with `checks`, of the same instant. What breaks an invariant unbalances the books."""
    with ledger.snapshot() as connection:
        broken = audit(connection, tell=tell)
        tell("the count")
        found = books(connection, whole=True)
    read = _plain_books(found, intake)
    read["balanced"] = read["balanced"] and not broken
    read["unbalanced"] += [f"{finding.invariant}: {finding.count} rows" for finding in broken]
    read["checks"] = {"invariants": len(INVARIANTS), "broken": [_plain_finding(one) for one in broken]}
    return read


def _plain_books(found: Books, intake: Intake) -> dict[str, Any]:
    return {
        "total": found.total,
        "by_status": {status.value: count for status, count in found.by_status.items()},
        "waiting": sum(intake.waiting().values()) + intake.set_aside(),
        "duplicates": found.duplicates,
        "conflicts": found.conflicts,
        "dead_letters": intake.dead_letters(),
        "balanced": found.balanced,
        "unbalanced": list(found.unbalanced),
        **({"by_code": [_plain_end(end) for end in found.by_code]} if found.by_code else {}),
    }


def _plain_end(end: Ending) -> dict[str, Any]:
    words = meaning(end.provider, end.code, end.status)
    return {**asdict(end), "meaning": words or None}


def _plain_finding(finding: Finding) -> dict[str, Any]:
    rows = [asdict(breach) for breach in finding.breaches]
    return {"invariant": finding.invariant, "claim": finding.claim, "count": finding.count, "rows": rows}


def print_books(read: dict[str, Any]) -> None:
    """The books as a table."""
    rows = [*read["by_status"].items(), ("total", read["total"])]
    table("Books", ("status", "#messages"), [(name, f"{count:,}") for name, count in rows])
    if ends := read.get("by_code"):
        told = [(one["status"], f"{one['count']:,}", one["code"], one["meaning"]) for one in ends]
        table("Why", ("status", "#messages", "code", "in words"), told)
    beside = ("waiting", "duplicates", "conflicts", "dead_letters")
    out.print("  ".join(f"{name.replace('_', ' ')} {read[name]:,}" for name in beside), style="dim")
    if "checks" in read:
        _print_checks({finding["invariant"]: finding for finding in read["checks"]["broken"]})
    if read["balanced"]:
        out.print("The books balance.", style="green")
    else:
        out.print("The books do NOT balance: " + "; ".join(read["unbalanced"]), style="bold red")


def _print_checks(broken: Mapping[str, Any]) -> None:
    """A line per invariant, and under each that is broken the rows that break it."""
    out.print("\nChecks", style="bold")
    for invariant in INVARIANTS:
        finding = broken.get(invariant.name)
        if finding is None:
            out.print(f"  {invariant.name:<30}ok", style="dim", markup=False)
        else:
            _print_finding(finding)


def _print_finding(finding: Mapping[str, Any]) -> None:
    said = f"{finding['count']:,} rows break it: {finding['claim']}"
    flow(f"  {finding['invariant']:<30}", said, "red")
    for row in finding["rows"]:
        flow("      ", f"{row['kind']} {row['name']}: {row['wrong']}")
    if more := finding["count"] - len(finding["rows"]):
        out.print(f"      and {more:,} more", style="dim")
