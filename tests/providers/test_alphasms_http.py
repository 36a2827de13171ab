"""AlphaSMS plain HTTP, as tables. Codes and traps are those of the protocol sheet, sections 10 and 12."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import urlsplit

import pytest

from bulk_dispatch.domain.content import Content, Flash, Ping, Sms, Viber, ViberSms, Voice, WapPush
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.package import Limits, OutboundMessage
from bulk_dispatch.domain.status import Status
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.providers.account import Balance, Price
from bulk_dispatch.providers.alphasms import http_codes as codes_file
from bulk_dispatch.providers.alphasms.http import AlphaSmsHttp
from bulk_dispatch.providers.failures import (
    CREDENTIALS,
    MALFORMED,
    MISDIRECTED,
    SERVER_ERROR,
    THROTTLED,
    UNREADABLE,
    Acceptance,
    Failure,
    RouteAction,
)
from bulk_dispatch.providers.interface import (
    Account,
    Acknowledgement,
    Answered,
    Asked,
    Jobs,
    Push,
    Reply,
    Request,
    Schedules,
    StatusReport,
)
from tests.providers.harness import (
    NOW,
    AskCase,
    PushCase,
    Sample,
    StatusCase,
    SubmitCase,
    run_ask,
    run_push,
    run_status,
    run_submit,
    sms,
)
from tests.providers.rules import parameters, shown

KEY = "0f3c-secret-key-e9"


def account(**options: str) -> Account:
    return Account("https://alphasms.example", key=KEY, options=options)


KEYED = account()
OLDER = Account("https://alphasms.example", login="secret-login", password="secret&password=1")

PICTURE = "https://shop.example/18.png"
AT_9_30 = datetime(2031, 3, 4, 9, 30, tzinfo=timezone(timedelta(hours=2)))


# --- the sample for the universal suite ----------------------------------------------------------------

WORDS = {"id": "id:{} sms_count:1", "receiver": "errors:Please enter a valid receiver number"}


def submit_answer(codes: Iterable[tuple[OutboundMessage, str]]) -> bytes:
    ((item, code),) = codes
    return WORDS[code].format(55_000_000 + item.reference).encode()


def status_answer(codes: Iterable[tuple[OutboundMessage, str]]) -> bytes:
    ((_, code),) = codes
    return f"status:Доставлено status_time:2031/03/04 code:{code}".encode()


def texts(request: Request) -> list[str]:
    """The text that is read first: that of Viber where there is one."""
    found = dict(parameters(request))
    return [found.get("viber_message", found.get("message", ""))]


SAMPLE = Sample(
    accounts=(KEYED, OLDER),
    items=(
        sms(700001, "Your order 18 is ready"),
        sms(700002, "See you at <ten> & \"bring\" + 100% of the 'form'; a=b?"),
        sms(700003, "Ваше замовлення готове 😀\nдо 18:00", kind="flash"),
        sms(700004, "Your ticket", kind="wap", url="https://shop.example/t?id=18&x=<1>"),
        sms(700005, "Tomorrow", send_at=AT_9_30),
        sms(700006, "Order 18 & <more>", kind="viber"),
        sms(
            700007, "Ваше замовлення", kind="viber", image=PICTURE, viber_valid_until=NOW + timedelta(hours=1)
        ),
        sms(700008, "Order 18", kind="viber_sms", sms_text="Order 18 by SMS", sms_sender="Shop"),
    ),
    takes="id",
    refuses="receiver",
    delivers="3",
    submit_answer=submit_answer,
    status_answer=status_answer,
    answers={
        "cancel": b"code:10",
        "balance": b"balance:12.5",
        "prices": b"price:0.91 currency:UAH",
    },
    pushes=(
        Push(b"id=9001122&status=3", content_type="application/x-www-form-urlencoded"),
        Push(b'{"msg_id": 9001122, "status": "DELIVERED"}', content_type="application/json"),
        Push(b"", "message_id=9001122&status=3"),
    ),
    provider_message_id=lambda item: str(55_000_000 + item.reference),
    texts=texts,
    submit_table=codes_file.SUBMITTED,
    status_table=codes_file.STATES,
    named=False,
    framed=False,
    wary=True,
)


# --- small words for the tables ------------------------------------------------------------------------

ONE = (sms(1),)
AUTH = [("version", "https"), ("key", KEY)]
SEND = [*AUTH, ("command", "send")]
VIBER = [("viber", "1"), ("viber_type", "text"), ("viber_from", "ShopNews")]


def sent(provider_message_id: str = "9001122", segments: int | None = 2) -> list[StatusReport]:
    return [StatusReport(1, Status.SENT, "id", provider_message_id, segments)]


def refused(words: str) -> list[StatusReport]:
    return [StatusReport(1, Status.REJECTED, words, strange=True)]


REJECTED = [StatusReport(1, Status.REJECTED, "receiver")]
DOUBTFUL = [StatusReport(1, Status.IN_DOUBT, "?", strange=True)]


# --- send ----------------------------------------------------------------------------------------------


def request_case(label: str, item: OutboundMessage, *expected: tuple[str, str]) -> SubmitCase:
    """What an item becomes; the answer is the sheet's."""
    return SubmitCase(
        label=label,
        items=(item,),
        request=[*SEND, ("to", "+380931110001"), *expected],
        path="/api/http.php",
        reply="id:9001122 sms_count:2",
        expected=sent(),
    )


