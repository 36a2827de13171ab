"""More than texts on the command line: sent by options, sent from files, shown by `worker status`."""

from datetime import UTC, datetime, timedelta

import pytest

from bulk_dispatch.domain.content import Kind, VCard, Viber, ViberSms, WapPush
from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.package import Limits
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.transitions import (
    Claim,
    ClaimRequest,
    Looks,
    Read,
    Transition,
    claim,
    enqueue,
    read,
    settle,
)
from bulk_dispatch.runtime import no_notify
from tests.cli.conftest import ROUTE, Shell
from tests.conftest import Setup
from tests.factories import message

TO = ["send", "--to", "+380931110001", "--sender", "Shop"]
LINK = "https://shop.example/1"
LOOK = Looks(poll=timedelta(minutes=1), rescue=timedelta(minutes=1))
VIBER = Viber(text="Hi", image=LINK, button="Open", url=LINK)


@pytest.fixture
def tables() -> dict[str, dict[str, object]]:
    webcom = {**ROUTE, "provider": "webcom-xml", "token": "test-key"}
    return {"alpha": webcom}


@pytest.fixture
def shell(setup: Setup, tables: dict[str, dict[str, object]]) -> Shell:
    return Shell.at(setup.routes(**tables), setup.folder)


def handed_over(setup: Setup, tables: dict[str, dict[str, object]]) -> list[Message]:
    """What lies in the intake."""
    entries = setup.runtime(notify=no_notify, **tables).intake.read(Lane.BULK, entries=9, idle=timedelta(0))
    return [Message.from_dict(raw) for entry in entries for raw in entry.messages if isinstance(raw, dict)]


@pytest.mark.parametrize(
    ("words", "content"),
    [
        (["--kind", "wap", "--url", LINK, "--text", "Open"], WapPush(url=LINK, text="Open")),
        (
            ["--kind", "viber", "--text", "Hi", "--image", LINK, "--button", "Open", "--url", LINK],
            VIBER,
        ),
        (
            ["--kind", "viber_sms", "--text", "Hi", "--sms-text", "Hello", "--sms-sender", "Shop2"],
            ViberSms(text="Hi", sms_text="Hello", sms_sender="Shop2"),
        ),
    ],
    ids=["wap", "viber", "viber_sms"],
)
def test_a_content_is_given_by_options(
    shell: Shell, setup: Setup, tables: dict[str, dict[str, object]], words: list[str], content: object
) -> None:
    assert shell.worker(*TO, *words).code == 0

    [sent] = handed_over(setup, tables)
    assert sent.content == content


def test_times_are_given_by_options(shell: Shell, setup: Setup, tables: dict[str, dict[str, object]]) -> None:
    noon = (datetime.now(UTC) + timedelta(days=30)).replace(hour=12, minute=0, second=0, microsecond=0)
    day = f"{noon:%Y-%m-%d}"
    times = {"send-at": f"{day}T09:30+02:00", "valid-until": f"{day}T21:30Z"}
    viber = {"viber-valid-until": f"{day}T12:00+00:00"}
    words = [word for name, value in {**times, **viber}.items() for word in (f"--{name}", value)]

    assert shell.worker(*TO, "--kind", "viber", "--text", "Hi", *words).code == 0

    [sent] = handed_over(setup, tables)
    assert sent.send_at == noon.replace(hour=7, minute=30)
    assert sent.valid_until == noon.replace(hour=21, minute=30)
    assert sent.viber_valid_until == noon


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("2020-01-01T09:00Z", "send_at: must not lie more than a day in the past, got '2020-01-01T09:00Z'"),
        ("2206-12-01T09:00Z", "send_at: must lie within a year from now, got '2206-12-01T09:00Z'"),
        ("2026-10-25T03:30 Europe/Kyiv", "say which, by its offset +03:00 or +02:00, got '2026-10-25T03:30"),
        ("2026-03-29T03:30 Europe/Kyiv", "is shown by no clock"),
        ("2026-12-01T10.30+02:00", "must be a date and time such as"),
    ],
)
def test_a_time_that_is_plainly_not_meant_is_refused(
    shell: Shell, setup: Setup, tables: dict[str, dict[str, object]], given: str, said: str
) -> None:
    one = shell.worker(*TO, "--text", "Hi", "--send-at", given)
    many = shell.worker(
        "send", "-", "--sender", "Shop", "--json",
        stdin=f"client_id,recipient,text,send_at\na,+380931110001,Hi,{given}\n",
    )  # fmt: skip

    assert (one.code, many.code, many.json["enqueued"]) == (1, 1, 0)
    assert said in one.err
    assert said in many.json["errors"][0]


