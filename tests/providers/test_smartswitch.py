"""SMARTSwitch, as tables. Samples, codes and traps are those of the protocol sheet, by section."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import product
from urllib.parse import urlsplit

import pytest

from bulk_dispatch.domain.content import Flash, Ping, Sms
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.package import OutboundMessage, fitting
from bulk_dispatch.domain.status import Status
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.providers.failures import (
    CREDENTIALS,
    MALFORMED,
    MISDIRECTED,
    MONEY,
    SERVER_ERROR,
    THROTTLED,
    UNREADABLE,
    Failure,
)
from bulk_dispatch.providers.interface import (
    Account,
    Acknowledgement,
    Answered,
    Cancels,
    Push,
    Receipts,
    Reply,
    Request,
    Schedules,
    Statuses,
    StatusReport,
)
from bulk_dispatch.providers.smartswitch import codes as codes_file
from bulk_dispatch.providers.smartswitch.http import SmartSwitch
from tests.providers.harness import NOW, PushCase, Sample, SubmitCase, run_push, run_submit, sms
from tests.providers.rules import parameters, personal, shown

LOGIN, PASSWORD = "secret-login", "secret&password=1"


def account(*, receipts: bool = False, **options: str) -> Account:
    return Account(
        "https://sms.operator.example", login=LOGIN, password=PASSWORD, receipts=receipts, options=options
    )


QUERY = account(receipts=True)
FORM = account(params_in="form")
TOGETHER = account(receipts=True, call_items="10")  # several messages in a call
NUMBERED = account(receipts=True, source="number")

SECRETS = [("_login", LOGIN), ("_password", PASSWORD)]


# --- the sample for the universal suite ----------------------------------------------------------------


def element(item: OutboundMessage, status: str = "ok", **others: object) -> dict[str, object]:
    """One answer, as the samples show it."""
    return {
        "type": "message",
        "id": str(1_930_011_000_000 + item.reference),
        "attributes": {
            "destination_number": item.recipient.lstrip("+"),
            "segments": 1,
            "status": status,
        },
        "meta": {"request_id": str(item.reference)},
    } | others


def answer(*elements: Mapping[str, object]) -> str:
    """An object for one recipient, an array for several."""
    return json.dumps({"data": elements[0] if len(elements) == 1 else elements}, ensure_ascii=False)


def sample_answer(codes: Iterable[tuple[OutboundMessage, str]]) -> bytes:
    return answer(*(element(item, code) for item, code in codes)).encode()


def texts(request: Request) -> list[str]:
    return [value for name, value in parameters(request) if name == "body"]


def tried(item: OutboundMessage) -> OutboundMessage:
    """An item at its second try, at which a refusal is final."""
    return item._replace(attempts=1)


SAMPLE = Sample(
    accounts=(TOGETHER, QUERY, FORM),
    items=(
        tried(sms(700001, "Order 18")),
        tried(sms(700002, "See you at <ten> & \"bring\" + 100% of the 'form'; a=b?")),
        tried(sms(700003, "Ваше замовлення готове 😀\nдо 18:00")),
        tried(sms(700004, kind="ping")),
    ),
    takes="ok",
    refuses="error",
    submit_answer=sample_answer,
    texts=texts,
    submit_table={**codes_file.STATUSES, "error": Status.REJECTED},
    receipt_table=codes_file.STATES,
    pushes=(
        Push(
            b"message_id=1930011223301&message_state=delivered",
            content_type="application/x-www-form-urlencoded",
        ),
        Push(b"", "message_id=1930011223301&message_state=delivered"),
        Push(
            b'{"message_id": "1930011223301", "message_state": "delivered"}', content_type="application/json"
        ),
    ),
    provider_message_id=lambda item: str(1_930_011_000_000 + item.reference),
    secrets_in_url=True,
    wary=True,
    body_decides=range(100, 600),
)


UNKNOWN_WORDS = ("internal", "wrong_source", "unlimited", "everybody", "numbered", "lowbalance")


# --- small words for the tables ------------------------------------------------------------------------

ONE = (sms(1),)
TWO = (sms(1), sms(2))
TWINS = (sms(1, recipient="+380931110001"), sms(2, recipient="+380931110001"))


def sent(reference: int, provider_message_id: str = "", segments: int | None = 1) -> StatusReport:
    return StatusReport(
        reference, Status.SENT, "ok", provider_message_id or f"19300110{reference:05d}", segments
    )


def again(reference: int) -> StatusReport:
    return StatusReport(reference, Status.QUEUED, "error")


def doubtful(reference: int, code: str = "?", provider_message_id: str = "") -> StatusReport:
    return StatusReport(reference, Status.IN_DOUBT, code, provider_message_id, strange=True)


def errors(*codes: object) -> str:
    return json.dumps({"errors": [{"code": code, "title": "Помилка", "detail": "…"} for code in codes]})


def word(value: object) -> str:
    """An answer about item 1 with that status."""
    return answer(element(ONE[0], attributes={"segments": 1, "status": value}))


NO_WORDS: tuple[object, ...] = (None, True, [], {}, ["ok"], 1.5)

PLACES: dict[str, Callable[[str], dict[str, object]]] = {
    "under meta": lambda own: {"meta": {"request_id": own}, "attributes": {"status": "ok"}},
    "under attributes": lambda own: {"attributes": {"status": "ok", "request_id": own}},
    "in the element": lambda own: {"attributes": {"status": "ok"}, "request_id": own},
    "as a number": lambda own: {"attributes": {"status": "ok"}, "meta": {"request_id": int(own)}},
    "where meta has another": lambda own: {
        "attributes": {"status": "ok", "request_id": own},
        "meta": {"request_id": "900"},
    },
}
"""Where our id may stand in an element."""

ODD: dict[str, dict[str, object]] = {
    "of somebody else": element(sms(1, recipient="+380931119999"), meta={}),
    "of another type": {"type": "dlr", "attributes": {"status": "ok"}},
    "at odds with itself": element(TWO[1], meta={"request_id": "1"}),
}
"""Elements that tell of nobody, and are not silent."""


# --- sending -------------------------------------------------------------------------------------------

SUBMITS = [
    SubmitCase(
        label="2 the sample: one recipient",
        items=(sms(700001, "Order 18", recipient="+380931110001"),),
        request=[
            *SECRETS,
            ("destination_number", "380931110001"),
            ("source_name", "ShopNews"),
            ("body", "Order 18"),
            ("require_dlr", "1"),
            ("request_id", "700001"),
        ],
        path="/api/message",
        reply="""{ "data": { "type": "message", "id": "1930011223301",
                "attributes": { "destination_number": "380931110001", "segments": 1, "status": "ok" },
                "meta": { "request_id": "700001" } } }""",
        expected=[sent(700001, "1930011223301")],
    ),
    SubmitCase(
        label="2 the sample: two recipients, one refused",
        items=(
            sms(700001, "A", recipient="+380931110001"),
            sms(700002, "B", recipient="+380931110002"),
        ),
        request=[
            *SECRETS,
            ("destination_number", "380931110001"),
            ("source_name", "ShopNews"),
            ("body", "A"),
            ("require_dlr", "1"),
            ("request_id", "700001"),
            ("destination_number", "380931110002"),
            ("source_name", "ShopNews"),
            ("body", "B"),
            ("require_dlr", "1"),
            ("request_id", "700002"),
        ],
        reply="""{ "data": [
      { "type": "message", "id": "1930011223302", "attributes": { "destination_number": "380931110001", "segments": 1, "status": "ok" },    "meta": { "request_id": "700001" } },
      { "type": "message", "id": "1930011223303", "attributes": { "destination_number": "380931110002", "segments": 1, "status": "error" }, "meta": { "request_id": "700002" } } ] }""",  # noqa: E501 - as it stands there
        expected=[sent(700001, "1930011223302"), again(700002)],
    ),
    SubmitCase(
        label="2 the sample: the whole call refused",
        reply='{ "errors": [ { "code": "authentication", "title": "Authentication error", "detail": "…" }]}',
        expected=CREDENTIALS.because("authentication"),
    ),
    SubmitCase(
        label="no receipts wanted: none is asked for",
        account=FORM,
        items=ONE,
        request=[
            *SECRETS,
            ("destination_number", "380931110001"),
            ("source_name", "ShopNews"),
            ("body", "Your order is ready"),
            ("request_id", "1"),
        ],
        reply=answer(element(ONE[0])),
        expected=[sent(1)],
    ),
    SubmitCase(
        label="a silent ping; every recipient of its call has the same parameters, empty ones included",
        items=(sms(1), sms(2, kind="ping")),
        request=[
            *SECRETS,
            ("destination_number", "380931110001"),
            ("source_name", "ShopNews"),
            ("body", "Your order is ready"),
            ("require_dlr", "1"),
            ("stealth_ping", "0"),
            ("request_id", "1"),
            ("destination_number", "380931110002"),
            ("source_name", "ShopNews"),
            ("body", ""),
            ("require_dlr", "1"),
            ("stealth_ping", "1"),
            ("request_id", "2"),
        ],
        reply=answer(*map(element, TWO)),
        expected=[sent(1), sent(2)],
    ),
    SubmitCase(
        label="a number for a sender",
        account=NUMBERED,
        items=(sms(1, sender="380671234567"),),
        request=[
            *SECRETS,
            ("destination_number", "380931110001"),
            ("source_number", "380671234567"),
            ("body", "Your order is ready"),
            ("require_dlr", "1"),
            ("request_id", "1"),
        ],
        reply=answer(element(ONE[0])),
        expected=[sent(1)],
    ),
    # -- statuses
    SubmitCase(
        label="refused a first time: tried once more",
        items=ONE,
        reply=answer(element(ONE[0], "error")),
        expected=[again(1)],
    ),
    SubmitCase(
        label="refused a second time: rejected",
        items=(tried(sms(1)),),
        reply=answer(element(ONE[0], "error")),
        expected=[StatusReport(1, Status.REJECTED, "error")],
    ),
    *(
        SubmitCase(label=f"trap 3: {written!r} is ok", items=ONE, reply=word(written), expected=[sent(1)])
        for written in ("ok", "OK", "Ok", " ok ", "ок", "ОК", "oк", "оk")
    ),
    *(
        SubmitCase(
            label=f"trap 3: {written!r} is not ok",
            items=ONE,
            reply=word(written),
            expected=[doubtful(1, code, "1930011000001")],
        )
        for written, code in {
            "okay": "okay",
            "queued": "queued",
            "not ok": "?",
            "": "?",
            "380931110001": "?",
            PASSWORD: "?",
            LOGIN: "?",
            "a" * 41: "?",
            "0k": "?",
        }.items()
    ),
    *(
        SubmitCase(
            label=f"a status that is {value!r}",
            items=ONE,
            reply=word(value),
            expected=[doubtful(1, provider_message_id="1930011000001")],
        )
        for value in NO_WORDS
    ),
    SubmitCase(
        label="trap 4: a status that does not stand under attributes",
        items=ONE,
        reply=answer({"type": "message", "id": "7", "status": "ok", "meta": {"request_id": "1"}}),
        expected=[doubtful(1, provider_message_id="7")],
    ),
    # -- segments and ids
    *(
        SubmitCase(
            label=f"segments {value!r}",
            items=ONE,
            reply=answer(element(ONE[0], attributes={"segments": value, "status": "ok"})),
            expected=[sent(1, segments=read)],
        )
        for value, read in ((3, 3), ("3", 3), (0, None), (-1, None), (1e3, None), (256, None), (None, None))
    ),
    *(
        SubmitCase(
            label=f"trap 5: an id {value!r}",
            items=ONE,
            reply=answer(element(ONE[0], id=value)),
            expected=[sent(1)._replace(provider_message_id=read)],
        )
        for value, read in (
            ("1930011223301", "1930011223301"),
            (1930011223301, "1930011223301"),
            ("0", ""),
            ("", ""),
            (None, ""),
            (True, ""),
            (1.5, ""),
            ("380 93", ""),
            ("9" * 65, ""),
            (10**70, ""),
        )
    ),
    # -- object or array
    SubmitCase(
        label="trap 1: an array of one",
        items=ONE,
        reply=json.dumps({"data": [element(ONE[0])]}),
        expected=[sent(1)],
    ),
    SubmitCase(
        label="trap 1: an object for two",
        items=TWO,
        reply=answer(element(TWO[1])),
        expected=[sent(2)],
    ),
    SubmitCase(label="an empty array", items=ONE, reply='{"data": []}', expected=[]),
    SubmitCase(
        label="what is no element",
        items=ONE,
        reply='{"data": [null, 1, "ok", []]}',
        expected=[],
    ),
    # -- matching
    *(
        SubmitCase(
            label=f"trap 2: our id {where}",
            items=TWO,
            reply=answer(
                *({"id": f"7{item.reference}", **stands(str(item.reference))} for item in reversed(TWO))
            ),
            expected=[sent(2, "72", None), sent(1, "71", None)],
        )
        for where, stands in PLACES.items()
    ),
    SubmitCase(
        label="trap 2: echoes that we did not send; the numbers tell",
        items=(sms(700001), sms(700002)),
        reply=answer(
            element(sms(700002), meta={"request_id": "1"}), element(sms(700001), meta={"request_id": "2"})
        ),
        expected=[sent(700002, "1930011700002"), sent(700001, "1930011700001")],
    ),
    SubmitCase(
        label="no echo at all; the numbers tell",
        items=TWO,
        reply=answer(element(TWO[1], "error", meta={}), element(TWO[0], meta=None)),
        expected=[again(2), sent(1)],
    ),
    SubmitCase(
        label="a number with its plus",
        items=ONE,
        reply=answer({"id": "7", "attributes": {"destination_number": "+380931110001", "status": "ok"}}),
        expected=[sent(1, "7", None)],
    ),
    SubmitCase(
        label="trap 14: one number twice; by position",
        items=TWINS,
        reply=answer(element(TWINS[0], meta={}), element(TWINS[1], "error", meta={})),
        expected=[sent(1), again(2)],
    ),
    SubmitCase(
        label="trap 14: one number twice, and our ids",
        items=TWINS,
        reply=answer(element(TWINS[1], "error"), element(TWINS[0])),
        expected=[again(2), sent(1)],
    ),
    SubmitCase(
        label="trap 14: one number twice; by position only if the counts agree",
        items=TWINS,
        reply=answer(element(TWINS[0], meta={})),
        expected=[],
    ),
    SubmitCase(
        label="by position where there is neither id nor number",
        items=TWO,
        reply=answer(
            {"id": "71", "attributes": {"status": "ok"}}, {"id": "72", "attributes": {"status": "error"}}
        ),
        expected=[sent(1, "71", None), again(2)],
    ),
    SubmitCase(
        label="not by position where one is known by its id: they do not keep the order",
        items=TWO,
        reply=answer(element(TWO[1]), {"id": "72", "attributes": {"status": "ok"}}),
        expected=[sent(2)],
    ),
    SubmitCase(
        label="not by position where the number is of somebody else",
        items=ONE,
        reply=answer(element(sms(1, recipient="+380931119999"), meta={})),
        expected=[],
    ),
    SubmitCase(
        label="our id beside the number of another message of the call",
        items=TWO,
        reply=answer(element(sms(1, recipient="+380931110002")), element(TWO[1])),
        expected=[sent(2)],
    ),
    SubmitCase(
        label="our ids beside each other's numbers, which are in their places",
        items=TWO,
        reply=answer(
            element(TWO[0], "error", meta={"request_id": "2"}), element(TWO[1], meta={"request_id": "1"})
        ),
        expected=[],
    ),
    SubmitCase(
        label="our id beside the number of another message of the call, where one number stands twice",
        items=(*TWINS, sms(3)),
        reply=answer(element(TWINS[0], meta={"request_id": "3"}), element(sms(3), meta={"request_id": "2"})),
        expected=[],
    ),
    SubmitCase(
        label="two of our ids in one element",
        items=TWO,
        reply=answer({"attributes": {"status": "error", "request_id": "2"}, "meta": {"request_id": "1"}}),
        expected=[],
    ),
    *(
        SubmitCase(
            label=f"not by position where another element is {label}",
            items=TWO,
            reply=answer({"attributes": {"status": "error"}}, odd),
            expected=[],
        )
        for label, odd in ODD.items()
    ),
    SubmitCase(
        label="our id beside a number that they wrote in another way",
        items=ONE,
        reply=answer(element(sms(1, recipient="0931110001"))),
        expected=[sent(1)],
    ),
    SubmitCase(
        label="trap 12: an element of another type",
        items=ONE,
        reply=answer(element(ONE[0], type="dlr")),
        expected=[],
    ),
    SubmitCase(
        label="one more than was sent",
        items=ONE,
        reply=answer(element(ONE[0]), element(sms(2))),
        expected=[sent(1)],
    ),
    SubmitCase(
        label="answered twice alike",
        items=ONE,
        reply=answer(element(ONE[0]), element(ONE[0])),
        expected=[sent(1)],
    ),
    SubmitCase(
        label="answered twice, taken and refused",
        items=ONE,
        reply=answer(element(ONE[0]), element(ONE[0], "error"), element(ONE[0])),
        expected=[doubtful(1, "ok")],
    ),
    SubmitCase(
        label="answered twice, under two ids",
        items=ONE,
        reply=answer(element(ONE[0]), element(ONE[0], id="7")),
        expected=[doubtful(1, "ok")],
    ),
    # -- errors
    *(
        SubmitCase(label=f"3 error {code}", items=items, reply=errors(code), expected=expected)
        for code in ("authentication", "Authentication")
        for items in (ONE, TWO)
        for expected in [CREDENTIALS.because(code)]
    ),
    *(
        SubmitCase(
            label=f"3 error {code}: a guess{', which is none for several' if several else ''}",
            items=TWO if several else ONE,
            reply=errors(code),
            expected=(failure.doubted() if several else failure).because(code),
        )
        for several in (False, True)
        for code, failure in {
            "low_balance": MONEY,
            "no_credit": MONEY,
            "credit_limit": MONEY,
            "out_of_money": MONEY,
            "limit_exceeded": THROTTLED,
            "throttled": THROTTLED,
            "throttling": THROTTLED,
            "server.busy": THROTTLED,
            "BUSY": THROTTLED,
        }.items()
    ),
    *(
        SubmitCase(
            label=f"3 error {code}: the one message is refused, in their word",
            items=(item,),
            reply=errors(code),
            expected=[StatusReport(1, Status.REJECTED, code)],
        )
        for code in ("invalid_number", "destination-unknown", "body_missing")
        for item in (sms(1), tried(sms(1)), sms(1, kind="ping"))
    ),
    *(
        SubmitCase(
            label=f"3 error {code}: which of several is meant is not said",
            items=TWO,
            reply=errors(code),
            expected=MALFORMED.doubted().because(code),
        )
        for code in ("invalid_number", "destination-unknown", "body_missing")
    ),
    *(
        SubmitCase(
            label=f"3 error {code}: a word that nobody knows refuses the one message",
            items=ONE,
            reply=errors(code),
            expected=[StatusReport(1, Status.REJECTED, code, strange=True)],
        )
        for code in UNKNOWN_WORDS
    ),
    *(
        SubmitCase(
            label=f"3 error {code}: of several nobody knows",
            items=TWO,
            reply=errors(code),
            expected=UNREADABLE.because(code),
        )
        for code in UNKNOWN_WORDS
    ),
    *(
        SubmitCase(
            label=f"3 error {code}: what they did before their time ran out nobody knows",
            items=items,
            reply=errors(code),
            expected=UNREADABLE.because(code),
        )
        for code in (
            "time_limit",
            "limit.time",
            "timeout-limit",
            "destination_timeout",
            "time_out_busy",
        )
        for items in (ONE, TWO)
    ),
    *(
        SubmitCase(
            label=f"a code that is {code!r}",
            items=items,
            reply=errors(code),
            expected=UNREADABLE.because("?")
            if len(items) > 1
            else [StatusReport(1, Status.REJECTED, "?", strange=True)],
        )
        for items in (ONE, TWO)
        for code in (*NO_WORDS, "", 7, "380931110001", PASSWORD, "there is no such thing", "a" * 41)
    ),
    *(
        SubmitCase(
            label=f"trap 13: of {', '.join(codes)} the first to count is {failure.name}",
            items=ONE,
            reply=errors(*codes),
            expected=failure,
        )
        for codes, failure in {
            ("body", "authentication"): CREDENTIALS.because("authentication"),
            ("internal", "authentication"): CREDENTIALS.because("authentication"),
            ("internal", "busy", "balance"): MONEY.because("balance"),
            ("balance", "authentication"): CREDENTIALS.because("authentication"),
            ("body", "internal", "busy"): THROTTLED.because("busy"),
            ("body", "busy"): THROTTLED.because("busy"),
            ("body", "timeout"): UNREADABLE.because("timeout"),
        }.items()
    ),
    SubmitCase(
        label="trap 13: of two refusals the first that is a word is kept",
        items=ONE,
        reply=errors("38 093", "body", "internal"),
        expected=[StatusReport(1, Status.REJECTED, "body")],
    ),
    SubmitCase(
        label="trap 13: the published one is sure for several, too",
        items=TWO,
        reply=errors("body", "authentication"),
        expected=CREDENTIALS.because("authentication"),
    ),
    SubmitCase(
        label="one error, in no array",
        items=ONE,
        reply='{"errors": {"code": "busy"}}',
        expected=THROTTLED.because("busy"),
    ),
    SubmitCase(label="errors that are none", reply='{"errors": [null, 1]}', expected=UNREADABLE.because("?")),
    SubmitCase(
        label="data and errors",
        items=ONE,
        reply=json.dumps({"data": element(ONE[0]), "errors": [{"code": "authentication"}]}),
        expected=UNREADABLE,
    ),
    *(
        SubmitCase(label=f"neither data nor errors: {body}", reply=body, expected=UNREADABLE)
        for body in (
            "{}",
            "[]",
            "null",
            '{"data": null}',
            '{"errors": []}',
            '{"data": "ok"}',
            '{"status": "ok"}',
        )
    ),
    # -- what only looks like JSON
    *(
        SubmitCase(label=label, items=ONE, reply=body, expected=UNREADABLE)
        for label, body in {
            "a name that stands twice": '{"data": {"attributes": {"status": "ok", "status": "error"}}}',
            "NaN": '{"data": {"attributes": {"status": "ok", "segments": NaN}}}',
            "two documents": answer(element(ONE[0])) * 2,
            "nothing": "",
            "blanks": " \n" * 1000,
            "a megabyte": answer(element(ONE[0])) + " " * 1_048_576,
        }.items()
    ),
    SubmitCase(
        label="a byte order mark before it",
        items=ONE,
        reply=b"\xef\xbb\xbf" + answer(element(ONE[0])).encode(),
        expected=[sent(1)],
    ),
    SubmitCase(
        label="an encoding that is not UTF-8",
        items=ONE,
        reply=word("ок").encode("cp1251"),
        expected=UNREADABLE,
    ),
    # -- HTTP statuses: not published, so the document decides
    *(
        SubmitCase(label=f"HTTP {http} with data", http=http, items=ONE, reply=word("ok"), expected=[sent(1)])
        for http in (200, 201, 202, 400, 422, 500)
    ),
    *(
        SubmitCase(
            label=f"HTTP {http} with errors",
            http=http,
            reply=errors("authentication"),
            expected=CREDENTIALS.because("authentication"),
        )
        for http in (200, 400, 401, 404, 500, 503)
    ),
    *(
        SubmitCase(label=f"HTTP {http} and no document", http=http, reply=body, expected=failure.doubted())
        for http, failure in {
            400: MALFORMED,
            401: CREDENTIALS,
            403: CREDENTIALS,
            404: MISDIRECTED,
            413: MALFORMED,
            422: MALFORMED,
            429: THROTTLED,
            500: SERVER_ERROR,
            502: SERVER_ERROR,
        }.items()
        for body in ("", "<html>Bad Gateway</html>", '{"message": "no"}', answer(*map(element, TWO))[:-9])
    ),
    *(
        SubmitCase(
            label=f"HTTP 414 and no document: {label}", account=chosen, http=414, reply="", expected=failure
        )
        for label, chosen, failure in (
            ("nobody read so long an address", QUERY, MALFORMED),
            ("a form has a short one", FORM, MALFORMED.doubted()),
        )
    ),
    SubmitCase(
        label="HTTP 500 with a code nobody knows",
        http=500,
        items=ONE,
        reply=errors("oops"),
        expected=[StatusReport(1, Status.REJECTED, "oops", strange=True)],
    ),
]


@pytest.mark.parametrize("case", SUBMITS, ids=lambda case: case.label)
def test_submit(case: SubmitCase) -> None:
    run_submit("smartswitch", case)


def test_every_word_of_the_sheet_stands_in_its_table() -> None:
    assert codes_file.STATUSES.keys() == {"ok", "error"}
    assert codes_file.ERRORS.keys() == {"authentication"}
    assert codes_file.STATES.keys() == STATES.keys()


def test_a_refusal_for_no_reason_is_no_fault_of_the_route() -> None:
    outcome = SmartSwitch(QUERY).read_submit(ONE, Reply(200, sample_answer([(ONE[0], "error")])))
    assert isinstance(outcome, Answered)
    assert [report.failure for report in outcome.reports] == [None]


# --- where the parameters stand ------------------------------------------------------------------------


def test_by_default_all_stands_in_the_query_of_a_post_with_no_body() -> None:
    request = SmartSwitch(account()).submit(ONE)
    assert request.method == "POST"
    assert request.body == b""
    assert request.url == (
        "https://sms.operator.example/api/message?_login=secret-login&_password=secret%26password%3D1"
        "&destination_number=380931110001&source_name=ShopNews&body=Your%20order%20is%20ready&request_id=1"
    )


def test_in_a_form_nothing_stands_in_the_address() -> None:
    request = SmartSwitch(FORM).submit(ONE)
    assert request.method == "POST"
    assert request.url == "https://sms.operator.example/api/message"
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert request.body.startswith(b"_login=secret-login&_password=secret%26password%3D1&destination_number=")


def test_a_path_before_theirs_is_kept() -> None:
    request = SmartSwitch(replace(FORM, url="https://operator.example/sms/")).submit(ONE)
    assert urlsplit(request.url).path == "/sms/api/message"


def test_one_number_twice_is_two_groups() -> None:
    """Trap 6: a mapping would lose all but the last."""
    sent_ = parameters(SmartSwitch(QUERY).submit(TWINS))
    assert [value for name, value in sent_ if name == "request_id"] == ["1", "2"]
    assert [value for name, value in sent_ if name == "destination_number"] == ["380931110001"] * 2
    assert [name for name, _ in sent_].count("_login") == 1


@pytest.mark.parametrize("text", ["x", "a" * 160, "я" * 70, "€" * 67, "😀" * 35, "&" * 160, "я" * 300])
@pytest.mark.parametrize(("mode", "several"), [("query", 10), ("form", 50)])
def test_given_several_in_a_call_then_a_request_keeps_to_its_size(mode: str, several: int, text: str) -> None:
    speaker = SmartSwitch(account(receipts=True, params_in=mode, call_items=str(several)))
    many = [sms(10**15 + n, text, sender="ЙЙЙЙЙЙЙЙЙЙЙ") for n in range(100)]
    package = fitting(many, speaker.limits)
    request = speaker.submit(package)
    assert 1 <= len(package) <= several
    assert len(request.body) <= {"query": 0, "form": 262_144}[mode]
    assert len(request.url) <= 4_096


def test_a_number_may_travel_with_its_plus() -> None:
    made = SmartSwitch(replace(QUERY, options={"number_format": "plus"}))
    assert "destination_number=%2B380931110001&" in made.submit([sms(1)]).url


@pytest.mark.parametrize("mode", ["query", "form"])
def test_given_no_setting_then_a_call_holds_one_message_and_many_are_in_flight(mode: str) -> None:
    limits = SmartSwitch(account(params_in=mode)).limits
    assert (limits.items, limits.call, limits.in_flight) == (20, 1, 20)
    assert len(fitting([sms(n, "Your code is 1234") for n in range(1, 99)], limits)) == 20


def test_sizes_are_settings() -> None:
    speaker = SmartSwitch(replace(FORM, package_items=3, package_bytes=9000, in_flight=2))
    limits = speaker.limits
    empty = len(speaker.submit([]).body)  # the login takes room, too
    assert empty > 0
    assert (limits.items, limits.octets, limits.call, limits.in_flight) == (3, 9000 - empty, 1, 2)


@pytest.mark.parametrize(("package", "items"), [(0, 7), (3, 3), (20, 7)])
def test_given_several_in_a_call_then_a_package_is_one_call(package: int, items: int) -> None:
    limits = SmartSwitch(replace(account(call_items="7"), package_items=package)).limits
    assert (limits.items, limits.call, limits.in_flight) == (items, 0, 1)
    short = [sms(n, "Your code is 1234") for n in range(1, 99)]
    assert 1 < len(fitting(short, limits)) <= items


# --- what it carries -----------------------------------------------------------------------------------


def message(content: Sms | Flash | Ping, sender: str = "ShopNews") -> Message:
    return Message(client_id="c", recipient="+380931110001", sender=sender, content=content)


def test_it_carries_texts_and_pings_alone() -> None:
    speaker = SmartSwitch(QUERY)
    speaker.check(message(Sms("Hello")))
    speaker.check(message(Ping()))
    with pytest.raises(MessageError, match=r"^kind: is not carried by SMARTSwitch, got 'flash'$"):
        speaker.check(message(Flash("Hello")))


def test_what_ends_or_begins_at_a_time_is_the_ledgers_to_keep() -> None:
    timed = replace_times(message(Sms("Hello")))
    SmartSwitch(QUERY).check(timed)


def replace_times(one: Message) -> Message:
    return Message.from_dict(one.as_dict() | {"send_at": NOW, "valid_until": NOW.replace(year=NOW.year + 1)})


@pytest.mark.parametrize(
    ("source", "sender", "good"),
    [
        ("name", "ShopNews123", True),
        ("name", "ShopNews1234", False),
        ("name", "380671234", True),
        ("number", "380671234567890", True),
        ("number", "+38067123456", False),
        ("number", "ShopNews", False),
        ("number", "²²²²²", False),
    ],
)
def test_a_sender_is_a_name_or_a_number_for_all_of_a_route(source: str, sender: str, good: bool) -> None:
    speaker = SmartSwitch(account(source=source))
    if good:
        speaker.check(message(Sms("Hello"), sender))
    else:
        with pytest.raises(MessageError, match=r"^sender: must be"):
            speaker.check(message(Sms("Hello"), sender))


def test_a_text_too_long_for_a_query_fits_into_a_form() -> None:
    long = message(Sms("я" * 700))
    with pytest.raises(MessageError, match=r"^text: must fit into a request of 4096 bytes; .* form"):
        SmartSwitch(QUERY).check(long)
    SmartSwitch(FORM).check(long)


def test_nothing_can_be_asked_afterwards() -> None:
    speaker: object = SmartSwitch(QUERY)
    assert SmartSwitch.doubt is DoubtPolicy.HOLD
    assert isinstance(speaker, Receipts)
    assert not isinstance(speaker, Statuses | Schedules | Cancels)
    assert not SmartSwitch.hints


# --- receipts ------------------------------------------------------------------------------------------

STATES = {
    "enroute": Status.SENT,
    "accepted": Status.SENT,
    "unknown": Status.SENT,
    "delivered": Status.DELIVERED,
    "expired": Status.EXPIRED,
    "undeliverable": Status.UNDELIVERABLE,
    "rejected": Status.REJECTED,
}
"""Section 4."""

PUSHES = [
    PushCase(
        label="4 the sample",
        push=Push(
            b"message_id=1930011223301&message_state=delivered",
            content_type="application/x-www-form-urlencoded",
        ),
        expected=[DeliveryReceipt("1930011223301", Status.DELIVERED, "delivered")],
        acknowledged=Acknowledgement(b"OK", "text/plain"),
    ),
    *(
        PushCase(
            label=f"state {state}",
            push=Push(f"message_id=7&message_state={state}".encode()),
            expected=[DeliveryReceipt("7", status, state)],
        )
        for state, status in STATES.items()
    ),
    PushCase(
        label="a state in capitals",
        push=Push(b"message_state=DELIVERED&message_id=7&more=1"),
        expected=[DeliveryReceipt("7", Status.DELIVERED, "delivered")],
    ),
    *(
        PushCase(
            label=f"trap 11: {state!r} is no state",
            push=Push(f"message_id=7&message_state={state}".encode()),
            expected=[DeliveryReceipt("7", None, code, strange=True)],
        )
        for state, code in {
            "deliver": "deliver",
            "delivered_to_smsc": "delivered_to_smsc",
            "not+delivered": "?",
            "102": "?",
            "secret-login": "?",
        }.items()
    ),
    PushCase(
        label="in the address",
        push=Push(b"", "message_id=7&message_state=expired"),
        expected=[DeliveryReceipt("7", Status.EXPIRED, "expired")],
    ),
    PushCase(
        label="fields of other names",
        account=account(receipt_id="id", receipt_state="state"),
        push=Push(b"id=7&state=delivered&message_id=8"),
        expected=[DeliveryReceipt("7", Status.DELIVERED, "delivered")],
    ),
    *(
        PushCase(label=f"no receipt: {body!r}", push=Push(body), expected=UNREADABLE)
        for body in (
            b"",
            b"message_id=7",
            b"message_state=delivered",
            b"message_id=&message_state=delivered",
            b"message_id=7&message_state=",
            b"message_id=7+or+8&message_state=delivered",
            b"message_id=%FF&message_state=delivered",
            b"\xff=7",
            b"message_id=7&message_id=8&message_state=delivered",
            b"message_id=7&message_state=delivered&message_state=rejected",
            b"a=1&" * 2_000 + b"message_id=7&message_state=delivered",
            b"<receipt/>",
        )
    ),
    PushCase(
        label="a field said twice alike",
        push=Push(b"message_id=7&message_id=7&message_state=delivered"),
        expected=[DeliveryReceipt("7", Status.DELIVERED, "delivered")],
    ),
    PushCase(
        label="trap 10: JSON",
        push=Push(b'{"message_id": "7", "message_state": "delivered"}', content_type="application/json"),
        expected=[DeliveryReceipt("7", Status.DELIVERED, "delivered")],
    ),
    PushCase(
        label="JSON: several, in their order; what is none is left out",
        push=Push(
            b'[{"message_id": 1930011223301, "message_state": "enroute"}, null, {"message_id": "8"},'
            b' {"message_id": "1930011223301", "message_state": "delivered"}]'
        ),
        expected=[
            DeliveryReceipt("1930011223301", Status.SENT, "enroute"),
            DeliveryReceipt("1930011223301", Status.DELIVERED, "delivered"),
        ],
        acknowledged=Acknowledgement(),
    ),
    *(
        PushCase(label=f"JSON: {body!r}", push=Push(body), expected=UNREADABLE)
        for body in (
            b"",
            b"[]",
            b"{}",
            b"null",
            b'"delivered"',
            b'{"message_id": "7", "message_id": "8", "message_state": "delivered"}',
            b'{"message_id": {}, "message_state": ["delivered"]}',
            b"[" * 100_000,
        )
    ),
]


@pytest.mark.parametrize("case", PUSHES, ids=lambda case: case.label[:60])
def test_push(case: PushCase) -> None:
    run_push("smartswitch", case)


# --- accounts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (Account("https://s.example", key="the-key", token="the-token"), "a login and a password"),
        (Account("https://s.example", login="some-login"), "a login and a password"),
        (Account("https://s.example", password="pass-phrase"), "a login and a password"),
        (account(params_in="header"), "params_in must be one of query, form, got 'header'"),
        (account(source="both"), "source must be one of name, number, got 'both'"),
        (account(receipt_id="a b"), "receipt_id must be the name of a field, got 'a b'"),
        (account(receipt_state="="), "receipt_state must be the name of a field"),
        (account(call_items="ten"), "call_items must be a whole number"),
    ],
)
def test_an_account_it_cannot_speak_for(made: Account, named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        SmartSwitch(made)
    assert not shown(made.secrets, str(caught.value))


def test_empty_options_are_its_defaults() -> None:
    empty = dict.fromkeys(SmartSwitch.options, "")
    assert SmartSwitch(replace(account(), options=empty)).submit(ONE) == SmartSwitch(account()).submit(ONE)


# --- what must not be seen -----------------------------------------------------------------------------

ECHOES: list[Callable[[str], str]] = [
    lambda url: json.dumps({"errors": [{"code": url, "title": url, "detail": url}]}),
    lambda url: json.dumps({"data": {"id": url, "type": url, "attributes": {"status": url}}}),
    lambda url: json.dumps(
        {"data": [{"id": url, "attributes": {"status": url}, "meta": {"request_id": "1"}}]}
    ),
    lambda url: json.dumps({url: url}),
    json.dumps,
    lambda url: f"<html>{url}</html>",
    lambda url: url,
]
"""Answers that repeat the address with all that stands in it."""


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("http", [200, 400, 500])
@pytest.mark.parametrize("chosen", [QUERY, FORM], ids=["query", "form"])
def test_credentials_are_seen_nowhere_though_they_ride_in_the_address(
    echo: Callable[[str], str], http: int, chosen: Account
) -> None:
    speaker = SmartSwitch(chosen)
    request = speaker.submit(ONE)
    said = request.url + request.body.decode()
    assert shown(chosen.secrets, said)

    for words in (said, *chosen.secrets):
        outcome = speaker.read_submit(ONE, Reply(http, echo(words).encode()))
        pushes = [
            Push(f"message_id={theirs}&message_state={state}".encode(), words)
            for theirs, state in product(("7", words), ("delivered", words))
        ]
        pushed = [speaker.read_receipts(push) for push in pushes]
        printed = (chosen, speaker, request, outcome, pushes, pushed)
        seen = " ".join(repr(value) + str(value) for value in printed)
        assert not shown((*chosen.secrets, *personal(ONE[0])), seen)
        if isinstance(outcome, Failure):
            assert not shown(chosen.secrets, outcome.detail + outcome.code)