def from_shop(text: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("from", "ShopNews"), ("message", text)


REQUESTS = [
    request_case("an ordinary text", sms(1, "Order 18 & <more>"), *from_shop("Order 18 & <more>")),
    request_case("flash", sms(1, "Now", kind="flash"), *from_shop("Now"), ("flash", "1")),
    request_case(
        "a link",
        sms(1, "Look", kind="wap", url="https://shop.example/?a=1&b=2"),
        *from_shop("Look"),
        ("wap", "https://shop.example/?a=1&b=2"),
    ),
    request_case(
        "a link alone",
        sms(1, "", kind="wap", url="https://shop.example/"),
        *from_shop(""),
        ("wap", "https://shop.example/"),
    ),
    request_case(
        "10 a time with a colon-less offset, and nothing before it (trap 16)",
        sms(1, "Soon", send_at=AT_9_30),
        *from_shop("Soon"),
        ("ask_date", "2031-03-04T07:30:00+0000"),
    ),
    request_case(
        "a part of a second: never before its time",
        sms(1, "Soon", send_at=AT_9_30 - timedelta(seconds=0.9)),
        *from_shop("Soon"),
        ("ask_date", "2031-03-04T07:30:00+0000"),
    ),
    request_case(
        "an end of validity cannot be told for an SMS",
        sms(1, "Soon", valid_until=NOW + timedelta(hours=1)),
        *from_shop("Soon"),
    ),
    request_case("viber", sms(1, "Hi", kind="viber"), *VIBER, ("viber_message", "Hi")),
    request_case(
        "viber with a picture",
        sms(1, "Hi", kind="viber", image=PICTURE),
        ("viber", "1"),
        ("viber_type", "image"),
        ("viber_from", "ShopNews"),
        ("viber_message", "Hi"),
        ("viber_image", PICTURE),
    ),
    request_case(
        "viber with a picture and a button is a button (trap 10)",
        sms(1, "Hi", kind="viber", image=PICTURE, button="Open", url="https://shop.example/"),
        ("viber", "1"),
        ("viber_type", "button"),
        ("viber_from", "ShopNews"),
        ("viber_message", "Hi"),
        ("viber_image", PICTURE),
        ("viber_url", "https://shop.example/"),
        ("viber_button", "Open"),
    ),
    request_case(
        "viber at a time, for an hour from then",
        sms(1, "Hi", kind="viber", send_at=AT_9_30, viber_valid_until=AT_9_30 + timedelta(hours=1)),
        ("ask_date", "2031-03-04T07:30:00+0000"),
        *VIBER,
        ("viber_message", "Hi"),
        ("viber_lifetime", "3600"),
    ),
    request_case(
        "viber, and an SMS where it does not arrive",
        sms(
            1,
            "Hi",
            kind="viber_sms",
            sms_text="Hi by SMS",
            sms_sender="Shop",
            viber_valid_until=NOW + timedelta(minutes=5),
        ),
        ("from", "Shop"),
        ("message", "Hi by SMS"),
        *VIBER,
        ("viber_message", "Hi"),
        ("viber_lifetime", "300"),
        ("viber_sms", "1"),
    ),
    request_case(
        "an SMS after viber from the same sender",
        sms(1, "Hi", kind="viber_sms", sms_text="Hi by SMS"),
        *from_shop("Hi by SMS"),
        *VIBER,
        ("viber_message", "Hi"),
        ("viber_sms", "1"),
    ),
]

TAKEN = {
    "the sample": "id:9001122 sms_count:2",
    "trap 13: another name of the count": "id:9001122 smd_count:2",
    "trap 13: both names": "id:9001122 sms_count:2 smd_count:2",
    "trap 14: by lines": "id:9001122\nsms_count:2\n",
    "trap 14: by lines of another kind": "id:9001122\r\nsms_count:2\r\n",
    "in another order": "sms_count:2 id:9001122",
    "in capitals": "ID:9001122 SMS_COUNT:2",
    "blanks around": "  id:9001122\t\tsms_count:2  ",
    "a byte order mark": "\ufeffid:9001122 sms_count:2",
    "more than we know": "version:http id:9001122 parts:7 sms_count:2 currency:UAH",
    "said twice alike": "id:9001122 sms_count:2\nid:9001122 sms_count:2",
}

UNCOUNTED = {
    "no count": "id:9001122",
    "cut in the count": "id:9001122 sms_count:",
    "a count of 0": "id:9001122 sms_count:0",
    "a count that is none": "id:9001122 sms_count:two",
    "two counts": "id:9001122 sms_count:2 smd_count:3",
}
"""An id is what says that they took it."""

NOT_SAID = {
    "no id": "sms_count:2",
    "an empty id": "id: sms_count:2",
    "id 0": "id:0 sms_count:2",
    "an id that is none": "id:9001122;drop sms_count:2",
    "an id too long": f"id:{'9' * 65} sms_count:2",
    "two ids": "id:9001122 sms_count:2\nid:9001123 sms_count:2",
    "an id and an error": "id:9001122 sms_count:2 errors:Please enter a valid receiver number",
    "an error that names an id": "errors:Wrong login or password for id:9001122",
    "other words": "Service: busy, try again",
    "a state": "status:Delivered code:3",
}

NO_PAIRS = {
    "nothing": "",
    "blanks": " \n" * 1_000,
    "OK": "OK",
    "a number": "9001122",
    "trap 16: JSON": '{"id": 9001122, "sms_count": 2}',
    "trap 19: HTML": "<html><body>id:9001122 sms_count:2</body></html>",
    "something before": "OK id:9001122 sms_count:2",
    "too much": "id:9001122 sms_count:2" + " x" * 10_000,
}

CALL_ERRORS = {
    "wrong login/password": CREDENTIALS.because("login"),
    "Wrong login or password": CREDENTIALS.because("login"),
    "Wrong login: no such user": CREDENTIALS.because("login"),
    "Invalid password": CREDENTIALS.because("login"),
    " Wrong login or password": CREDENTIALS.because("login"),
    "Wrong key": CREDENTIALS.because("key"),
    "unknown command": MISDIRECTED.because("command"),
    "Unknown command: sent": MISDIRECTED.because("command"),
}
"""Errors that every call would meet."""

OTHER_ERRORS = {
    "Duplicate entry '9001122' for key": "Duplicate entry … for key",
    "Your password will expire": "… password will expire",
    "SMS is sent, but the password will change": "SMS is sent, but the password will change",
    "Not enough money": "Not enough money",
    "SMS not found": "SMS not found",
    "Your command is unknown": "… command is unknown",
    "Sent, after an unknown command": "Sent, after an unknown command",
    "The receiver is busy": "The receiver is busy",
    "keyword": "keyword",
    "Недостатньо коштів": "Недостатньо коштів",
    "No route to 380931110001": "No route to …",
    "No route to +38 (093) 111-00-01": "No route to …",
    "Text «Your order is ready» is forbidden": "Text … is forbidden",
    "Forbidden: Your order is ready, it says": "Forbidden: …, it says",
    "Forbidden: order is ready": "Forbidden:…",
    "Your order is ready": "?",
    f"{KEY} may not": "… may not",
    "": "?",
}
"""All others are about the message, and stand in its history as they were said; without what is ours."""

SUBMITS = [
    *REQUESTS,
    SubmitCase(
        label="login and password where there is no key (trap 17)",
        account=OLDER,
        items=ONE,
        request=[
            ("version", "https"),
            ("login", "secret-login"),
            ("pass", "secret&password=1"),
            ("command", "send"),
            ("to", "+380931110001"),
            *from_shop("Your order is ready"),
        ],
        reply="id:9001122 sms_count:2",
        expected=sent(),
    ),
    *(SubmitCase(label=label, items=ONE, reply=body, expected=sent()) for label, body in TAKEN.items()),
    *(
        SubmitCase(label=label, items=ONE, reply=body, expected=sent(segments=None))
        for label, body in UNCOUNTED.items()
    ),
    *(SubmitCase(label=label, items=ONE, reply=body, expected=DOUBTFUL) for label, body in NOT_SAID.items()),
    *(
        SubmitCase(label=label, items=ONE, reply=body, expected=UNREADABLE)
        for label, body in NO_PAIRS.items()
    ),
    SubmitCase(
        label="viber is not counted in segments",
        items=(sms(1, kind="viber"),),
        reply="id:9001122",
        expected=sent(segments=None),
    ),
    SubmitCase(
        label="the receiver",
        items=ONE,
        reply="errors:Please enter a valid receiver number",
        expected=REJECTED,
    ),
    SubmitCase(
        label="the receiver, twice and by lines",
        items=ONE,
        reply="errors:Request for valid receiver number\nerrors:No valid receiver number\n",
        expected=REJECTED,
    ),
    *(
        SubmitCase(label=f"errors:{text}", items=ONE, reply=f"errors:{text}", expected=failure)
        for text, failure in CALL_ERRORS.items()
    ),
    *(
        SubmitCase(label=f"errors:{text}", items=ONE, reply=f"errors:{text}", expected=refused(words))
        for text, words in OTHER_ERRORS.items()
    ),
    SubmitCase(
        label="a count and an error",
        items=ONE,
        reply="sms_count:2 errors:Please enter a valid receiver number",
        expected=REJECTED,
    ),
    SubmitCase(
        label="another count and an error",
        items=ONE,
        reply="errors:Wrong login\nsmd_count:2",
        expected=CREDENTIALS.because("login"),
    ),
    *(
        SubmitCase(label=f"trap 14: several errors: {body!r}", items=ONE, reply=body, expected=failure)
        for body, failure in {
            "errors:No valid receiver\nerrors:Wrong login": CREDENTIALS.because("login"),
            "errors:Unknown command errors:Wrong password": CREDENTIALS.because("login"),
            "errors:Something else errors:unknown command": MISDIRECTED.because("command"),
            "errors:Wrong login\nerrors:Something else": CREDENTIALS.because("login"),
            "errors:Wrong login\nerrors:Wrong key": CREDENTIALS.because("login"),
        }.items()
    ),
    SubmitCase(
        label="trap 14: the receiver and another error",
        items=ONE,
        reply="errors:No valid receiver errors:Something else",
        expected=refused("No valid receiver; Something else"),
    ),
    SubmitCase(
        label="an error in an encoding of its own",
        items=ONE,
        reply="errors:Невірний логін".encode("cp1251"),
        expected=refused("?"),
    ),
    *(
        SubmitCase(
            label=f"1 and 9.5: HTTP {http} may come after the sending: {body[:9]!r}",
            http=http,
            items=ONE,
            reply=body,
            expected=failure.doubted(),
        )
        for http, failure in {
            400: MALFORMED,
            403: CREDENTIALS,
            404: MISDIRECTED,
            429: THROTTLED,
            500: SERVER_ERROR,
            502: SERVER_ERROR,
        }.items()
        for body in ("", "id:9001122 sms_count:2", "errors:No valid receiver number")
    ),
]


@pytest.mark.parametrize("case", SUBMITS, ids=lambda case: case.label)
def test_submit(case: SubmitCase) -> None:
    run_submit("alphasms-http", case)


@pytest.mark.parametrize(
    ("http", "remedy"),
    [
        (401, RouteAction.STOP),
        (403, RouteAction.STOP),
        (404, RouteAction.STOP),
        (400, RouteAction.PAUSE),
        (413, RouteAction.PAUSE),
        (429, RouteAction.PAUSE),
        (500, RouteAction.PAUSE),
    ],
)
def test_a_call_that_was_not_answered_with_200_is_in_doubt(http: int, remedy: RouteAction) -> None:
    outcome = AlphaSmsHttp(KEYED).read_submit(ONE, Reply(http, b""))
    assert isinstance(outcome, Failure)
    assert (outcome.taken, outcome.remedy) == (Acceptance.UNKNOWN, remedy)


@pytest.mark.parametrize(
    ("body", "provider_message_id", "segments"),
    [
        ("id:9001122", "", None),
        ("id:", "", None),
        ("id:9001122\n", "9001122", None),
        ("id:9001122 sms_", "9001122", None),
        ("id:9001122 sms_count:1", "9001122", None),
        ("id:9001122 sms_count:1\n", "9001122", 1),
    ],
)
def test_what_a_lost_connection_may_have_cut_is_not_believed(
    body: str, provider_message_id: str, segments: int | None
) -> None:
    """That there is an id says that they have it; by half of one, another message's state would be ours."""
    outcome = AlphaSmsHttp(KEYED).read_submit(ONE, Reply(200, body.encode(), ended=False))
    assert isinstance(outcome, Answered)
    [told] = outcome.reports
    assert (told.status, told.provider_message_id, told.segments) == (
        Status.SENT,
        provider_message_id,
        segments,
    )


# --- receive -------------------------------------------------------------------------------------------

STATES = {
    "0": Status.SENT,
    "1": Status.SENT,
    "2": Status.SENT,
    "3": Status.DELIVERED,
    "5": Status.SENT,
    "10": Status.CANCELLED,
    "50": Status.UNDELIVERABLE,
    "95": Status.UNDELIVERABLE,
    "96": Status.UNDELIVERABLE,
    "99": Status.UNDELIVERABLE,
    "116": Status.DELIVERED,
}
"""Section 10."""

ASKED = (Asked(1, "9001122"),)
LATER = datetime(2031, 3, 4, 7, 31, 12, tzinfo=UTC)


def state(code: str, status: Status | None, happened_at: datetime | None = None) -> list[StatusReport]:
    strange = status is None
    theirs = "" if strange else "9001122"
    return [
        StatusReport(1, status, code, theirs, happened_at=happened_at, strange=strange, read=code == "116")
    ]


def unknown(words: str) -> list[StatusReport]:
    return [StatusReport(1, None, words, strange=True, failure=UNREADABLE)]


STATUSES = [
    StatusCase(
        label="by their id",
        asked=ASKED,
        request=[*AUTH, ("command", "receive"), ("id", "9001122")],
        path="/api/http.php",
        reply="status:Delivered code:3",
        expected=state("3", Status.DELIVERED),
    ),
    *(
        StatusCase(label=f"code {code}", asked=ASKED, reply=f"code:{code}", expected=state(code, status))
        for code, status in STATES.items()
    ),
    *(
        StatusCase(
            label=f"10 a state is read by its code alone: {text}",
            asked=ASKED,
            reply=f"status:{text} code:3",
            expected=state("3", Status.DELIVERED),
        )
        for text in ("Доставлено", "Не доставлено", "Undelivered: no such number", "", "in flight: 5")
    ),
    *(
        StatusCase(
            label=f"trap 14: a time {time!r}",
            asked=ASKED,
            reply=f"status_time:{time} code:3 status:Доставлено абоненту\n",
            expected=state("3", Status.DELIVERED, happened_at),
        )
        for time, happened_at in {
            "2031-03-04T09:31:12+0200": LATER,
            "2031-03-04T09:31:12+02:00": LATER,
            "2031-03-04T07:31:12Z": LATER,
            "2031-03-04T09:31:12": LATER,
            "2031/03/04 09:31:12": LATER,
            "2031-03-04 09:31:12": LATER,
            "2031/03/04": datetime(2031, 3, 4, 21, 59, 59, tzinfo=UTC),
            "2031-11-31": None,
            "20310304": None,
            "9999-12-31T23:59:59-23:00": None,
            "0001-01-01": None,
            "yesterday": None,
            "": None,
            "1" * 1_000: None,
        }.items()
    ),
    StatusCase(
        label="by lines, in an encoding of its own",
        asked=ASKED,
        reply="id:9001122\nstatus:Доставлено\ncode:3\n".encode("cp1251"),
        expected=state("3", Status.DELIVERED),
    ),
    StatusCase(
        label="client code: they do not have it",
        asked=ASKED,
        reply="errors:SMS not found",
        expected=[StatusReport(1, None, "not found", known=False)],
    ),
    *(
        StatusCase(label=f"no news: {body!r}", asked=ASKED, reply=body, expected=state(code, None))
        for body, code in {
            "code:4": "4",
            "code:77": "77",
            "code:1000": "?",
            "code:": "?",
            "code:delivered": "?",
            "code:3 code:5": "?",
            "code:3 id:9001123": "3",
            "code:3 errors:SMS not found": "?",
        }.items()
    ),
    *(
        StatusCase(
            label=f"no news, if they say it to one: {words}", asked=ASKED, reply=body, expected=unknown(words)
        )
        for body, words in {
            "errors:Something else": "Something else",
            "errors:SMS not found errors:Something else": "SMS not found; Something else",
            "errors:No such message 9001122 of shop-login": "No such message … of shop-login",
        }.items()
    ),
    *(
        StatusCase(label=f"no answer: {body!r}"[:60], asked=ASKED, reply=body, expected=failure)
        for body, failure in {
            "errors:Wrong login or password": CREDENTIALS.because("login"),
            "errors:unknown command": MISDIRECTED.because("command"),
            "id:9001122 sms_count:2": UNREADABLE,
            "status:Delivered": UNREADABLE,
            "Delivered": UNREADABLE,
            "3": UNREADABLE,
            "": UNREADABLE,
            "<html>code:3</html>": UNREADABLE,
        }.items()
    ),
]


@pytest.mark.parametrize("case", STATUSES, ids=lambda case: case.label[:60])
def test_status(case: StatusCase) -> None:
    run_status("alphasms-http", case)


def test_every_code_of_the_sheet_stands_in_the_table() -> None:
    assert STATES == codes_file.STATES


def test_out_of_reach_is_not_the_end() -> None:
    assert codes_file.STATES["5"] is Status.SENT


# --- delete, balance, price ----------------------------------------------------------------------------

NUMBER = "+380931110001"


def price(amount: str, currency: str = "UAH") -> dict[str, Price]:
    return {NUMBER: Price(Decimal(amount), currency)}


ASKS = [
    AskCase(
        label="delete",
        question="cancel",
        about=ASKED,
        request=[*AUTH, ("command", "delete"), ("id", "9001122")],
        path="/api/http.php",
        reply="code:10",
        expected=state("10", Status.CANCELLED),
    ),
    *(
        AskCase(label=f"delete: {body}", question="cancel", about=ASKED, reply=body, expected=expected)
        for body, expected in {
            "status:Deleted code:10 id:9001122": state("10", Status.CANCELLED),
            "code:3": state("3", Status.DELIVERED),
            "code:2": [StatusReport(1, None, "2", "9001122")],
            "errors:SMS not found": [StatusReport(1, None, "not found", known=False)],
            "errors:It is too late": state("It is too late", None),
            "errors:wrong login": CREDENTIALS.because("login"),
            "OK": UNREADABLE,
        }.items()
    ),
    AskCase(
        label="balance",
        question="balance",
        request=[*AUTH, ("command", "balance")],
        path="/api/http.php",
        reply="balance:12.5",
        expected=Balance(Decimal("12.5")),
    ),
    *(
        AskCase(label=f"{body}", question="balance", reply=body, expected=expected)
        for body, expected in {
            "balance:-3": Balance(Decimal(-3)),
            "balance:0": Balance(Decimal(0)),
            "balance:164.719700000656": Balance(Decimal("164.7197")),
            "balance:6.1e-05": Balance(Decimal("0.0001")),
            "balance:12.5 currency:UAH\n": Balance(Decimal("12.5"), "UAH"),
            "balance:12.5 currency:hryvnia": Balance(Decimal("12.5")),
            "balance:12,5": UNREADABLE,
            "balance:1e9": UNREADABLE,
            "balance:NaN": UNREADABLE,
            "balance:Infinity": UNREADABLE,
            "balance:": UNREADABLE,
            "balance:1 balance:2": UNREADABLE,
            "balance:1 errors:something": UNREADABLE.because("something"),
            "amount:1": UNREADABLE,
            "errors:Wrong login/password": CREDENTIALS.because("login"),
        }.items()
    ),
    AskCase(
        label="price",
        question="prices",
        about=[NUMBER],
        request=[*AUTH, ("command", "price"), ("to", NUMBER)],
        path="/api/http.php",
        reply="price:0.91 currency:UAH",
        expected=price("0.91"),
    ),
    *(
        AskCase(label=f"{body}", question="prices", about=[NUMBER], reply=body, expected=expected)
        for body, expected in {
            "price:0 currency:UAH": price("0"),
            "price:0.91\ncurrency:USD\n": price("0.91", "USD"),
            "price:0.91": UNREADABLE,
            "price:-1 currency:UAH": UNREADABLE,
            "price:x currency:UAH": UNREADABLE,
            "errors:No valid receiver number": UNREADABLE,
            "errors:unknown command": MISDIRECTED.because("command"),
        }.items()
    ),
]


@pytest.mark.parametrize("case", ASKS, ids=lambda case: case.label)
def test_ask(case: AskCase) -> None:
    run_ask("alphasms-http", case)


# --- receipts ------------------------------------------------------------------------------------------

PUSHES = [
    PushCase(
        label="8 an id under one of three names, a status that is a number",
        push=Push(b"id=9001122&status=3"),
        expected=[DeliveryReceipt("9001122", None, "3")],
        acknowledged=Acknowledgement(),
    ),
    PushCase(
        label="in the address",
        push=Push(b"", "msg_id=9001122&status=DELIVERED"),
        expected=[DeliveryReceipt("9001122", None, "DELIVERED")],
    ),
    PushCase(
        label="JSON, two ids of one message",
        push=Push(b'{"message_id": 9001122, "id": "700001", "status": "Delivered to someone"}'),
        expected=[
            DeliveryReceipt("700001", None, "Delivered to someone"),
            DeliveryReceipt("9001122", None, "Delivered to someone"),
        ],
    ),
    PushCase(
        label="JSON, several",
        push=Push(b'[{"id": 1, "status": 102}, {"id": 2, "status": "+380931110001"}]'),
        expected=[DeliveryReceipt("1", None, "102"), DeliveryReceipt("2", None, "?")],
    ),
    *(
        PushCase(label=f"nothing: {body!r}"[:60], push=Push(body), expected=UNREADABLE)
        for body in (
            b"",
            b"status=3",
            b"id=&status=3",
            b"id=0",
            b"id=a+b",
            b"id=1&id=2",
            b"{}",
            b"[" * 100_000,
            b"<a/>",
        )
    ),
]


@pytest.mark.parametrize("case", PUSHES, ids=lambda case: case.label)
def test_push(case: PushCase) -> None:
    run_push("alphasms-http", case)


# --- where the parameters stand ------------------------------------------------------------------------


def test_credentials_and_texts_stay_out_of_the_address() -> None:
    request = AlphaSmsHttp(OLDER).submit(ONE)
    assert request.method == "POST"
    assert request.url == "https://alphasms.example/api/http.php"
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert request.body == (
        b"version=https&login=secret-login&pass=secret%26password%3D1&command=send"
        b"&to=%2B380931110001&from=ShopNews&message=Your%20order%20is%20ready"
    )


def test_in_a_query_it_is_a_plain_get_that_shows_no_secret_either() -> None:
    request = AlphaSmsHttp(replace(OLDER, options={"params_in": "query"})).submit(ONE)
    assert (request.method, request.body) == ("GET", b"")
    assert parameters(request) == parameters(AlphaSmsHttp(OLDER).submit(ONE))
    assert shown(OLDER.secrets, request.url)
    assert not shown(OLDER.secrets, repr(request) + str(request))


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({"number_format": "digits"}, b"&to=380931110001&"),
        ({"flash": "true"}, b"&flash=true"),
        ({"params_in": "form"}, b"&to=%2B380931110001&"),
    ],
)
def test_what_their_page_leaves_open_is_a_setting(options: dict[str, str], written: bytes) -> None:
    assert written in AlphaSmsHttp(account(**options)).submit([sms(1, kind="flash")]).body