def test_a_time_may_name_its_zone(shell: Shell, setup: Setup, tables: dict[str, dict[str, object]]) -> None:
    day = datetime.now(UTC) + timedelta(days=30)

    assert shell.worker(*TO, "--text", "Hi", "--send-at", f"{day:%Y-%m-%d}T09:00 Asia/Tokyo").code == 0

    [sent] = handed_over(setup, tables)
    assert sent.send_at == day.replace(hour=0, minute=0, second=0, microsecond=0)


def test_a_card_comes_from_a_file_and_options_fill_in(
    shell: Shell, setup: Setup, tables: dict[str, dict[str, object]]
) -> None:
    line = '{"client_id": "a", "recipient": "+380931110001", "name": "Olha", "cell": "+380931110002"}\n'

    ran = shell.worker("send", "-", "--kind", "vcard", "--sender", "Shop", "--url", LINK, stdin=line)

    assert ran.code == 0
    [sent] = handed_over(setup, tables)
    assert sent.content == VCard(name="Olha", cell="+380931110002", url=LINK)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kind", "wap"], "url: is missing"),
        (["--kind", "pigeon", "--text", "Hi"], "kind: must be one of sms, flash, voice, ping, wap, vcard"),
        (["--text", "Hi", "--image", LINK], "image: is no field of kind sms"),
        (["--text", "Hi", "--send-at", "2031-03-04T09:30"], "send_at: must carry a time zone"),
        (["--kind", "viber", "--text", "Hi", "--button", "Open"], "url: must be there"),
    ],
    ids=["no link", "no kind", "not its field", "no zone", "half a button"],
)
def test_what_cannot_be_a_message_is_told(shell: Shell, words: list[str], said: str) -> None:
    ran = shell.worker(*TO, *words)

    assert ran.code == 1
    assert said in ran.err


def test_the_help_names_every_kind(shell: Shell) -> None:
    told = " ".join(shell.worker("send", "--help", COLUMNS="200").out.split())

    assert ", ".join(Kind) in told


# -- status


def _claimed(ledger: Ledger) -> Claim:
    with ledger.begin() as connection:
        limits = Limits(10, 10**6)
        return claim(
            connection, ClaimRequest("alpha", limits, parallel=9, lease=timedelta(minutes=1)), Lane.BULK
        )


def test_status_shows_the_kind_the_times_and_both_counts(shell: Shell, ledger: Ledger) -> None:
    shell.worker("routes", "list")  # registers the route
    with ledger.begin() as connection:
        enqueue(connection, [message(1, kind="flash"), message(2, send_at="2031-03-04T09:30+02:00")])
    package = _claimed(ledger).package
    assert package is not None
    [item] = package.items
    with ledger.begin() as connection:
        move = Transition(item.id, package.id, Status.SENT, segments_billed=2)
        news = Transition(item.id, package.id, Status.DELIVERED)
        settle(connection, [move], {package.id: LOOK}, news=[news])
        read(connection, [Read(item.id, "read", datetime(2031, 3, 4, 8, tzinfo=UTC))])

    shown = shell.worker("status", "client-1").out
    for line in ("kind             flash", "segments         2 (1 by our count)", "2031-03-04 08:00:00 UTC"):
        assert line in shown
    later = shell.worker("status", "client-2").out
    for line in ("leaves at        2031-03-04 07:30:00 UTC", "segments         1 by our count"):
        assert line in later
    plain = shell.worker("status", "client-1", "--json").json
    assert (plain["kind"], plain["segments_billed"], plain["segments_estimated"]) == ("flash", 2, 1)
    assert plain["read_at"].startswith("2031-03-04 08:00")
