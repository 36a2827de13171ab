"""Commands that look: status, books."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from bulk_dispatch.cli.arguments import Producer
from bulk_dispatch.cli.context import migrated_ledger, opened_intake, servers
from bulk_dispatch.cli.output import Json, complain, emit, err, flow, out, table
from bulk_dispatch.domain.validation import mask
from bulk_dispatch.intake import Intake
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.audit import Finding, audit
from bulk_dispatch.ledger.invariants import INVARIANTS
from bulk_dispatch.ledger.queries import Books, Ending, Event, History, books, history, producers_of
from bulk_dispatch.providers.code_texts import in_words, meaning


def status(
    client_id: Annotated[str, typer.Argument(help="The id you gave the message.")],
    producer: Producer = "",
    as_json: Json = False,
) -> None:
    """Where one message stands, and how it came there."""
    with servers() as settings, migrated_ledger(settings) as ledger:
        with ledger.begin() as connection:
            found = history(connection, client_id, producer)
            others = [] if found else producers_of(connection, client_id)
        if found is None:
            with opened_intake(settings) as intake:
                waiting = sum(intake.waiting().values()) + intake.set_aside()
                _unknown(client_id, producer, others, waiting)
            raise typer.Exit(1)
    if as_json:
        emit(_plain(found))
    else:
        _show(found)


def _unknown(client_id: str, producer: str, others: Sequence[str], waiting: int) -> None:
    whose = f" of producer {producer!r}" if producer else ""
    named = ", ".join(repr(other) if other else "no producer" for other in others)
    there = f"; there is one of {named}: see --producer" if others else ""
    waits = f"; {waiting} messages still wait in the intake, it may be one of them" if waiting else ""
    complain(f"no message {client_id!r}{whose} in the ledger{there}{waits}")


def _plain(found: History) -> dict[str, Any]:
    plain = asdict(found)
    plain["recipient"] = mask(found.recipient)
    for told, event in zip(plain["events"], found.events, strict=True):
        told["meaning"] = meaning(event.provider, event.code, event.to_status) or None
    return plain


def _show(found: History) -> None:
    facts = {
        "producer": found.producer or None,
        "status": found.status.value,
        "route": f"{found.route} ({found.lane})",
        "recipient": mask(found.recipient),
        "kind": found.kind,
        "leaves at": found.send_at and _moment(found.send_at),
        "their id": found.provider_message_id,
        "segments": _segments(found),
        "read at": found.read_at and _moment(found.read_at),
        "attempts used up": found.attempts or None,
        "corrects": f"{found.corrects} before it, which nobody got" if found.corrects else None,
    }
    out.print(found.client_id, style="bold", markup=False)
    for name, value in facts.items():
        if value is not None:
            flow(f"  {name:<17}", str(value))
    table("", ("at (UTC)", "event", "from", "to", "what is known"), map(_cells, found.events))


def _cells(event: Event) -> tuple[object, ...]:
    """A line of the history; what is known stands together, so that it fits."""
    package = f"package {event.package_id}" if event.package_id else ""
    known = "; ".join(
        filter(None, (package, in_words(event.provider, event.code, event.to_status), event.note))
    )
    return (f"{event.at:%Y-%m-%d %H:%M:%S}", event.type, event.from_status, event.to_status, known)


def _moment(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def _segments(found: History) -> str | None:
    """As they bill them; beside it our own count, where that is another or the only one."""
    theirs, ours = found.segments_billed, found.segments_estimated
    if theirs is None:
        return f"{ours} by our count" if ours else None
    return f"{theirs} ({ours} by our count)" if ours and ours != theirs else str(theirs)


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
        found = books(connection)
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
