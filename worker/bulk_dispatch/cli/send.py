"""`worker send`: one message by options, or many from a file."""

import shlex
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import typer

from bulk_dispatch.campaign.check import Check, Refusal, Report, Rules, foresees_nothing
from bulk_dispatch.campaign.rows import Row
from bulk_dispatch.cli.context import servers
from bulk_dispatch.cli.output import Json, complain, emit, out, say
from bulk_dispatch.cli.send_file import Sending, Ways, made
from bulk_dispatch.cli.send_preview import as_plain, cautions, totals
from bulk_dispatch.client import Dispatcher
from bulk_dispatch.config.settings import DURABILITIES, check_choice
from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.message import FIELDS, Message
from bulk_dispatch.domain.validation import MessageError


def send(
    file: Annotated[
        str | None,
        typer.Argument(help="CSV with a heading line, JSON lines or a JSON array; - for stdin."),
    ] = None,
    to: Annotated[str | None, typer.Option(help="Recipient: an international number.")] = None,
    sender: Annotated[str | None, typer.Option(help="Sender; for a file, of rows that name none.")] = None,
    text: Annotated[str | None, typer.Option(help="Text; for a file, of rows that have none.")] = None,
    client_id: Annotated[
        str | None, typer.Option(help="Your own id of the message. Default: a new one.")
    ] = None,
    route: Annotated[
        str | None, typer.Option(help="Route. Default: the default one, or the only one there is.")
    ] = None,
    lane: Annotated[str | None, typer.Option(help="urgent or bulk. Default: bulk.")] = None,
    kind: Annotated[str | None, typer.Option(help=f"{', '.join(Kind)}. Default: sms.")] = None,
    url: Annotated[
        str | None, typer.Option(help="Link: of a WAP-push, a business card, or a Viber button.")
    ] = None,
    image: Annotated[str | None, typer.Option(help="Viber: the address of a picture.")] = None,
    button: Annotated[
        str | None, typer.Option(help="Viber: the caption of a button; goes with --url.")
    ] = None,
    sms_text: Annotated[
        str | None, typer.Option(help="viber_sms: the text of the SMS where Viber does not arrive.")
    ] = None,
    sms_sender: Annotated[
        str | None, typer.Option(help="viber_sms: the sender of that SMS. Default: the same sender.")
    ] = None,
    send_at: Annotated[
        str | None,
        typer.Option(
            help='When it is to leave: "2031-03-04T09:30+02:00" or "2031-03-04T09:30 Europe/Kyiv". '
            "Default: at once."
        ),
    ] = None,
    valid_until: Annotated[
        str | None, typer.Option(help="When it is too late for it to arrive, with a time zone too.")
    ] = None,
    viber_valid_until: Annotated[
        str | None, typer.Option(help="When Viber has had its chance, with a time zone too.")
    ] = None,
    campaign: Annotated[str | None, typer.Option(help="A name to count them under.")] = None,
    producer: Annotated[
        str | None, typer.Option(help="The application whose client ids these are. Default: none is named.")
    ] = None,
    in_doubt: Annotated[
        str | None,
        typer.Option(
            help="hold, resend or fail, where nobody can know whether they have it. Default: the route's."
        ),
    ] = None,
    region: Annotated[
        str, typer.Option(help="The country (UA, GB) whose national numbers are read, too.")
    ] = "",
    literal: Annotated[
        bool, typer.Option("--literal", help="Send texts as they stand, placeholders and #N/A included.")
    ] = False,
    column: Annotated[
        list[str] | None,
        typer.Option(help="What a field is called in the heading: recipient=Телефон. Repeatable."),
    ] = None,
    only_valid: Annotated[
        bool, typer.Option("--only-valid", help="Refuse numbers of ranges not known to be given out.")
    ] = False,
    allow_repeats: Annotated[
        bool, typer.Option("--allow-repeats", help="Send the same text to the same number more than once.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Send nothing of a file if one of its rows is refused.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read, check and tell; send nothing.")] = False,
    refused: Annotated[
        str, typer.Option(help="Where rows that are refused are written, as CSV. Default: beside the file.")
    ] = "",
    durability: Annotated[
        str | None,
        typer.Option(
            help="redis, or fsync: wait until Redis has confirmed that it is on its disk. "
            "Default: WORKER_DURABILITY."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hand messages over: one by options, or many from a file.

    A file may give every field of a message, those of a business card too; options fill in what a row leaves
    out. It is read whole before anything leaves: rows that cannot be messages are named and left out, and the
    exit code is 1; the others are sent. Sending the same file again sends nobody a second message: the client
    ids are the same.
    """
    given = {
        "sender": sender, "text": text, "route": route, "lane": lane, "kind": kind, "url": url,
        "image": image, "button": button, "sms_text": sms_text, "sms_sender": sms_sender,
        "send_at": send_at, "valid_until": valid_until, "viber_valid_until": viber_valid_until,
        "campaign": campaign, "producer": producer, "in_doubt": in_doubt,
        "literal": "true" if literal else None,
    }  # fmt: skip
    defaults = {name: value for name, value in given.items() if value is not None}
    if (to is None) == (file is None):
        raise typer.BadParameter("give either --to for one message, or a FILE (- for stdin) for many")
    if file is not None and client_id is not None:
        raise typer.BadParameter("--client-id is for one message; a file names its own")
    if file is None and (column or strict or refused or allow_repeats):
        raise typer.BadParameter("--column, --strict, --refused and --allow-repeats are for a file")
    ways = Ways(
        region=region,
        columns=_columns(column or []),
        literal=literal,
        only_valid=only_valid,
        allow_repeats=allow_repeats,
        strict=strict,
        dry_run=dry_run,
        refused=refused,
        as_json=as_json,
        given_id=client_id is not None,
    )
    if durability is not None:
        check_choice("--durability", durability, DURABILITIES)
    with servers() as settings:
        dispatcher = Dispatcher(replace(settings, durability=durability or settings.durability))
        try:
            if lacks := dispatcher.lacks():
                complain(lacks)
            if file is None:
                one = {**defaults, "recipient": to, "client_id": client_id or uuid.uuid4().hex}
                _send_one(dispatcher, one, ways)
            else:
                Sending(dispatcher, file, defaults, ways).run()
        finally:
            dispatcher.close()


def _send_one(dispatcher: Dispatcher, values: Mapping[str, Any], ways: Ways) -> None:
    """As a file of one row, but that its error is told as it is."""
    region = ways.region or dispatcher.region(values.get("route", ""))
    message = made(dispatcher, values, region)
    rules = Rules(region=lambda _: region, only_valid=ways.only_valid, literal=ways.literal)
    refused: list[Refusal] = []
    foresee = dispatcher.foresee if ways.given_id else foresees_nothing  # a new id is new to the ledger
    check = Check(lambda _, __: message, refused.append, rules, foresee)
    for _ in check.messages([Row(1, values)]):
        say(f"client id: {message.client_id}")  # before: whatever happens next, it can be asked for
    for refusal in refused:
        raise MessageError(refusal.field, values.get(refusal.field), refusal.reason)
    for line in (*totals(check.report), *cautions(check.report)):
        say(line)
    for notice in dispatcher.notices([message.route], [message.lane]):
        complain(notice)
    if not ways.dry_run:
        dispatcher.enqueue(message)
    _tell_one(message, check.report, ways)
    if check.report.conflicts:
        raise typer.Exit(1)


def _tell_one(message: Message, report: Report, ways: Ways) -> None:
    if ways.as_json:
        enqueued = 0 if ways.dry_run else 1
        emit({"enqueued": enqueued, "refused": 0, "client_id": message.client_id, **as_plain(report)})
    elif ways.dry_run:
        out.print("Nothing is sent: --dry-run.")
    else:
        whose = f" --producer {shlex.quote(message.producer)}" if message.producer else ""
        named = shlex.quote(message.client_id)
        out.print(f"Enqueued. Follow it with: worker status {named}{whose}", markup=False)


def _columns(given: list[str]) -> dict[str, str]:
    """What fields are called in a file's heading."""
    named: dict[str, str] = {}
    for one in given:
        field, equals, name = one.partition("=")
        if field not in FIELDS or not equals or not name.strip():
            raise typer.BadParameter(
                f"--column wants FIELD=NAME, such as recipient=Phone, got {field[:40]!r}"
            )
        named[field] = name
    return named
