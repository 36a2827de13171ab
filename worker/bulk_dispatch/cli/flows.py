"""`worker flows`: campaigns that wait, whose turn it is, and their brake."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from bulk_dispatch.cli.arguments import no_such, producer_name
from bulk_dispatch.cli.context import migrated_ledger, servers
from bulk_dispatch.cli.known_names import check_selection
from bulk_dispatch.cli.output import Json, WholeHelp, complain, emit, many, out, table
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.flows import (
    WEIGHTS,
    Flow,
    FlowSelection,
    flows,
    pause_flows,
    resume_flows,
    weigh_flows,
)
from bulk_dispatch.ledger.queries import route_names

app = typer.Typer(
    help="Campaigns that wait: the turns they take, pause and resume. "
    "A flow is a campaign of a producer in a lane of a route.",
    no_args_is_help=True,
    cls=WholeHelp,
)

Campaign = Annotated[
    str, typer.Option("--campaign", help='The campaign; "" for messages without one.', show_default=False)
]
OfProducer = Annotated[
    str, typer.Option(callback=producer_name, help="Whose campaign it is; without it, of those without name.")
]
OnRoute = Annotated[str, typer.Option("--route", help="On this route only.")]


@app.command("list")
def list_flows(as_json: Json = False) -> None:
    """Every flow that has messages queued, is paused, or has a weight; urgent ones of a route first."""
    with servers() as settings, migrated_ledger(settings) as ledger, ledger.snapshot() as connection:
        found = flows(connection)
    if as_json:
        emit({"flows": [asdict(flow) for flow in found]})
    elif found:
        heads = ("campaign", "producer", "route", "lane", "#queued", "#weight", "state")
        table("Flows", heads, list(_rows(found)))
    else:
        out.print("Nothing is queued or paused.")


def _rows(found: Sequence[Flow]) -> Iterator[tuple[object, ...]]:
    """A row for each flow that has messages queued; and one for a campaign that has none, but is paused or
    has a weight for those that come."""
    told = set[tuple[str, str]]()
    for flow in sorted(found, key=lambda flow: not flow.queued):
        if flow.queued:
            yield _cells(flow, flow.route, flow.lane.value)
        elif (flow.campaign, flow.producer) not in told:
            yield _cells(flow, "", "")
        told.add((flow.campaign, flow.producer))


def _cells(flow: Flow, route: str, lane: str) -> tuple[object, ...]:
    since = f"paused since {flow.paused_at:%Y-%m-%d %H:%M} UTC: {flow.reason}" if flow.paused_at else "active"
    return (flow.campaign or "(none)", flow.producer, route, lane, f"{flow.queued:,}", flow.weight, since)


@app.command()
def pause(
    campaign: Campaign,
    producer: OfProducer = "",
    route: OnRoute = "",
    reason: Annotated[str, typer.Option("--reason", help="For whoever looks next.")] = "paused by hand",
    as_json: Json = False,
) -> None:
    """Claim nothing more of a campaign until it is resumed, on all routes or on one; what is enqueued
    meanwhile waits too. What is on the wire is finished."""
    selection = FlowSelection(campaign, producer, route)
    with servers() as settings, migrated_ledger(settings) as ledger:
        _check(ledger, selection)
        with ledger.begin() as connection:
            pause_flows(connection, selection, reason)
        waiting = _queued(ledger, selection)
    if as_json:
        emit({"campaign": campaign, "state": "paused", "queued": waiting})
    else:
        out.print(
            f"{_name(selection)} is paused, with {many(waiting, 'message')} queued.",
            markup=False,
            soft_wrap=True,
        )


@app.command()
def resume(campaign: Campaign, producer: OfProducer = "", route: OnRoute = "", as_json: Json = False) -> None:
    """Let a paused campaign take its turns again."""
    selection = FlowSelection(campaign, producer, route)
    with servers() as settings, migrated_ledger(settings) as ledger:
        _check(ledger, selection)
        with ledger.begin() as connection:
            resumed = resume_flows(connection, selection)
        waiting = _queued(ledger, selection)
    if as_json:
        emit({"campaign": campaign, "state": "active", "resumed": resumed, "queued": waiting})
    elif resumed:
        out.print(
            f"{_name(selection)} goes on, with {many(waiting, 'message')} queued.",
            markup=False,
            soft_wrap=True,
        )
    else:
        out.print(f"{_name(selection)} was not paused.", markup=False, soft_wrap=True)


@app.command()
def weight(
    campaign: Campaign,
    turns: Annotated[int, typer.Option("--turns", min=WEIGHTS[0], max=WEIGHTS[1], help="For one of others.")],
    producer: OfProducer = "",
    route: OnRoute = "",
    as_json: Json = False,
) -> None:
    """Give a campaign so many turns for each one of a campaign without a weight; 1 makes it like the rest."""
    selection = FlowSelection(campaign, producer, route)
    with servers() as settings, migrated_ledger(settings) as ledger:
        _check(ledger, selection)
        with ledger.begin() as connection:
            weigh_flows(connection, selection, turns)
    if as_json:
        emit({"campaign": campaign, "weight": turns})
    else:
        out.print(
            f"{_name(selection)} takes {many(turns, 'turn')} for each one of others.",
            markup=False,
            soft_wrap=True,
        )


def _name(selection: FlowSelection) -> str:
    campaign = f"campaign {selection.campaign}" if selection.campaign else "what is of no campaign"
    return " ".join(
        part
        for part in (
            campaign,
            selection.producer and f"of {selection.producer}",
            selection.route and f"on {selection.route}",
        )
        if part
    )


def _queued(ledger: Ledger, selection: FlowSelection) -> int:
    """Counted when the change is committed: it may take seconds, and nobody may wait for that."""
    with ledger.begin() as connection:
        return sum(flow.queued for flow in flows(connection) if selection.holds(flow))


def _check(ledger: Ledger, selection: FlowSelection) -> None:
    """End the command for a campaign, producer or route that there is not: a slip must not look like a job
    done."""
    with ledger.begin() as connection:
        routes, found = route_names(connection), flows(connection)
    if selection.route and selection.route not in routes:
        raise no_such("route", selection.route, routes)
    producers = sorted({flow.producer for flow in found if flow.campaign == selection.campaign})
    if producers and selection.producer not in producers:
        named = " or ".join(f'--producer "{name}"' for name in producers)
        complain(f"{_name(selection)} has no messages queued; it is {named}")
        raise typer.Exit(1)
    if not producers:
        check_selection(ledger, selection.campaign, selection.producer)
