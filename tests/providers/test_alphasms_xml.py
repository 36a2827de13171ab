"""AlphaSMS XML, as tables. Samples and codes are those of the protocol sheet, by section."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from lxml import etree

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.package import Limits, OutboundMessage
from bulk_dispatch.domain.status import Status
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.providers.account import Balance, Price
from bulk_dispatch.providers.alphasms import codes as codes_file
from bulk_dispatch.providers.alphasms import messages as messages_file
from bulk_dispatch.providers.alphasms.xml import AlphaSmsXml
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
    Asked,
    JobPhase,
    JobReport,
    Jobs,
    JobTaken,
    Mode,
    Push,
    Request,
    Schedules,
    Statuses,
    StatusReport,
)
from bulk_dispatch.timezones import zone
from tests.providers.harness import (
    AskCase,
    JobCase,
    PushCase,
    Sample,
    StatusCase,
    SubmitCase,
    run_ask,
    run_job,
    run_push,
    run_status,
    run_submit,
    sms,
)
from tests.providers.rules import SCHEMAS

KEY = "0f3c-secret-key-e9"
SYNC = Account("https://alphasms.example", key=KEY)
ASYNC = Account("https://alphasms.example", key=KEY, mode=Mode.ASYNC)
OLDER = Account("https://alphasms.example", login="secret-login", password="secret-password")

TASK = "c41d07aa5be2496f8d13f0927be6a55e"
PICTURE = "https://shop.example/18.png"

AT_9_30 = datetime(2031, 3, 4, 7, 30, tzinfo=UTC)  # 09:30 in Kyiv
AT_21 = datetime(2031, 3, 4, 19, 0, tzinfo=UTC)


# --- the sample for the universal suite ----------------------------------------------------------------


def answer(wrapper: str, codes: Iterable[tuple[OutboundMessage, str]]) -> bytes:
    """An answer as AlphaSMS gives it; what it took has a number and a count, what it refused has none."""
    codes = list(codes)
    viber = wrapper == "message" and any(item.kind is Kind.VIBER for item, _ in codes)
    package = etree.Element("package")
    inner = etree.SubElement(package, "message-viber" if viber else wrapper)
    for item, code in codes:
        taken = int(code) < 200
        number = str(55_000_000 + item.reference) if taken else "0"
        numbers = {"msg_id": number} if viber else {"sms_id": number, "sms_count": str(int(taken))}
        etree.SubElement(inner, "msg", {"id": str(item.reference)} | numbers).text = code
    return etree.tostring(package, encoding="utf-8", xml_declaration=True)


def texts(request: Request) -> list[str]:
    """The texts in a submit request."""
    messages = etree.fromstring(request.body).iter("msg")
    return [message.findtext("text", message.text or "") for message in messages]


SAMPLE = Sample(
    accounts=(SYNC, ASYNC, OLDER),
    items=(
        sms(700001, "Your order 18 is ready"),
        sms(700002, "See you at <ten> & \"bring\" the 'form' ]]>"),
        sms(700003, "Ваше замовлення готове 😀", kind="flash"),
        sms(700004, "A voice to the land line", kind="voice", recipient="+380441110004"),
        sms(700005, "Your ticket", kind="wap", url="https://shop.example/t?id=18&x=<1>"),
        sms(700006, "Tomorrow", send_at=AT_9_30, valid_until=AT_21),
        sms(700007, "Order 18 & <more>", kind="viber"),
        sms(700008, "Ваше замовлення", kind="viber", image=PICTURE, send_at=AT_9_30, valid_until=AT_21),
        sms(700009, "Order 18", kind="viber", image=PICTURE, button="Open", url="https://shop.example/18"),
    ),
    takes="1",
    refuses="203",
    delivers="102",
    submit_answer=lambda codes: answer("message", codes),
    status_answer=lambda codes: answer("status", codes),
    answers={
        "job": b"<package><job><progress>37</progress><status>RUNNING</status></job></package>",
        "cancel": b"<package><delete>"
        b'<msg id="700001" sms_id="55700001" sms_count="1">104</msg><msg id="700006" sms_id="0">211</msg>'
        b"</delete></package>",
        "balance": b"<package><balance><amount>164.719700000656</amount><currency>UAH</currency></balance>"
        b"</package>",
        "prices": b'<package><prices><phone price="0.91" currency="UAH">+380931110001</phone>'
        b'<phone price="0" currency="UAH">+380931110002</phone></prices></package>',
    },
    pushes=(
        Push(b"id=700001&status=102", content_type="application/x-www-form-urlencoded"),
        Push(b'{"msg_id": 55700001, "status": "DELIVERED"}', content_type="application/json"),
        Push(b"", "message_id=55700001&status=102"),
    ),
    provider_message_id=lambda item: str(55_000_000 + item.reference),
    texts=texts,
    submit_table={code: word.status for code, word in codes_file.SUBMITTED.table.items()},
    status_table={
        **{code: word.status for code, word in codes_file.REPORTED.table.items()},
        **{f"{code} completed": word.status for code, word in codes_file.REPORTED.completed.items()},
    },
)


# --- every code of the sheet ---------------------------------------------------------------------------

ERRORS = {
    "200": SERVER_ERROR,
    "201": MALFORMED,
    "202": CREDENTIALS,
    "205": CREDENTIALS,
    "209": CREDENTIALS,
    "210": CREDENTIALS,
    "212": THROTTLED,
}
"""Section 4: `<error>`."""

REFUSALS = {
    "200": (Status.IN_DOUBT, None),
    "201": (Status.REJECTED, None),
    "202": (Status.REJECTED, None),
    "203": (Status.REJECTED, None),
    "204": (Status.REJECTED, None),
    "205": (Status.QUEUED, CREDENTIALS),
    "206": (Status.QUEUED, MONEY),
    "207": (Status.QUEUED, MONEY),
    "209": (Status.QUEUED, CREDENTIALS),
    "210": (Status.QUEUED, CREDENTIALS),
    "208": (Status.IN_DOUBT, None),
    "212": (Status.QUEUED, THROTTLED),
}
"""Section 5, in answer to a submit."""

NO_NEWS = {
    "200": (None, None),
    "202": (Status.REJECTED, None),
    "203": (Status.REJECTED, None),
    "204": (Status.REJECTED, None),
    "205": (None, CREDENTIALS),
    "209": (None, CREDENTIALS),
    "210": (None, CREDENTIALS),
    "208": (None, None),
    "211": (None, None),
    "212": (None, None),
}
"""Section 5, in answer to a status request."""

DENIALS = {"201": None, "206": MONEY, "207": MONEY}
"""The rest of it: they do not have the message, or not yet."""

KEPT = {
    "200": SERVER_ERROR,
    "205": CREDENTIALS,
    "206": MONEY,
    "207": MONEY,
    "212": THROTTLED,
}
"""Section 5, in answer to a delete: what kept them from trying. 201 and 211 have cases of their own."""

DELIVERY = {
    "1": Status.SENT,
    "100": Status.SENT,
    "101": Status.SENT,
    "102": Status.DELIVERED,
    "103": Status.EXPIRED,
    "104": Status.CANCELLED,
    "105": Status.UNDELIVERABLE,
    "106": Status.SENT,
    "107": Status.SENT,
    "108": Status.REJECTED,
    "109": Status.UNDELIVERABLE,
    "110": Status.SENT,
    "111": Status.UNDELIVERABLE,
    "112": Status.REJECTED,
    "113": Status.REJECTED,
}
"""Section 6."""

DELETE_ONLY = {"211"}


def test_every_code_of_the_sheet_stands_in_a_table_of_its_level() -> None:
    assert codes_file.REFUSALS.keys() == ERRORS.keys()
    assert codes_file.DELIVERY.keys() == DELIVERY.keys()
    assert codes_file.SUBMITTED.table.keys() == DELIVERY.keys() | REFUSALS.keys()
    assert codes_file.REPORTED.table.keys() == DELIVERY.keys() | REFUSALS.keys() | DELETE_ONLY
    assert NO_NEWS.keys() | DENIALS.keys() == REFUSALS.keys() | DELETE_ONLY
    assert codes_file.WITHDRAWN.table.keys() == DELIVERY.keys() | REFUSALS.keys() | DELETE_ONLY
    assert codes_file.JOBS.keys() == {"WAITING", "RUNNING", "COMPLETE", "FAILED", "NOTFOUND"}


# --- small words for the tables ------------------------------------------------------------------------

ONE = (sms(1),)
TWO = (sms(1), sms(2))
VIBER_ONE = (sms(1, kind="viber"),)
ASKED_ONE = (Asked(1, "551"),)
ASKED_TWO = (Asked(1, "551"), Asked(2))


def message(content: str) -> str:
    return f"<package><message>{content}</message></package>"


def viber(content: str) -> str:
    return f"<package><message-viber>{content}</message-viber></package>"


def status(content: str) -> str:
    return f"<package><status>{content}</status></package>"


def error(code: str) -> str:
    return f"<package><error>{code}</error></package>"


def sent(reference: int, provider_message_id: str, segments: int | None = 1, code: str = "1") -> StatusReport:
    return StatusReport(reference, Status.SENT, code, provider_message_id, segments)


def rejected(reference: int, code: str) -> StatusReport:
    return StatusReport(reference, Status.REJECTED, code)


def doubtful(reference: int, code: str) -> StatusReport:
    return StatusReport(reference, Status.IN_DOUBT, code, strange=True)


def used(reference: int) -> StatusReport:
    return StatusReport(reference, Status.IN_DOUBT, "208", used=True)


def no_news(reference: int, code: str, provider_message_id: str = "") -> StatusReport:
    return StatusReport(reference, None, code, provider_message_id, strange=True)


# --- submit --------------------------------------------------------------------------------------------

SHEET_MESSAGE = SubmitCase(
    label="3.1 the sample: two taken, one refused",
    items=(
        sms(700001, "Your order 18 is ready", recipient="+380931110001"),
        sms(700002, "See you at ten", recipient="+380931110002"),
        sms(700003, "bad number", recipient="+38093"),
    ),
    request="""<?xml version="1.0" encoding="utf-8"?>
        <package key="0f3c-secret-key-e9">
          <message>
            <msg id="700001" recipient="+380931110001" sender="ShopNews" type="0">Your order 18 is ready</msg>
            <msg id="700002" recipient="+380931110002" sender="ShopNews" type="0">See you at ten</msg>
            <msg id="700003" recipient="+38093" sender="ShopNews" type="0">bad number</msg>
          </message>
        </package>""".strip(),
    reply="""<?xml version="1.0" encoding="utf-8"?>
        <package>
          <message>
            <msg id="700001" sms_id="55120341" sms_count="1">1</msg>
            <msg id="700002" sms_id="55120342" sms_count="1">1</msg>
            <msg id="700003" sms_id="0" sms_count="0">203</msg>
          </message>
        </package>""".strip(),
    expected=[sent(700001, "55120341"), sent(700002, "55120342"), rejected(700003, "203")],
)

SHEET_ASYNC = SubmitCase(
    label="3.2 the sample: taken as a job",
    account=ASYNC,
    items=(
        sms(700101, "A", recipient="+380931110101"),
        sms(700102, "B", recipient="+380931110102"),
    ),
    request="""<package key="0f3c-secret-key-e9"><message-async>
          <msg id="700101" recipient="+380931110101" sender="ShopNews" type="0">A</msg>
          <msg id="700102" recipient="+380931110102" sender="ShopNews" type="0">B</msg>
        </message-async></package>""",
    reply=f"<package><message-async><job>{TASK}</job></message-async></package>",
    expected=JobTaken(TASK),
)

SUBMITS = [
    SHEET_MESSAGE,
    SHEET_ASYNC,
    SubmitCase(
        label="3.1 the sample of a whole request refused",
        reply='<?xml version="1.0" encoding="utf-8"?>\n<package><error>209</error></package>',
        expected=CREDENTIALS.because("209"),
    ),
    SubmitCase(
        label="every kind, by its type; mark-up and alphabets in text and sender",
        items=(
            sms(1, "a < b & c > \"d\" 'e'", sender='A&B<"'),
            sms(2, "Ваш код\nниже 😀", kind="flash"),
            sms(3, "]]>&amp;", kind="voice"),
        ),
        request="""<package key="0f3c-secret-key-e9"><message>
            <msg id="1" recipient="+380931110001" sender="A&amp;B&lt;&quot;" type="0"
              >a &lt; b &amp; c &gt; "d" 'e'</msg>
            <msg id="2" recipient="+380931110002" sender="ShopNews" type="1">Ваш код\nниже 😀</msg>
            <msg id="3" recipient="+380931110003" sender="ShopNews" type="3">]]&gt;&amp;amp;</msg>
          </message></package>""",
        reply=message('<msg id="1" sms_id="9" sms_count="1">1</msg>'),
        expected=[sent(1, "9")],
    ),
    SubmitCase(
        label="trap 17: login and password where there is no key",
        account=OLDER,
        items=ONE,
        request="""<package login="secret-login" password="secret-password"><message>
            <msg id="1" recipient="+380931110001" sender="ShopNews" type="0">Your order is ready</msg>
          </message></package>""",
        reply=message('<msg id="1" sms_id="9" sms_count="1">1</msg>'),
        expected=[sent(1, "9")],
    ),
    *(
        SubmitCase(label=f"error {code}", reply=error(code), expected=failure.because(code))
        for code, failure in ERRORS.items()
    ),
    *(
        SubmitCase(
            label=f"error {code} to message-async", account=ASYNC, reply=error(code), expected=f.because(code)
        )
        for code, f in ERRORS.items()
    ),
    *(
        SubmitCase(
            label=f"message code {code}",
            items=ONE,
            reply=message(f'<msg id="1" sms_id="0" sms_count="1">{code}</msg>'),
            expected=[StatusReport(1, status_, code, failure=failure, used=code == "208")],
        )
        for code, (status_, failure) in REFUSALS.items()
    ),
    *(
        SubmitCase(
            label=f"delivery code {code} says that it was taken",
            items=ONE,
            reply=message(f'<msg id="1" sms_id="551" sms_count="3">{code}</msg>'),
            expected=[sent(1, "551", 3, code)],
        )
        for code in DELIVERY
    ),
    *(
        SubmitCase(
            label=f"a new code from 200 on, beside number 0, refuses: {code}",
            items=ONE,
            reply=message(f'<msg id="1" sms_id="0">{code}</msg>'),
            expected=[StatusReport(1, Status.REJECTED, code, strange=True)],
        )
        for code in ("211", "214", "999")
    ),
    *(
        SubmitCase(
            label=f"a new code that does not refuse by its form: {said}",
            items=ONE,
            reply=message(said),
            expected=[report],
        )
        for said, report in (
            ('<msg id="1">999</msg>', doubtful(1, "999")),
            ('<msg id="1" sms_id="">999</msg>', doubtful(1, "999")),
            ('<msg id="1" sms_id="5">999</msg>', StatusReport(1, Status.IN_DOUBT, "999", "5", strange=True)),
            ('<msg id="1" sms_id="0">199</msg>', doubtful(1, "199")),
            ('<msg id="1" sms_id="0">2140</msg>', doubtful(1, "?")),
            ('<msg id="1" sms_id="0">refused</msg>', doubtful(1, "?")),
        )
    ),
    SubmitCase(
        label="an error nobody knows",
        reply=error("999"),
        expected=UNREADABLE.because("999"),
    ),
    SubmitCase(
        label="what is no code is not repeated: it may be the text",
        items=ONE,
        reply=message('<msg id="1" sms_id="0">Your order is ready</msg>'),
        expected=[doubtful(1, "?")],
    ),
    SubmitCase(
        label="an error in words is not repeated either",
        reply=error("no +380931110001 here"),
        expected=UNREADABLE.because("?"),
    ),
    SubmitCase(
        label="no code at all",
        items=ONE,
        reply=message('<msg id="1" sms_id="5"/>'),
        expected=[StatusReport(1, Status.IN_DOUBT, "?", "5", strange=True)],
    ),
    SubmitCase(
        label="blanks about a code and an error do not count",
        items=ONE,
        reply=message('<msg id="1" sms_id="5" sms_count="1">\n 1 </msg>'),
        expected=[sent(1, "5")],
    ),
    SubmitCase(label="blanks about an error", reply=error("\n212 "), expected=THROTTLED.because("212")),
    SubmitCase(
        label="trap 2: the wrapper has any name",
        items=ONE,
        reply=status('<msg id="1" sms_id="5" sms_count="1">1</msg>'),
        expected=[sent(1, "5")],
    ),
    SubmitCase(
        label="trap 2: or is missing",
        items=ONE,
        reply='<package><msg id="1" sms_id="5" sms_count="1">1</msg></package>',
        expected=[sent(1, "5")],
    ),
    SubmitCase(
        label='trap 5: sms_id "0" and none mean no number',
        items=TWO,
        reply=message('<msg id="1" sms_id="0" sms_count="1">1</msg><msg id="2" sms_count="2">1</msg>'),
        expected=[sent(1, ""), sent(2, "", 2)],
    ),
    SubmitCase(
        label="trap 6: sms_count of a refused message is not read",
        items=TWO,
        reply=message('<msg id="1" sms_id="0" sms_count="1">203</msg><msg id="2" sms_count="0">203</msg>'),
        expected=[rejected(1, "203"), rejected(2, "203")],
    ),
    *(
        SubmitCase(
            label=f"sms_count {count!r} is no count",
            items=ONE,
            reply=message(f'<msg id="1" sms_id="5" sms_count="{count}">1</msg>'),
            expected=[sent(1, "5", None)],
        )
        for count in ("", "0", "-1", "1.0", "x", "²", "٣", "99999999999999999999")
    ),
    *(
        SubmitCase(
            label=f"trap 19: {label} is an unknown outcome",
            reply=reply,
            expected=UNREADABLE,
        )
        for label, reply in (
            ("an empty body", ""),
            ("blanks", " \r\n\t "),
            ("a truncated body", '<package><message><msg id="700001" sms_id="5" sms_count="1">203</msg>'),
            ("HTML", "<html><body><h1>502 Bad Gateway</h1></body></html>"),
            ("HTML with a doctype", "<!DOCTYPE html><html><body/></html>"),
            ("JSON", '{"success":false,"error":"Access denied"}'),
            ("another root", '<message><msg id="700001" sms_id="0">203</msg></message>'),
            ("an error without a package", "<error>209</error>"),
            ("a package with nothing in it", "<package/>"),
            ("a package with something else", "<package><balance><amount>1</amount></balance></package>"),
            ("text where an answer should be", "<package><message>busy</message></package>"),
            ("errors that differ", "<package><error>202</error><error>212</error></package>"),
        )
    ),
    SubmitCase(
        label="trap 20: fewer, more and re-ordered; joined on id",
        items=(sms(1), sms(2), sms(3)),
        reply=message(
            '<msg id="3" sms_id="553" sms_count="1">1</msg>'
            '<msg id="77" sms_id="577" sms_count="1">1</msg>'
            '<msg id="1" sms_id="0" sms_count="0">202</msg>'
        ),
        expected=[sent(3, "553"), rejected(1, "202")],
    ),
    SubmitCase(label="trap 20: none at all", reply=message(""), expected=[]),
    SubmitCase(
        label="no id, and ids that are none of ours",
        items=ONE,
        reply=message(
            '<msg sms_id="1">203</msg><msg id="">203</msg><msg id="x">203</msg><msg id=" 1">203</msg>'
            '<msg id="01">203</msg><msg id="1.0">203</msg><msg id="١">203</msg>'
        ),
        expected=[],
    ),
    SubmitCase(
        label="said twice",
        items=ONE,
        reply=message('<msg id="1" sms_id="5" sms_count="1">1</msg>' * 2),
        expected=[sent(1, "5")],
    ),
    SubmitCase(
        label="taken and refused",
        items=ONE,
        reply=message('<msg id="1" sms_id="5" sms_count="1">1</msg><msg id="1" sms_id="0">203</msg>'),
        expected=[doubtful(1, "1")],
    ),
    SubmitCase(
        label="refused, taken, and refused again",
        items=ONE,
        reply=message('<msg id="1">206</msg><msg id="1" sms_id="5">1</msg><msg id="1">206</msg>'),
        expected=[doubtful(1, "206")],
    ),
    SubmitCase(
        label="taken twice, under two numbers",
        items=ONE,
        reply=message('<msg id="1" sms_id="5">1</msg><msg id="1" sms_id="6">1</msg>'),
        expected=[doubtful(1, "1")],
    ),
    *(
        SubmitCase(
            label=f"{code} for a message that has a number: they cannot lack it",
            items=ONE,
            reply=message(f'<msg id="1" sms_id="5">{code}</msg>'),
            expected=[StatusReport(1, Status.IN_DOUBT, code, "5", strange=True)],
        )
        for code in ("201", "202", "203", "204", "205", "206", "207", "212")
    ),
    SubmitCase(
        label="208 may bring the number; it is asked about all the same",
        items=ONE,
        reply=message('<msg id="1" sms_id="5" sms_count="1">208</msg>'),
        expected=[StatusReport(1, Status.IN_DOUBT, "208", "5", used=True)],
    ),
    SubmitCase(
        label="an error beside reports: the reports hold",
        items=TWO,
        reply='<package><error>212</error><message><msg id="1" sms_id="5">1</msg></message></package>',
        expected=[sent(1, "5", None)],
    ),
    SubmitCase(
        label="an error beside a job: they have it",
        account=ASYNC,
        reply=f"<package><error>212</error><message-async><job>{TASK}</job></message-async></package>",
        expected=JobTaken(TASK),
    ),
    SubmitCase(
        label="reports in answer to message-async",
        account=ASYNC,
        items=TWO,
        reply='<package><message-async><msg id="1" sms_id="5">1</msg></message-async></package>',
        expected=[sent(1, "5", None)],
    ),
    SubmitCase(
        label="an empty answer to message-async",
        account=ASYNC,
        reply="<package><message-async/></package>",
        expected=[],
    ),
    *(
        SubmitCase(
            label=f"{label} is no job",
            account=ASYNC,
            reply=f"<package><message-async>{job}</message-async></package>",
            expected=UNREADABLE,
        )
        for label, job in (
            ("an empty one", "<job/>"),
            ("one of 65 characters", f"<job>{'a' * 65}</job>"),
            ("one with blanks in it", "<job>a b</job>"),
            ("one in Cyrillic", "<job>задача</job>"),
            ("one of two", "<job>a</job><job>b</job>"),
            ("trap 7: a report on a job", "<job><progress>0</progress><status>WAITING</status></job>"),
        )
    ),
    SubmitCase(
        label="a job of 64 characters",
        account=ASYNC,
        reply=f"<package><message-async><job> {'a' * 64}\n</job></message-async></package>",
        expected=JobTaken("a" * 64),
    ),
    *(
        SubmitCase(
            label=f"trap 1 and section 1: {label}", items=ONE, reply=reply, expected=[sent(1, "5", None)]
        )
        for label, reply in (
            ("a byte order mark", b"\xef\xbb\xbf" + message('<msg id="1" sms_id="5">1</msg>').encode()),
            ("UTF-16", message('<msg id="1" sms_id="5">1</msg>').encode("utf-16")),
            (
                "blank lines before the declaration",
                '\n\n<?xml version="1.0"?>' + message('<msg id="1" sms_id="5">1</msg>'),
            ),
            (
                "an encoding that is not so",
                '<?xml version="1.0" encoding="utf-16"?>' + message('<msg id="1" sms_id="5">1</msg>'),
            ),
            (
                "an encoding that does not exist",
                '<?xml version="1.0" encoding="sorry"?>' + message('<msg id="1" sms_id="5">1</msg>'),
            ),
            (
                "ASCII that is not",
                '<?xml version="1.0" encoding="us-ascii"?>'
                + message('<!-- ї --><msg id="1" sms_id="5">1</msg>'),
            ),
            ("comments", message('<!-- x --><msg id="1" sms_id="5"><!-- x -->1<!-- y --></msg>')),
            ("a processing instruction", message('<?x y?><msg id="1" sms_id="5">1</msg>')),
            ("a CDATA section", message('<msg id="1" sms_id="5"><![CDATA[1]]></msg>')),
            ("a character reference", message('<msg id="1" sms_id="5">&#49;</msg>')),
        )
    ),
    SubmitCase(
        label="3.1 the sample: a time to leave and an end of validity, written with their offset",
        items=(sms(700002, "See you at ten", recipient="+380931110002", send_at=AT_9_30, valid_until=AT_21),),
        request="""<package key="0f3c-secret-key-e9"><message>
            <msg id="700002" recipient="+380931110002" sender="ShopNews" type="0"
              date_beg="2031-03-04T09:30:00+02:00" date_end="2031-03-04T21:00:00+02:00">See you at ten</msg>
          </message></package>""",
        reply=message('<msg id="700002" sms_id="55120342" sms_count="1">1</msg>'),
        expected=[sent(700002, "55120342")],
    ),
    SubmitCase(
        label="3.2 a job with dates; trap 12: an end without a beginning; never before its time",
        account=ASYNC,
        items=(
            sms(1, send_at=datetime(2031, 7, 4, 6, 29, 59, 1, tzinfo=UTC)),
            sms(2, valid_until=AT_21 - timedelta(seconds=0.999)),
        ),
        request="""<package key="0f3c-secret-key-e9"><message-async>
            <msg id="1" recipient="+380931110001" sender="ShopNews" type="0"
              date_beg="2031-07-04T09:30:00+03:00">Your order is ready</msg>
            <msg id="2" recipient="+380931110002" sender="ShopNews" type="0"
              date_end="2031-03-04T21:00:00+02:00">Your order is ready</msg>
          </message-async></package>""",
        reply=f"<package><message-async><job>{TASK}</job></message-async></package>",
        expected=JobTaken(TASK),
    ),
    SubmitCase(
        label="dates are written in the account's zone",
        account=Account("https://alphasms.example", key=KEY, zone=zone("Asia/Tokyo")),
        items=(sms(1, send_at=AT_9_30),),
        request="""<package key="0f3c-secret-key-e9"><message>
            <msg id="1" recipient="+380931110001" sender="ShopNews" type="0"
              date_beg="2031-03-04T16:30:00+09:00">Your order is ready</msg>
          </message></package>""",
        reply=message('<msg id="1" sms_id="9" sms_count="1">1</msg>'),
        expected=[sent(1, "9")],
    ),
    SubmitCase(
        label="the hour that comes twice is told apart by its offset",
        items=(
            sms(1, send_at=datetime(2026, 10, 25, 0, 50, tzinfo=UTC)),
            sms(2, valid_until=datetime(2026, 10, 25, 1, 20, tzinfo=UTC)),
        ),
        request="""<package key="0f3c-secret-key-e9"><message>
            <msg id="1" recipient="+380931110001" sender="ShopNews" type="0"
              date_beg="2026-10-25T03:50:00+03:00">Your order is ready</msg>
            <msg id="2" recipient="+380931110002" sender="ShopNews" type="0"
              date_end="2026-10-25T03:20:00+02:00">Your order is ready</msg>
          </message></package>""",
        reply=message('<msg id="1" sms_id="9" sms_count="1">1</msg><msg id="2" sms_id="8">1</msg>'),
        expected=[sent(1, "9"), sent(2, "8", None)],
    ),
    SubmitCase(
        label="WAP-push: a link, with a text or without one",
        items=(
            sms(1, "Your ticket", kind="wap", url="https://shop.example/t?id=18&x=<1>"),
            sms(2, "", kind="wap", url="https://shop.example/18"),
        ),
        request="""<package key="0f3c-secret-key-e9"><message>
            <msg id="1" recipient="+380931110001" sender="ShopNews" type="2"
              url="https://shop.example/t?id=18&amp;x=&lt;1>">Your ticket</msg>
            <msg id="2" recipient="+380931110002" sender="ShopNews" type="2"
              url="https://shop.example/18"></msg>
          </message></package>""",
        reply=message('<msg id="1" sms_id="9" sms_count="1">1</msg><msg id="2" sms_id="0">204</msg>'),
        expected=[sent(1, "9"), rejected(2, "204")],
    ),
    *(
        SubmitCase(
            label=f"3.8 Viber, {mode}: child elements; a text, a picture, a picture with a button",
            account=account,
            items=(
                sms(1, "Order 18 & <more>", kind="viber", sender="Shop Viber"),
                sms(2, "Замовлення 18", kind="viber", image=PICTURE, send_at=AT_9_30, valid_until=AT_21),
                sms(3, "Order", kind="viber", image=PICTURE, button="Open", url="https://shop.example/?a&b"),
            ),
            request="""<package key="0f3c-secret-key-e9"><message-viber>
                <msg id="1"><phone>+380931110001</phone><sender>Shop Viber</sender><type>text</type>
                  <text>Order 18 &amp; &lt;more></text></msg>
                <msg id="2" date_beg="2031-03-04T09:30:00+02:00"><phone>+380931110002</phone>
                  <sender>ShopNews</sender><type>image</type><text>Замовлення 18</text>
                  <image>https://shop.example/18.png</image></msg>
                <msg id="3"><phone>+380931110003</phone><sender>ShopNews</sender><type>button</type>
                  <text>Order</text><image>https://shop.example/18.png</image><button>Open</button>
                  <url>https://shop.example/?a&amp;b</url></msg>
              </message-viber></package>""",
            reply=viber(
                '<msg id="1" msg_id="551">1</msg><msg id="2" msg_id="0">202</msg>'
                '<msg id="3" msg_id="0">208</msg>'
            ),
            expected=[sent(1, "551", None), rejected(2, "202"), used(3)],
        )
        for mode, account in (("sync", SYNC), ("async", ASYNC))
    ),
    *(
        SubmitCase(
            label=f"Viber, message code {code}",
            items=VIBER_ONE,
            reply=viber(f'<msg id="1" msg_id="0">{code}</msg>'),
            expected=[StatusReport(1, status_, code, failure=failure, used=code == "208")],
        )
        for code, (status_, failure) in REFUSALS.items()
    ),
    *(
        SubmitCase(label=f"Viber, error {code}", items=VIBER_ONE, reply=error(code), expected=f.because(code))
        for code, f in ERRORS.items()
    ),
    *(
        SubmitCase(
            label=f"Viber, {code} for a message that has a number: they cannot lack it",
            items=VIBER_ONE,
            reply=viber(f'<msg id="1" msg_id="5">{code}</msg>'),
            expected=[StatusReport(1, Status.IN_DOUBT, code, "5", strange=True)],
        )
        for code in ("201", "202", "203", "204", "205", "206", "207", "212")
    ),
    *(
        SubmitCase(
            label=f"trap 5: Viber, {label}",
            items=VIBER_ONE,
            reply=viber(f'<msg id="1" {numbers}>1</msg>'),
            expected=[sent(1, number, None)],
        )
        for label, numbers, number in (
            ("0 is none", 'msg_id="0"', ""),
            ("none at all", "", ""),
            ("named as for an SMS", 'sms_id="551"', "551"),
            ("both names, one of them none", 'sms_id="0" msg_id="551"', "551"),
            ("no number of theirs", 'msg_id="5 1"', ""),
            ("too long for a number", f'msg_id="{"5" * 65}"', ""),
        )
    ),
    SubmitCase(label="Viber, none at all", items=VIBER_ONE, reply=viber(""), expected=[]),
    SubmitCase(label="HTTP 500 over a good answer", http=500, reply=error("209"), expected=SERVER_ERROR),
    SubmitCase(label="HTTP 404", http=404, reply="", expected=MISDIRECTED),
]


@pytest.mark.parametrize("case", SUBMITS, ids=lambda case: case.label)
def test_submit(case: SubmitCase) -> None:
    run_submit("alphasms-xml", case)


# --- job -----------------------------------------------------------------------------------------------


def job(word: str, progress: str = "37") -> str:
    return f"<package><job><progress>{progress}</progress><status>{word}</status></job></package>"


JOBS = [
    JobCase(
        label="3.3 the sample: running",
        request=f'<package key="0f3c-secret-key-e9"><job>{TASK}</job></package>',
        reply=job("RUNNING"),
        expected=JobReport(JobPhase.RUNNING, "RUNNING"),
    ),
    JobCase(
        label="asked with login and password",
        account=OLDER,
        request=f'<package login="secret-login" password="secret-password"><job>{TASK}</job></package>',
        reply=job("WAITING", "0"),
        expected=JobReport(JobPhase.RUNNING, "WAITING"),
    ),
    JobCase(
        label="trap 8: complete says nothing of messages",
        reply=job("COMPLETE", "100"),
        expected=JobReport(JobPhase.DONE, "COMPLETE"),
    ),
    JobCase(
        label="trap 8: failed is not nothing sent",
        reply=job("FAILED", "50"),
        expected=JobReport(JobPhase.BROKEN, "FAILED"),
    ),
    JobCase(label="not found", reply=job("NOTFOUND", ""), expected=JobReport(JobPhase.GONE, "NOTFOUND")),
    JobCase(
        label="without progress, and blanks about the word",
        reply="<package><job><status>\n COMPLETE </status></job></package>",
        expected=JobReport(JobPhase.DONE, "COMPLETE"),
    ),
    *(
        JobCase(label=f"error {code}", reply=error(code), expected=failure.because(code))
        for code, failure in ERRORS.items()
    ),
    *(
        JobCase(label=label, reply=reply, expected=UNREADABLE)
        for label, reply in (
            ("a word nobody knows", job("PAUSED")),
            ("a word in small letters", job("complete")),
            ("no word", job("")),
            ("trap 7: a bare id", f"<package><job>{TASK}</job></package>"),
            ("trap 7: a bare id that reads like a word", "<package><job>COMPLETE</job></package>"),
            (
                "words that differ",
                "<package><job><status>FAILED</status><status>COMPLETE</status></job></package>",
            ),
            ("the status of nobody knows what", "<package><status>COMPLETE</status></package>"),
            ("the status of messages", status('<msg id="1" sms_id="5">102</msg>')),
            ("nothing", "<package/>"),
            ("an empty body", ""),
            ("a truncated body", job("COMPLETE")[:-5]),
            ("another root", "<job><status>COMPLETE</status></job>"),
        )
    ),
    JobCase(label="HTTP 503", http=503, reply=job("COMPLETE"), expected=SERVER_ERROR),
]


@pytest.mark.parametrize("case", JOBS, ids=lambda case: case.label)
def test_job(case: JobCase) -> None:
    run_job("alphasms-xml", case)


# --- status --------------------------------------------------------------------------------------------

AT_9_31 = datetime(2031, 3, 4, 7, 31, 12, tzinfo=UTC)  # 09:31:12 in Kyiv


def final(code: str, moment: str) -> str:
    return status(f'<msg id="1" sms_id="551" sms_count="1" date_completed="{moment}">{code}</msg>')


STATUSES = [
    StatusCase(
        label="3.4 the sample: one delivered, one waiting for its time",
        asked=(Asked(700001), Asked(700002, "55120342")),
        request="""<package key="0f3c-secret-key-e9"><status>
            <msg id="700001"/><msg id="700002"/>
          </status></package>""",
        reply="""<package><status>
            <msg id="700001" sms_id="55120341" sms_count="1" date_completed="2031-03-04T09:31:12">102</msg>
            <msg id="700002" sms_id="55120342" sms_count="1">100</msg>
          </status></package>""",
        expected=[
            StatusReport(700001, Status.DELIVERED, "102", "55120341", 1, AT_9_31),
            StatusReport(700002, Status.SENT, "100", "55120342", 1),
        ],
    ),
    *(
        StatusCase(
            label=f"delivery code {code}",
            asked=ASKED_ONE,
            reply=status(f'<msg id="1" sms_id="551" sms_count="2">{code}</msg>'),
            expected=[StatusReport(1, status_, code, "551", 2)],
        )
        for code, status_ in DELIVERY.items()
    ),
    *(
        StatusCase(
            label=f"delivery code {code}, completed",
            asked=ASKED_ONE,
            reply=final(code, "2031-03-04T09:31:12"),
            expected=[StatusReport(1, status_, code, "551", 1, AT_9_31)],
        )
        for code, status_ in (DELIVERY | {"106": Status.DELIVERED, "107": Status.UNCONFIRMED}).items()
    ),
    *(
        StatusCase(
            label=f"message code {code}",
            asked=ASKED_ONE,
            reply=status(f'<msg id="1" sms_id="0" sms_count="1">{code}</msg>'),
            expected=[StatusReport(1, status_, code, failure=failure, used=code == "208")],
        )
        for code, (status_, failure) in NO_NEWS.items()
    ),
    *(
        StatusCase(
            label=f"{code}{label}: they do not know it",
            asked=ASKED_ONE,
            reply=status(f'<msg id="1"{attribute}>{code}</msg>'),
            expected=[StatusReport(1, None, code, known=False, failure=failure)],
        )
        for code, failure in DENIALS.items()
        for label, attribute in ((" with number 0", ' sms_id="0"'), (" without a number", ""))
    ),
    *(
        StatusCase(
            label=f"{code} for a message that has a number: they cannot lack it",
            asked=ASKED_ONE,
            reply=status(f'<msg id="1" sms_id="551">{code}</msg>'),
            expected=[no_news(1, code, "551")],
        )
        for code in ("201", "202", "203", "204", "206", "207")
    ),
    StatusCase(
        label="205 is about the account, whatever number the message has",
        asked=ASKED_ONE,
        reply=status('<msg id="1" sms_id="551">205</msg>'),
        expected=[StatusReport(1, None, "205", "551", failure=CREDENTIALS)],
    ),
    *(
        StatusCase(label=f"error {code}", reply=error(code), expected=failure.because(code))
        for code, failure in ERRORS.items()
    ),
    StatusCase(label="an error nobody knows", reply=error("999"), expected=UNREADABLE.because("999")),
    StatusCase(
        label="a code nobody knows",
        asked=ASKED_ONE,
        reply=status('<msg id="1" sms_id="551">999</msg>'),
        expected=[no_news(1, "999", "551")],
    ),
    StatusCase(
        label="a word is no code, DELIVERED included",
        asked=ASKED_ONE,
        reply=status('<msg id="1" sms_id="551">DELIVERED</msg>'),
        expected=[no_news(1, "?", "551")],
    ),
    *(
        StatusCase(
            label=f"trap 2: wrapped in {wrapper}",
            asked=ASKED_ONE,
            reply=f'<package><{wrapper}><msg id="1" sms_id="551">102</msg></{wrapper}></package>',
            expected=[StatusReport(1, Status.DELIVERED, "102", "551")],
        )
        for wrapper in ("message", "status", "delete", "message-viber", "anything")
    ),
    StatusCase(
        label="joined on their number where ours is missing",
        asked=(*ASKED_TWO, Asked(3, "553")),
        reply=status(
            '<msg sms_id="553">102</msg><msg id="" sms_id="551">105</msg>'
            '<msg sms_id="0">102</msg><msg>102</msg>'
        ),
        expected=[
            StatusReport(3, Status.DELIVERED, "102", "553"),
            StatusReport(1, Status.UNDELIVERABLE, "105", "551"),
        ],
    ),
    StatusCase(
        label="a Viber message, by our id and by the number it got as msg_id",
        asked=(*ASKED_TWO, Asked(3, "553")),
        reply=status(
            '<msg id="1" msg_id="551">102</msg><msg id="2" sms_id="552">1</msg><msg msg_id="553">105</msg>'
        ),
        expected=[
            StatusReport(1, Status.DELIVERED, "102", "551"),
            StatusReport(2, Status.SENT, "1", "552"),
            StatusReport(3, Status.UNDELIVERABLE, "105", "553"),
        ],
    ),
    StatusCase(
        label="id 0 is no id",
        asked=ASKED_ONE,
        reply=status('<msg id="0" sms_id="551">102</msg>'),
        expected=[StatusReport(1, Status.DELIVERED, "102", "551")],
    ),
    StatusCase(
        label="an id that is not ours is not ours, whatever its number",
        asked=ASKED_ONE,
        reply=status('<msg id="77" sms_id="551">102</msg>'),
        expected=[],
    ),
    StatusCase(
        label="trap 20: fewer, more and re-ordered",
        asked=(Asked(1), Asked(2), Asked(3)),
        reply=status(
            '<msg id="3" sms_id="553">102</msg><msg id="9">102</msg><msg id="1" sms_id="551">1</msg>'
        ),
        expected=[
            StatusReport(3, Status.DELIVERED, "102", "553"),
            StatusReport(1, Status.SENT, "1", "551"),
        ],
    ),
    StatusCase(label="trap 20: none at all", reply=status(""), expected=[]),
    StatusCase(label="trap 2: none at all, wrapped in message", reply=message(" "), expected=[]),
    StatusCase(
        label="said twice",
        asked=ASKED_ONE,
        reply=status('<msg id="1" sms_id="551">102</msg>' * 2),
        expected=[StatusReport(1, Status.DELIVERED, "102", "551")],
    ),
    StatusCase(
        label="delivered and not",
        asked=ASKED_ONE,
        reply=status('<msg id="1" sms_id="551">102</msg><msg id="1" sms_id="551">105</msg>'),
        expected=[no_news(1, "102")],
    ),
    StatusCase(
        label="known and unknown, once by each number",
        asked=ASKED_ONE,
        reply=status('<msg id="1">201</msg><msg sms_id="551">102</msg>'),
        expected=[no_news(1, "201")],
    ),
    *(
        StatusCase(
            label=f"trap 11: date {moment!r}",
            asked=ASKED_ONE,
            reply=final("102", moment),
            expected=[StatusReport(1, Status.DELIVERED, "102", "551", 1, read)],
        )
        for moment, read in (
            ("2031-03-04T09:31", datetime(2031, 3, 4, 7, 31, 59, tzinfo=UTC)),
            ("2031-03-04 09:31:12", AT_9_31),
            ("2031-03-04T09:31:12Z", AT_9_31 + timedelta(hours=2)),
            ("2031-03-04T09:31:12+02:00", AT_9_31),
            ("2031-03-04T10:31:12+0300", AT_9_31),
            ("2031-07-04T09:31:12", datetime(2031, 7, 4, 6, 31, 12, tzinfo=UTC)),  # summer time
            ("2026-10-25T03:30:00", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),  # comes twice: the second
            ("2026-03-29T03:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),  # never comes
            ("2031-11-31T09:31", None),
            ("0000-00-00 00:00:00", None),
            ("0001-01-01T00:00:00", None),
            ("9999-12-31T23:59:59-10:00", None),
            ("", None),
            ("yesterday", None),
            ("20310304T093112", None),
            ("1712121212312", None),  # milliseconds, which Python takes for a day in 1712
            ("2031-03-04T09:31:12" + "1" * 400, None),
        )
    ),
    StatusCase(
        label="a date without a zone is read in the account's",
        account=Account("https://alphasms.example", key=KEY, zone=zone("Asia/Tokyo")),
        asked=ASKED_ONE,
        reply=final("102", "2031-03-04T09:31:12"),
        expected=[
            StatusReport(1, Status.DELIVERED, "102", "551", 1, datetime(2031, 3, 4, 0, 31, 12, tzinfo=UTC)),
        ],
    ),
    StatusCase(
        label="a date that cannot be read completes nothing",
        asked=ASKED_ONE,
        reply=final("106", "0000-00-00"),
        expected=[StatusReport(1, Status.SENT, "106", "551", 1)],
    ),
    *(
        StatusCase(label=label, reply=reply, expected=UNREADABLE)
        for label, reply in (
            ("an empty body", ""),
            ("a truncated body", final("102", "2031-03-04T09:31:12")[:-3]),
            ("HTML", "<html><body/></html>"),
            ("another root", '<status><msg id="1">201</msg></status>'),
            ("a package with nothing in it: that is not a denial", "<package/>"),
            ("a job's status: that is not a denial either", "<package><status>RUNNING</status></package>"),
            ("a job", job("RUNNING")),
        )
    ),
    StatusCase(label="HTTP 500", http=500, reply=status('<msg id="1">201</msg>'), expected=SERVER_ERROR),
]


@pytest.mark.parametrize("case", STATUSES, ids=lambda case: case.label)
def test_status(case: StatusCase) -> None:
    run_status("alphasms-xml", case)


# --- delete, balance, prices ---------------------------------------------------------------------------


def deleted(content: str) -> str:
    return f"<package><delete>{content}</delete></package>"


def balance(amount: str, currency: str = "<currency>UAH</currency>") -> str:
    return f"<package><balance><amount>{amount}</amount>{currency}</balance></package>"


def prices(content: str) -> str:
    return f"<package><prices>{content}</prices></package>"


UNREADABLE_ANYWHERE = (
    ("an empty body", ""),
    ("HTML", "<html><body/></html>"),
    ("another root", "<balance><amount>1</amount></balance>"),
    ("a package with nothing in it", "<package/>"),
    ("a job", job("RUNNING")),
)

CANCELS = [
    AskCase(
        label="3.5: deleted, too late, delivered before, and scheduled still",
        question="cancel",
        about=[Asked(700001, "551"), Asked(700002), Asked(700003), Asked(700004)],
        request="""<package key="0f3c-secret-key-e9"><delete>
            <msg id="700001"/><msg id="700002"/><msg id="700003"/><msg id="700004"/>
          </delete></package>""",
        reply=deleted(
            '<msg id="700001" sms_id="551" sms_count="1" date_completed="2031-03-04T09:31:12">104</msg>'
            '<msg id="700002" sms_id="552" sms_count="1">211</msg>'
            '<msg id="700003" sms_id="553" sms_count="1" date_completed="2031-03-04T09:31:12">102</msg>'
            '<msg id="700004" sms_id="554" sms_count="1">1</msg>'
        ),
        expected=[
            StatusReport(700001, Status.CANCELLED, "104", "551", 1, AT_9_31),
            StatusReport(700002, None, "211", "552"),
            StatusReport(700003, Status.DELIVERED, "102", "553", 1, AT_9_31),
            StatusReport(700004, Status.SENT, "1", "554", 1),
        ],
    ),
    *(
        AskCase(
            label=f"delete, delivery code {code}",
            question="cancel",
            about=ASKED_ONE,
            reply=deleted(f'<msg id="1" sms_id="551" sms_count="2">{code}</msg>'),
            expected=[StatusReport(1, status_, code, "551", 2)],
        )
        for code, status_ in DELIVERY.items()
    ),
    *(
        AskCase(
            label=f"delete, message code {code}: they did not try",
            question="cancel",
            about=ASKED_ONE,
            reply=deleted(f'<msg id="1" sms_id="0">{code}</msg>'),
            expected=[StatusReport(1, None, code, failure=failure)],
        )
        for code, failure in KEPT.items()
    ),
    *(
        AskCase(
            label=f"delete, message code {code} belongs to a sending",
            question="cancel",
            about=ASKED_ONE,
            reply=deleted(f'<msg id="1" sms_id="0">{code}</msg>'),
            expected=[no_news(1, code)],
        )
        for code in ("202", "203", "204", "208")
    ),
    AskCase(
        label="delete, 211: too late",
        question="cancel",
        about=ASKED_ONE,
        reply=deleted('<msg id="1" sms_id="0">211</msg>'),
        expected=[StatusReport(1, None, "211")],
    ),
    AskCase(
        label="delete, 201: they do not know it",
        question="cancel",
        about=ASKED_ONE,
        reply=deleted('<msg id="1" sms_id="0">201</msg>'),
        expected=[StatusReport(1, None, "201", known=False)],
    ),
    AskCase(
        label="delete, a code nobody knows",
        question="cancel",
        about=ASKED_ONE,
        reply=deleted('<msg id="1" sms_id="0">999</msg>'),
        expected=[no_news(1, "999")],
    ),
    AskCase(
        label="deleted and delivered",
        question="cancel",
        about=ASKED_ONE,
        reply=deleted('<msg id="1" sms_id="551">104</msg><msg id="1" sms_id="551">102</msg>'),
        expected=[no_news(1, "104")],
    ),
    AskCase(
        label="trap 2: the wrapper has any name; some are missing, some are not ours",
        question="cancel",
        about=ASKED_TWO,
        reply=message('<msg id="7">104</msg><msg id="2" sms_id="552">104</msg>'),
        expected=[StatusReport(2, Status.CANCELLED, "104", "552")],
    ),
    AskCase(label="none at all", question="cancel", about=ASKED_ONE, reply=deleted(""), expected=[]),
    *(
        AskCase(
            label=f"delete, error {code}",
            question="cancel",
            about=ASKED_ONE,
            reply=error(code),
            expected=f.because(code),
        )
        for code, f in ERRORS.items()
    ),
    *(
        AskCase(
            label=f"delete, {label}", question="cancel", about=ASKED_ONE, reply=reply, expected=UNREADABLE
        )
        for label, reply in UNREADABLE_ANYWHERE
    ),
]

BALANCES = [
    *(
        AskCase(
            label=f"3.6 an amount of {amount}",
            question="balance",
            request='<package key="0f3c-secret-key-e9"><balance></balance></package>',
            reply=balance(amount),
            expected=Balance(Decimal(read), "UAH"),
        )
        for amount, read in (
            ("164.719700000656", "164.7197"),
            ("-3.2000000000001", "-3.2"),
            ("0", "0"),
            ("12", "12"),
            (" 12.5\n", "12.5"),
            ("1.0E-6", "0"),
            ("123456789012345.99996", "123456789012346"),
        )
    ),
    *(
        AskCase(
            label=f"a currency of {currency!r} is none",
            question="balance",
            reply=balance("1", currency),
            expected=Balance(Decimal(1)),
        )
        for currency in ("", "<currency/>", "<currency>hryvnia</currency>", "<currency>€</currency>")
    ),
    *(
        AskCase(
            label=f"an amount of {amount!r} is none",
            question="balance",
            reply=balance(amount),
            expected=UNREADABLE,
        )
        for amount in ("", "NaN", "Infinity", "1,5", "1e99", "--1", "٣", "1" * 16, "1</amount><amount>2")
    ),
    *(
        AskCase(
            label=f"balance, error {code}", question="balance", reply=error(code), expected=f.because(code)
        )
        for code, f in ERRORS.items()
    ),
    *(
        AskCase(label=f"balance, {label}", question="balance", reply=reply, expected=UNREADABLE)
        for label, reply in UNREADABLE_ANYWHERE
    ),
]

NUMBERS = ["+380931110001", "+380931110002"]

PRICES = [
    AskCase(
        label="3.7: of one segment; 0 where they do not send",
        question="prices",
        about=NUMBERS,
        request="""<package key="0f3c-secret-key-e9"><prices>
            <phone>+380931110001</phone><phone>+380931110002</phone>
          </prices></package>""",
        reply=prices(
            '<phone price="0.91" currency="UAH">+380931110001</phone>'
            '<phone price="0" currency="UAH">+380931110002</phone>'
        ),
        expected={NUMBERS[0]: Price(Decimal("0.91"), "UAH"), NUMBERS[1]: Price(Decimal(0), "UAH")},
    ),
    AskCase(
        label="without the plus, re-ordered, with one of somebody else and one without a price",
        question="prices",
        about=[*NUMBERS, "+380931110003"],
        reply=prices(
            '<phone price="0.5">380931110002</phone><phone price="1">+1555</phone>'
            '<phone price="0.910000000001" currency="uah"> 380931110001 </phone>'
            "<phone>+380931110003</phone>"
        ),
        expected={NUMBERS[0]: Price(Decimal("0.91")), NUMBERS[1]: Price(Decimal("0.5"))},
    ),
    AskCase(
        label="by the number as it is dialled in Ukraine",
        question="prices",
        about=NUMBERS,
        reply=prices('<phone price="0.91" currency="UAH">0931110001</phone>'),
        expected={NUMBERS[0]: Price(Decimal("0.91"), "UAH")},
    ),
    AskCase(
        label="the same price twice is a price, two prices are none",
        question="prices",
        about=NUMBERS,
        reply=prices(
            '<phone price="1">+380931110001</phone><phone price="1.0">+380931110001</phone>'
            '<phone price="1">+380931110002</phone><phone price="2">+380931110002</phone>'
        ),
        expected={NUMBERS[0]: Price(Decimal(1))},
    ),
    *(
        AskCase(
            label=f"a price of {price!r} is none",
            question="prices",
            about=NUMBERS,
            reply=prices(f'<phone price="{price}">+380931110001</phone>'),
            expected={},
        )
        for price in ("", "-1", "NaN", "1e99", "free")
    ),
    AskCase(
        label="no prices at all", question="prices", about=NUMBERS, reply=prices(""), expected=UNREADABLE
    ),
    *(
        AskCase(
            label=f"prices, error {code}",
            question="prices",
            about=NUMBERS,
            reply=error(code),
            expected=f.because(code),
        )
        for code, f in ERRORS.items()
    ),
    *(
        AskCase(label=f"prices, {label}", question="prices", about=NUMBERS, reply=reply, expected=UNREADABLE)
        for label, reply in UNREADABLE_ANYWHERE
    ),
]


@pytest.mark.parametrize("case", [*CANCELS, *BALANCES, *PRICES], ids=lambda case: case.label)
def test_what_else_can_be_asked(case: AskCase) -> None:
    run_ask("alphasms-xml", case)


# --- pushes --------------------------------------------------------------------------------------------


def hint(number: str, code: str = "") -> DeliveryReceipt:
    return DeliveryReceipt(number, None, code)


PUSHES = [
    *(
        PushCase(
            label=f"section 8: a form with {name}",
            push=Push(f"{name}=551&status=102".encode(), content_type="application/x-www-form-urlencoded"),
            expected=[hint("551", "102")],
            acknowledged=Acknowledgement(b"OK", "text/plain"),
        )
        for name in ("id", "msg_id", "message_id")
    ),
    *(
        PushCase(
            label=f"section 8: JSON with {name}, a {type(number).__name__}",
            push=Push(json.dumps({name: number, "status": "DELIVERED"}).encode()),
            expected=[hint("551", "DELIVERED")],
        )
        for name in ("id", "msg_id", "message_id")
        for number in ("551", 551)
    ),
    *(
        PushCase(
            label=f"section 8: the query with {name}",
            push=Push(b"", f"{name}=551&status=undeliverable&x="),
            expected=[hint("551", "undeliverable")],
        )
        for name in ("id", "msg_id", "message_id")
    ),
    PushCase(
        label="several in JSON, in their order, each once",
        push=Push(
            b'\xef\xbb\xbf [{"id": 1, "status": 102}, {"id": 2, "status": "x.y"}, {"id": 1, "status": 102}]'
        ),
        expected=[hint("1", "102"), hint("2", "?")],
    ),
    PushCase(
        label="our id and theirs: two hints at one message",
        push=Push(b"id=700001&msg_id=551&status=102"),
        expected=[hint("700001", "102"), hint("551", "102")],
    ),
    PushCase(
        label="without a state",
        push=Push(b"id=551"),
        expected=[hint("551")],
    ),
    PushCase(
        label="what is no state is not repeated",
        push=Push(b"id=551&status=no+%2B380931110001+here"),
        expected=[hint("551", "?")],
    ),
    PushCase(
        label="in the body and in the query", push=Push(b"id=1", "id=2"), expected=[hint("1"), hint("2")]
    ),
    *(
        PushCase(label=f"{label} is no push", push=Push(body, query), expected=UNREADABLE)
        for label, body, query in (
            ("nothing", b"", ""),
            ("an id of 0", b"id=0&status=102", ""),
            ("an id that is empty", b"id=&status=102", ""),
            ("an id with blanks in it", b"id=5+5", ""),
            ("an id of 65 characters", b"id=" + b"5" * 65, ""),
            ("a negative id", b'{"id": -5}', ""),
            ("an id with a point", b'{"id": 5.5}', ""),
            ("true for an id", b'{"id": true}', ""),
            ("a list for an id", b'{"id": [5]}', ""),
            ("JSON that breaks off", b'{"id": 551, "status":', ""),
            ("an array of arrays", b"[[551]]", ""),
            ("an id of five thousand digits", b'{"id": ' + b"9" * 5_000 + b"}", ""),
            ("a hundred thousand levels", b"[" * 100_000, ""),
            ("a thousand names and one", b"&".join(b"a=1" for _ in range(1_001)) + b"&id=551", ""),
            ("two megabytes", b"id=551&text=" + b"x" * 2_097_152, ""),
            ("a query of two megabytes", b"", "id=551&text=" + "x" * 2_097_152),
            ("XML", b"<package><msg id='551'>102</msg></package>", ""),
        )
    ),
]


@pytest.mark.parametrize("case", PUSHES, ids=lambda case: case.label)
def test_push(case: PushCase) -> None:
    run_push("alphasms-xml", case)


# --- what it carries -----------------------------------------------------------------------------------


def an_sms(**others: str) -> Message:
    values = {"client_id": "c1", "recipient": "+380931110001", "sender": "ShopNews", "text": "Ready"}
    return Message.from_dict(values | others)


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": "ElevenChars"},
        {"sender": "38093111000"},
        {"recipient": "+491234567890123"},
        {"text": "a" * 1530},
        {"text": "я" * 670},
        {"kind": "flash", "recipient": "+4915112345678"},
        {"kind": "voice", "recipient": "+380441110001"},
        {"kind": "wap", "text": "", "url": "https://shop.example/" + "1" * 79},
        {"kind": "wap", "url": "https://shop.example/18"},
        {"kind": "viber"},
        {"kind": "viber", "text": "я" * 1000, "sender": "Shop Viber"},
        *(
            {"kind": "viber", "image": f"https://shop.example/1.{end}"}
            for end in ("jpg", "jpeg", "png", "GIF")
        ),
        {"kind": "viber", "image": PICTURE, "button": "O" * 19, "url": "https://shop.example/18"},
        {"send_at": "2031-03-04T09:30:00+02:00", "valid_until": "2031-03-04T21:00:00+02:00"},
        {"kind": "viber", "send_at": "2031-03-04T09:30:00Z", "valid_until": "2031-03-04T21:00:00Z"},
        {"kind": "viber", "send_at": "2031-03-04T09:30:00Z", "valid_until": "2031-03-14T21:00:00Z"},
        {"send_at": "2031-03-04T09:30:00Z", "valid_until": "2031-03-04T09:31:00Z"},
        {"send_at": "2031-03-04T09:30:00Z", "valid_until": "2031-03-09T09:30:00Z"},
        {"valid_until": "2039-01-01T00:00:00Z"},
    ],
    ids=str,
)
def test_a_message_it_carries(changes: dict[str, str]) -> None:
    AlphaSmsXml(SYNC).check(an_sms(**changes))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sender": "TwelveChars."}, "sender"),
        ({"sender": "380931110001"}, "sender"),
        ({"text": "a" * 1531}, "text"),
        ({"text": "я" * 671}, "text"),
        ({"kind": "voice", "recipient": "+4915112345678"}, "recipient"),
        ({"kind": "voice"}, "recipient"),
        ({"kind": "voice", "recipient": "+380800500001"}, "recipient"),
        ({"send_at": "2031-03-04T09:30:00Z", "valid_until": "2031-03-04T09:30:59Z"}, "valid_until"),
        ({"send_at": "2031-03-04T09:30:00Z", "valid_until": "2031-03-09T09:30:01Z"}, "valid_until"),
        ({"kind": "wap", "url": "https://shop.example/" + "1" * 80}, "url"),
        ({"kind": "wap", "url": "https://shop.example/18", "text": "a" * 1531}, "text"),
        ({"kind": "viber", "sender": "TwelveChars."}, "sender"),
        ({"kind": "viber", "image": "https://shop.example/1.webp"}, "image"),
        ({"kind": "viber", "image": PICTURE + "?size=2#top"}, "image"),
        ({"kind": "viber", "image": "https://shop.example/?1.png"}, "image"),
        ({"kind": "viber", "image": "https://shop.png"}, "image"),
        ({"kind": "viber", "image": "https://shop.example/.png/1"}, "image"),
        ({"kind": "viber", "button": "Open", "url": "https://shop.example/18"}, "image"),
        ({"kind": "viber", "viber_valid_until": "2031-03-04T09:30:00Z"}, "viber_valid_until"),
        ({"kind": "ping", "text": ""}, "kind"),
        ({"kind": "vcard", "text": "", "name": "Anna", "cell": "+380931110009"}, "kind"),
        ({"kind": "viber_sms", "sms_text": "Ready"}, "kind"),
    ],
    ids=str,
)
def test_a_message_it_cannot_carry(changes: dict[str, str], field: str) -> None:
    refused = an_sms(**changes)
    with pytest.raises(MessageError, match=rf"^{field}: ") as problem:
        AlphaSmsXml(SYNC).check(refused)
    assert problem.value.field == field
    assert not refused.text or refused.text not in str(problem.value)
    assert refused.recipient not in str(problem.value)


def test_every_kind_of_message_has_a_type_of_theirs() -> None:
    carried = messages_file.TYPES.keys() | set(messages_file.VIBER)
    assert carried == set(Kind) - {Kind.PING, Kind.VCARD, Kind.VIBER_SMS}


def test_the_longest_recipient_fits_their_21_characters() -> None:
    assert len(an_sms(recipient="+491234567890123").recipient) <= 21


@pytest.mark.parametrize(
    ("send_at", "leaves_at", "until", "told"),
    [
        (0, 0, 0, "09:30:00"),
        (0.5, 0.5, 0.5, "09:30:01"),  # as is its time
        (None, 0.3, 0, "09:30:00"),
        (None, 0.3, 0.2, "09:30:00"),  # a second more would be over five days
        (None, 0.3, 0.3, "09:30:00"),  # asked for longer, and cut by the limits
        (None, 2, 0.2, "09:30:01"),
    ],
)
def test_an_end_five_days_ahead_is_not_told_earlier_but_to_keep_their_limit(
    send_at: float | None, leaves_at: float, until: float, told: str
) -> None:
    """Seconds after half past nine; the end five days later."""
    item = sms(
        1,
        send_at=None if send_at is None else AT_9_30 + timedelta(seconds=send_at),
        valid_until=AT_9_30 + timedelta(days=5, seconds=until),
    )._replace(leaves_at=AT_9_30 + timedelta(seconds=leaves_at))

    [message] = etree.fromstring(AlphaSmsXml(ASYNC).submit([item]).body).iter("msg")

    assert message.get("date_end") == f"2031-03-09T{told}+02:00"


def test_viber_and_sms_leave_apart() -> None:
    speaker = AlphaSmsXml(ASYNC)
    assert {speaker.apart(kind) for kind in messages_file.TYPES} == {"sms"}
    assert speaker.apart(Kind.VIBER) == "viber"
    with pytest.raises(ValueError, match="unpack"):
        speaker.submit([sms(1), sms(2, kind="viber")])


# --- the schema ----------------------------------------------------------------------------------------

SMS = '<msg id="1" recipient="+380931110001" sender="ShopNews" type="0">A</msg>'
DATED = SMS.replace('type="0"', 'type="0" date_beg="2031-03-04T09:30:00+02:00"')
VIBER = '<msg id="1"><phone>+380931110001</phone><sender>S</sender><type>text</type><text>A</text></msg>'


@pytest.mark.parametrize(
    ("command", "content"),
    [
        ("message", ""),
        ("message", SMS.replace(' id="1"', "")),
        ("message", SMS.replace("+", "")),
        ("message", SMS.replace("ShopNews", "TwelveChars.")),
        ("message", SMS.replace('"0"', '"4"')),
        ("message", SMS.replace('"0"', '"2"')),
        ("message", SMS.replace('type="0"', 'type="0" url="https://shop.example"')),
        ("message", SMS.replace(">A<", "><")),
        ("message", SMS.replace('type="0"', 'type="0" hook="https://shop.example"')),
        ("message", DATED.replace("+02:00", "")),
        ("message", DATED.replace("+02:00", "+0200")),
        ("message", DATED.replace("09:30:00", "09:30")),
        ("message", VIBER),
        ("message-viber", SMS),
        ("message-viber", VIBER.replace(">text<", ">button<")),
        ("message-viber", VIBER.replace("</text>", "</text><image>https://shop.example/1.png</image>")),
        ("message-viber", VIBER.replace("<type>text</type>", "")),
        ("message-viber", VIBER.replace('id="1"', 'id="1" date_end="2031-03-04T09:30:00+02:00"')),
        ("message-viber", VIBER.replace(">A<", f">{'A' * 1001}<")),
        ("status", SMS),
        ("status", '<msg id="1" sms_id="551"/>'),
        ("status", '<msg id="0"/>'),
        ("delete", ""),
        ("job", "a" * 65),
        ("job", "<status>RUNNING</status>"),
        ("balance", "<amount/>"),
        ("prices", "380931110001"),
        ("send", SMS),
        ("message", f"{SMS}</message><message>{SMS}"),
    ],
)
def test_the_schema_refuses_what_the_sheet_does_not_have(command: str, content: str) -> None:
    schema = etree.RelaxNG(etree.parse(SCHEMAS / "alphasms-xml.rng"))
    good = {"message": SMS, "message-viber": VIBER, "status": '<msg id="1"/>', "balance": ""}.get(command)
    assert good is None or schema(
        etree.fromstring(f'<package key="k"><{command}>{good}</{command}></package>')
    )
    assert not schema(etree.fromstring(f'<package key="k"><{command}>{content}</{command}></package>'))


# --- the account ---------------------------------------------------------------------------------------


def with_options(**options: str) -> AlphaSmsXml:
    return AlphaSmsXml(Account("https://alphasms.example/", key=KEY, options=options))


@pytest.mark.parametrize(
    ("account", "limits"),
    [
        (SYNC, (100, 1_048_576)),
        (ASYNC, (1000, 1_048_576)),
        (replace(ASYNC, package_items=7, package_bytes=5000), (7, 5000)),
    ],
    ids=str,
)
def test_limits(account: Account, limits: tuple[int, int]) -> None:
    items, octets = limits
    shortest, longest = timedelta(seconds=90), timedelta(days=5)
    assert AlphaSmsXml(account).limits == Limits(items, octets, shortest=shortest, longest=longest)


def test_status_items_and_what_it_can_do() -> None:
    speaker = AlphaSmsXml(replace(SYNC, status_items=50))
    assert speaker.status_items == 50
    assert speaker.doubt is DoubtPolicy.ASK
    assert isinstance(speaker, Statuses)
    assert isinstance(speaker, Schedules)
    assert isinstance(speaker, Jobs)
    assert speaker.job_kept < timedelta(hours=12), "they forget a job after twelve hours"


def test_what_their_page_leaves_open_is_a_setting() -> None:
    digits = with_options(number_format="digits")
    assert b' recipient="380931110001" ' in digits.submit([sms(1)]).body
    assert b"<phone>380931110001</phone>" in digits.submit([sms(1, kind="viber")]).body
    assert b"<phone>380931110001</phone>" in digits.prices(["+380931110001"]).body
    button = sms(1, kind="viber", image=PICTURE, button="Open", url="https://shop.example/18")
    assert b"<type>image</type>" in with_options(viber_button="image").submit([button]).body


def test_the_address_has_one_slash_and_no_secret() -> None:
    for account in SAMPLE.accounts:
        speaker = AlphaSmsXml(account)
        requests = (speaker.submit(ONE), speaker.status(ASKED_ONE), speaker.job(TASK))
        assert {request.url for request in requests} == {"https://alphasms.example/api/xml.php"}
    assert with_options().submit(ONE).url == "https://alphasms.example/api/xml.php"


@pytest.mark.parametrize(
    ("account", "named"),
    [
        (Account("https://alphasms.example"), "key"),
        (Account("https://alphasms.example", login="secret-login"), "password"),
        (
            replace(SYNC, options={"number_format": "+"}),
            "number_format must be one of plus, digits, got '\\+'",
        ),
        (replace(SYNC, options={"viber_button": "link"}), "viber_button must be one of button, image"),
    ],
    ids=str,
)
def test_an_account_it_cannot_speak_for(account: Account, named: str) -> None:
    with pytest.raises(ValueError, match=named) as problem:
        AlphaSmsXml(account)
    assert not any(secret in str(problem.value) for secret in account.secrets)


def test_failures_it_makes_are_known_to_the_stages() -> None:
    tables = (codes_file.SUBMITTED, codes_file.REPORTED, codes_file.WITHDRAWN)
    words = {word.failure for words in tables for word in words.table.values() if word.failure}
    assert words | set(ERRORS.values()) <= {CREDENTIALS, MALFORMED, MONEY, SERVER_ERROR, THROTTLED}
    assert all(isinstance(failure, Failure) for failure in words)