def test_the_version_may_be_left_out() -> None:
    body = AlphaSmsHttp(account(version="left-out")).submit([sms(1)]).body
    assert body.startswith(b"key=")


def test_the_version_is_that_of_the_address() -> None:
    request = AlphaSmsHttp(replace(KEYED, url="http://alphasms.example/gate/")).submit(ONE)
    assert parameters(request)[0] == ("version", "http")
    assert urlsplit(request.url).path == "/gate/api/http.php"


# --- how long Viber may take ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("viber", "whole", "seconds"),
    [
        (None, None, ""),
        (60, None, "60"),
        (59, None, "60"),
        (-5, None, "60"),
        (86_400, None, "86400"),
        (86_401, None, "86400"),
        (90.9, None, "91"),
        (86_399.1, None, "86400"),
        (None, 7_200, "7200"),
        (300, 7_200, "300"),
        (7_200, 300, "300"),
    ],
)
def test_viber_takes_60_to_86400_seconds_from_when_it_leaves(
    viber: float | None, whole: float | None, seconds: str
) -> None:
    item = sms(
        1,
        kind="viber",
        viber_valid_until=None if viber is None else NOW + timedelta(seconds=viber),
        valid_until=None if whole is None else NOW + timedelta(seconds=whole),
    )
    assert dict(parameters(AlphaSmsHttp(KEYED).submit([item]))).get("viber_lifetime", "") == seconds


# --- what it carries -----------------------------------------------------------------------------------


def message(content: Content, sender: str = "ShopNews", viber_valid_until: datetime | None = None) -> Message:
    return Message(
        client_id="c",
        recipient=NUMBER,
        sender=sender,
        content=content,
        viber_valid_until=viber_valid_until,
    )


@pytest.mark.parametrize(
    ("content", "sender", "named"),
    [
        (Ping(), "ShopNews", "kind: is not carried by AlphaSMS over HTTP"),
        (Voice("Hello"), "ShopNews", "kind: is not carried by AlphaSMS over HTTP"),
        (Sms("Hello"), "ShopNews1234", "sender: must be at most 11 characters"),
        (Viber("Hello"), "ShopNews1234", "sender: must be at most 11 characters"),
        (Sms("я" * 671), "ShopNews", "text: must be at most 10 segments, not 11, got <671 characters>"),
        (Flash("я" * 671), "ShopNews", "text: must be at most 10 segments"),
        (WapPush("https://shop.example/", "я" * 671), "ShopNews", "text: must be at most 10 segments"),
        (WapPush("https://shop.example/" + "a" * 80), "ShopNews", "url: must be at most 100 characters"),
        (ViberSms("Hi", sms_text="я" * 671), "ShopNews", "sms_text: must be at most 10 segments"),
        (ViberSms("Hi", sms_text="Hi", sms_sender="ShopNews1234"), "Shop", "sms_sender: must be at most 11"),
        (
            WapPush("https://shop.example/"),
            "ShopNews",
            "text: must be there: over HTTP a link goes with a text",
        ),
        (Viber("Hi", image="https://shop.example/18.png?size=2"), "Shop", "image: must be an address"),
        (
            Viber("Hi", image="https://shop.example/18.bmp"),
            "Shop",
            "image: must be an address that ends in .jpg",
        ),
        (Viber("Hi", button="Open", url="https://shop.example"), "Shop", "image: must be there"),
        (ViberSms("Hi", image="https://shop.example/", sms_text="Hi"), "Shop", "image: must be an address"),
    ],
)
def test_a_message_it_cannot_carry(content: Content, sender: str, named: str) -> None:
    with pytest.raises(MessageError) as caught:
        AlphaSmsHttp(KEYED).check(message(content, sender))
    assert str(caught.value).startswith(named)


@pytest.mark.parametrize(
    "content",
    [
        Sms("a" * 1_530),
        WapPush("https://shop.example/", "Your ticket"),
        Viber("я" * 1_000),
        Viber("Hi", image="https://shop.example/18.JPG"),
        Viber("Hi", image=PICTURE, button="Open", url="https://shop.example"),
    ],
)
def test_a_message_it_can_carry(content: Content) -> None:
    AlphaSmsHttp(KEYED).check(message(content))


def test_an_end_for_viber_can_be_told() -> None:
    AlphaSmsHttp(KEYED).check(message(Viber("Hi"), viber_valid_until=NOW))


# --- accounts ------------------------------------------------------------------------------------------


def test_one_message_a_call_and_many_calls_at_once() -> None:
    assert AlphaSmsHttp(KEYED).limits == Limits(
        20, 1_048_576, call=1, in_flight=8, shortest=timedelta(seconds=60), longest=timedelta(days=1)
    )
    chosen = AlphaSmsHttp(replace(KEYED, package_items=5, in_flight=3))
    assert (chosen.limits.items, chosen.limits.in_flight, chosen.status_in_flight) == (5, 3, 3)
    assert (chosen.status_items, chosen.cancel_items, chosen.price_items) == (1, 1, 1)


def test_it_holds_messages_and_its_doubt_is_left_to_a_person() -> None:
    speaker: object = AlphaSmsHttp(KEYED)
    assert isinstance(speaker, Schedules)
    assert not isinstance(speaker, Jobs)
    assert AlphaSmsHttp.doubt is DoubtPolicy.HOLD
    assert not AlphaSmsHttp.by_reference
    assert AlphaSmsHttp.hints


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (Account("https://a.example"), "needs a key, or a login and a password"),
        (Account("https://a.example", login="some-login"), "needs a key, or a login and a password"),
        (Account("https://a.example", token="some-token"), "needs a key, or a login and a password"),
        (account(params_in="header"), "params_in must be one of form, query, got 'header'"),
    ],
)
def test_an_account_it_cannot_speak_for(made: Account, named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        AlphaSmsHttp(made)
    assert not shown(made.secrets, str(caught.value))
