"""webcom.mobi XML, as tables. Samples, texts and traps are those of the protocol sheet, by section."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from lxml import etree

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.package import Limits, OutboundMessage, fitting
from bulk_dispatch.domain.status import Status
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.providers.account import Balance, Balances, Scheduled, Scheduling, StopLists
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
    Cancels,
    Clocks,
    Push,
    Receipts,
    Request,
    Schedules,
    Statuses,
    StatusReport,
)
from bulk_dispatch.providers.webcom import error_texts as texts_file
from bulk_dispatch.providers.webcom.messages import TYPES
from bulk_dispatch.providers.webcom.xml import WebcomXml
from bulk_dispatch.timezones import zone
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

TOKEN = Account("https://my3.webcom.example", token="k-51-demo-token")
LOGIN = Account("https://my3.webcom.example", login="secret-login", password="secret-password")
TOLD = replace(TOKEN, options={"campaign_name": "1"})
LATIN = replace(TOKEN, options={"transliterate": "1"})
BOTH_TOLD = replace(TOKEN, options={"campaign_name": "1", "transliterate": "1"})
SECURITY = '<security><token value="k-51-demo-token"/></security>'

SHOP = "https://shop.example/18"


# --- the sample for the universal suite ----------------------------------------------------------------

VIBER = sms(
    700006,
    "Order 18 is ready",
    kind="viber",
    sender="ShopVib",
    button="Open it",
    url=SHOP,
    image="https://shop.example/18.png",
)
CARD = sms(
    700005,
    kind="vcard",
    name="Ann Shopper",
    cell="380931119991",
    work="380931119992",
    fax="380931119993",
    email="ann@shop.example",
    url="https://shop.example",
    position="Keeper",
    organization="Shop & Sons",
    post_office_box="Box 18",
    street="Long <Street> 1",
    city="Киев",
    region="Kyiv Oblast",
    postal_code="01001",
    country="Ukraine",
    additional="Knock twice",
)
CASCADE = sms(
    700007,
    "Order 18 is ready",
    kind="viber_sms",
    sender="ShopVib",
    button="Open it",
    url=SHOP,
    sms_text="Order 18 is ready: shop.example/18",
    sms_sender="ShopNews",
)
ITEMS = (
    sms(700001, "Your order 18 is ready"),
    sms(700002, "See you at <ten> & \"bring\" the 'form' ]]>", kind="flash"),
    sms(700003, kind="ping"),
    sms(700004, "Your ticket", kind="wap", url=SHOP),
    CARD,
    VIBER,
    CASCADE,
    sms(700008, "Ваш заказ готов 😀\nдо встречи"),
    sms(700009, "Your order 18 is ready")._replace(campaign="March & <April>"),
)
ON_STOP_LIST = "Phone number is on the stop list"


def theirs(item: OutboundMessage) -> str:
    """The number they give a message."""
    return str(8_400_000 + item.reference)


def answer(texts: Iterable[tuple[OutboundMessage, str]]) -> bytes:
    """An answer as webcom gives it; items count as they stand in the sample."""
    places = {item.reference: str(place) for place, item in enumerate(ITEMS, 1)}
    response = etree.Element("response")
    for item, text in texts:
        taken = {"id_sms": theirs(item), "parts": "1"} if text == "send" else {}
        attributes = {"number_sms": places[item.reference]} | taken
        etree.SubElement(response, "information", attributes).text = text
    return etree.tostring(response, encoding="utf-8", xml_declaration=True)


def states(words: Iterable[tuple[OutboundMessage, str]]) -> bytes:
    """States as they tell them."""
    response = etree.Element("response")
    for item, word in words:
        channel = "viber" if item.kind is Kind.VIBER else "sms"
        attributes = {"id_sms": theirs(item), "time": "2031-03-04 10:31:07", channel: word}
        etree.SubElement(response, "state", attributes).text = word
    return etree.tostring(response, encoding="utf-8", xml_declaration=True)


def read_texts(request: Request) -> list[str]:
    """The texts in a submit request, by `number_sms`; those of kinds without one are empty."""
    found = {}
    for message in etree.fromstring(request.body).iter("message"):
        tag = "text_viber" if message.get("type_send_1") == "viber" else "text"
        text = message.findtext(tag) if message.get("type") not in ("silence", "vcard") else ""
        for abonent in message.iter("abonent"):
            found[int(abonent.attrib["number_sms"])] = text or ""
    return [found[number] for number in sorted(found)]


def spelled(text: str) -> str:
    """Line breaks are written as two characters."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\\n")


SAMPLE = Sample(
    accounts=(TOKEN, LOGIN, BOTH_TOLD),
    items=ITEMS,
    takes="send",
    refuses=ON_STOP_LIST,
    submit_answer=answer,
    texts=read_texts,
    submit_table={fragments[0]: word.status for word, fragments in texts_file.ADMISSIONS},
    status_table=texts_file.STATES,
    receipt_table=texts_file.STATES,
    delivers="deliver",
    status_answer=states,
    answers={
        "balance": b'<response><money currency="RUB">150</money><sms area="Russia">111</sms></response>',
        "cancel": b'<response><scheduled id_sms="9100001">delete</scheduled></response>',
        "clock": b"<response><time>2031-03-04 10:00:05</time></response>",
        "stop_list": b'<response><stop phone="380931110009"/></response>',
        "scheduled": (
            b'<response><phones page="1" num_pages="3"><scheduled id_sms="9100001" phone="380931110001" '
            b'time_send="2031-03-05 09:30"/></phones></response>'
        ),
    },
    pushes=(
        Push(states([(ITEMS[0], "deliver"), (VIBER, "read")]), content_type="text/xml"),
        Push(
            b'<?xml version="1.0"?><request>'
            b'<state id_sms="9100001" time="2031-03-04 10:31:07">deliver</state></request>'
        ),
        Push(b'[{"id_sms": "9100001", "time": "2031-03-04 10:31:07", "state": "deliver"}]'),
    ),
    provider_message_id=theirs,
    spelled=spelled,
    body_decides=(400,),
)


# --- submit: requests ----------------------------------------------------------------------------------

ONE = (sms(700001),)
TWO = (sms(700001, "One"), sms(700002, "Two"))


def moscow(day: int, hour: int, minute: int = 0, second: int = 0) -> datetime:
    """An instant of March 2031 by their clock."""
    return datetime(2031, 3, day, hour, minute, second, tzinfo=UTC) - timedelta(hours=3)


def information(text: str, attributes: str = 'number_sms="1"') -> str:
    return f"<response><information {attributes}>{text}</information></response>"


def taken(text: str = "send") -> str:
    return information(text, 'number_sms="1" id_sms="9100451" parts="2"')


def error(text: str) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?><response><error>{text}</error></response>'


def alone(message: str, abonent: str = "") -> str:
    """The document with this message to the first recipient."""
    return (
        f'<request>{SECURITY}<message {message}<abonent phone="380931110001" number_sms="1" '
        f'client_id_sms="700001"{abonent}/></message></request>'
    )


SMS = 'type_send_1="sms" type="sms"><sender>ShopNews</sender><text>Your order is ready</text>'
VIBER_ONLY = 'type_send_1="viber"><sender_viber>ShopNews</sender_viber><text_viber>Ready</text_viber>'
BOTH = (
    'type_send_1="viber" type_send_2="sms" type="sms"><sender_viber>ShopNews</sender_viber>'
    "<text_viber>Ready</text_viber><sender>ShopNews</sender><text>Your order is ready</text>"
)
SAMPLE_ITEMS = (
    CASCADE._replace(
        reference=700001,
        recipient="+380931110001",
        viber_valid_until=moscow(4, 12),
        valid_until=moscow(5, 9),
    ),
    CASCADE._replace(reference=700002, recipient="+380931110002", send_at=moscow(4, 9, 30)),
    sms(700003, "See you at ten"),
)

REQUESTS = [
    SubmitCase(
        label="2 the sample: two recipients of one content, one of another; a partial failure",
        items=SAMPLE_ITEMS,
        path="/xml",
        request=f"""<request>{SECURITY}
            <message type_send_1="viber" type_send_2="sms" type="sms">
              <sender_viber>ShopVib</sender_viber><text_viber>Order 18 is ready</text_viber>
              <button_viber>Open it</button_viber><action_viber>https://shop.example/18</action_viber>
              <sender>ShopNews</sender><text>Order 18 is ready: shop.example/18</text>
              <abonent phone="380931110001" number_sms="1" client_id_sms="700001"
                       validity_period_viber="2031-03-04 12:00:00" validity_period="2031-03-05 09:00:00"/>
              <abonent phone="380931110002" number_sms="2" client_id_sms="700002"
                       time_send="2031-03-04 09:30"/>
            </message>
            <message type_send_1="sms" type="sms">
              <sender>ShopNews</sender><text>See you at ten</text>
              <abonent phone="380931110003" number_sms="3" client_id_sms="700003"/>
            </message></request>""",
        reply="""<?xml version="1.0" encoding="utf-8"?>
            <response>
              <information number_sms="1" id_sms="9100451" parts="1">send</information>
              <information number_sms="2" id_sms="9100452" parts="1">send</information>
              <information number_sms="3">Phone number is on the stop list</information>
            </response>""",
        expected=[
            StatusReport(700001, Status.SENT, "send", "9100451", 1),
            StatusReport(700002, Status.SENT, "send", "9100452", 1),
            StatusReport(700003, Status.REJECTED, "on the stop list", suppress=True),
        ],
    ),
    SubmitCase(
        label="trap 3: with login and password, and nothing of a token",
        account=LOGIN,
        items=ONE,
        request=alone(SMS).replace(
            SECURITY,
            '<security><login value="secret-login"/><password value="secret-password"/></security>',
        ),
        reply=taken(),
        expected=[StatusReport(700001, Status.SENT, "send", "9100451", 2)],
    ),
    SubmitCase(
        label="the path of the family, with a slash",
        account=Account("https://my3.webcom.example", token="k-51-demo-token", options={"path": "/xml/"}),
        items=ONE,
        path="/xml/",
        reply=taken(),
        expected=[StatusReport(700001, Status.SENT, "send", "9100451", 2)],
    ),
    SubmitCase(
        label="equal contents stand once, wherever they come; numbers do not start again",
        items=(
            sms(1, "A"),
            sms(2, "B"),
            sms(3, "A"),
            sms(4, "A", sender="Other"),
            sms(5, "A", kind="flash"),
            sms(6, "B"),
        ),
        request=f"""<request>{SECURITY}
            <message type_send_1="sms" type="sms"><sender>ShopNews</sender><text>A</text>
              <abonent phone="380931110001" number_sms="1" client_id_sms="1"/>
              <abonent phone="380931110003" number_sms="3" client_id_sms="3"/></message>
            <message type_send_1="sms" type="sms"><sender>ShopNews</sender><text>B</text>
              <abonent phone="380931110002" number_sms="2" client_id_sms="2"/>
              <abonent phone="380931110006" number_sms="6" client_id_sms="6"/></message>
            <message type_send_1="sms" type="sms"><sender>Other</sender><text>A</text>
              <abonent phone="380931110004" number_sms="4" client_id_sms="4"/></message>
            <message type_send_1="sms" type="flashsms"><sender>ShopNews</sender><text>A</text>
              <abonent phone="380931110005" number_sms="5" client_id_sms="5"/></message></request>""",
        reply='<response><information number_sms="6" id_sms="96">send</information></response>',
        expected=[StatusReport(6, Status.SENT, "send", "96")],
    ),
    *(
        SubmitCase(
            label=label,
            items=(item._replace(reference=700001, recipient="+380931110001"),),
            request=alone(message, abonent),
            reply=taken(),
            expected=[StatusReport(700001, Status.SENT, "send", "9100451", 2)],
        )
        for label, item, message, abonent in (
            ("sms", sms(1), SMS, ""),
            ("flash", sms(1, kind="flash"), SMS.replace('"sms">', '"flashsms">'), ""),
            (
                "silence, with a filler nobody sees",
                sms(1, kind="ping"),
                'type_send_1="sms" type="silence"><sender>ShopNews</sender><text>ping</text>',
                "",
            ),
            (
                "wappush",
                ITEMS[3],
                (
                    'type_send_1="sms" type="wappush"><sender>ShopNews</sender><text>Your ticket</text>'
                    "<url>https://shop.example/18</url>"
                ),
                "",
            ),
            (
                "wappush without a text: the link is one",
                sms(1, "", kind="wap", url=SHOP),
                (
                    'type_send_1="sms" type="wappush"><sender>ShopNews</sender>'
                    "<text>https://shop.example/18</text><url>https://shop.example/18</url>"
                ),
                "",
            ),
            (
                "vcard, all of it",
                CARD,
                (
                    'type_send_1="sms" type="vcard"><sender>ShopNews</sender><name>Ann Shopper</name>'
                    '<phone cell="380931119991" work="380931119992" fax="380931119993"/>'
                    "<email>ann@shop.example</email><url>https://shop.example</url>"
                    "<position>Keeper</position><organization>Shop &amp; Sons</organization>"
                    '<address post_office_box="Box 18" street="Long &lt;Street> 1" city="Киев" '
                    'region="Kyiv Oblast" postal_code="01001" country="Ukraine"/>'
                    "<additional>Knock twice</additional>"
                ),
                "",
            ),
            (
                "vcard, the least of it",
                sms(1, kind="vcard", name="Ann", fax="380931119993"),
                (
                    'type_send_1="sms" type="vcard"><sender>ShopNews</sender><name>Ann</name>'
                    '<phone fax="380931119993"/>'
                ),
                "",
            ),
            ("viber", sms(1, "Ready", kind="viber"), VIBER_ONLY, ""),
            (
                "viber with a button and a picture",
                VIBER._replace(sender="ShopNews"),
                VIBER_ONLY.replace("Ready", "Order 18 is ready")
                + "<button_viber>Open it</button_viber><action_viber>https://shop.example/18</action_viber>"
                "<image_viber>https://shop.example/18.png</image_viber>",
                "",
            ),
            (
                "viber and sms, of one sender",
                sms(1, "Ready", kind="viber_sms", sms_text="Your order is ready"),
                BOTH,
                "",
            ),
            (
                "8 when it leaves, without seconds and never too early",
                sms(1, send_at=moscow(4, 12, 30, 1)),
                SMS,
                ' time_send="2031-03-04 12:31"',
            ),
            (
                "8 until when, with seconds",
                sms(1, valid_until=moscow(5, 1, 2, 3)),
                SMS,
                ' validity_period="2031-03-05 01:02:03"',
            ),
            (
                "8 until when, never too early",
                sms(1, valid_until=moscow(5, 1, 2, 3) - timedelta(seconds=0.9)),
                SMS,
                ' validity_period="2031-03-05 01:02:03"',
            ),
            (
                "viber alone ends with the message",
                sms(1, "Ready", kind="viber", valid_until=moscow(4, 12)),
                VIBER_ONLY,
                ' validity_period_viber="2031-03-04 12:00:00"',
            ),
            (
                "viber ends with whatever comes first",
                sms(
                    1,
                    "Ready",
                    kind="viber",
                    valid_until=moscow(4, 12),
                    viber_valid_until=moscow(4, 11, 59, 59),
                ),
                VIBER_ONLY,
                ' validity_period_viber="2031-03-04 11:59:59"',
            ),
            (
                "viber takes a day anyway",
                sms(
                    1,
                    "Ready",
                    kind="viber_sms",
                    sms_text="Your order is ready",
                    viber_valid_until=NOW + timedelta(days=1),
                ),
                BOTH,
                "",
            ),
            (
                "a message that ends, ends on both channels",
                sms(
                    1,
                    "Ready",
                    kind="viber_sms",
                    sms_text="Your order is ready",
                    valid_until=moscow(4, 23),
                ),
                BOTH,
                ' validity_period_viber="2031-03-04 23:00:00" validity_period="2031-03-04 23:00:00"',
            ),
        )
    ),
    SubmitCase(
        label="2 campaigns they are told of: one text of two campaigns is two messages",
        account=TOLD,
        items=(
            sms(1, "A")._replace(campaign="March"),
            sms(2, "A"),
            sms(3, "A")._replace(campaign="April & <May>"),
            sms(4, "A")._replace(campaign="March"),
            sms(5, "A"),
        ),
        request=f"""<request>{SECURITY}
            <message type_send_1="sms" type="sms"><sender>ShopNews</sender><text>A</text>
              <name_delivery>March</name_delivery>
              <abonent phone="380931110001" number_sms="1" client_id_sms="1"/>
              <abonent phone="380931110004" number_sms="4" client_id_sms="4"/></message>
            <message type_send_1="sms" type="sms"><sender>ShopNews</sender><text>A</text>
              <abonent phone="380931110002" number_sms="2" client_id_sms="2"/>
              <abonent phone="380931110005" number_sms="5" client_id_sms="5"/></message>
            <message type_send_1="sms" type="sms"><sender>ShopNews</sender><text>A</text>
              <name_delivery>April &amp; &lt;May></name_delivery>
              <abonent phone="380931110003" number_sms="3" client_id_sms="3"/></message></request>""",
        reply='<response><information number_sms="3" id_sms="93">send</information></response>',
        expected=[StatusReport(3, Status.SENT, "send", "93")],
    ),
    SubmitCase(
        label="2 campaigns they are not told of: one text is one message",
        items=(sms(1, "A")._replace(campaign="March"), sms(2, "A"), sms(3, "A")._replace(campaign="April")),
        request=f"""<request>{SECURITY}
            <message type_send_1="sms" type="sms"><sender>ShopNews</sender><text>A</text>
              <abonent phone="380931110001" number_sms="1" client_id_sms="1"/>
              <abonent phone="380931110002" number_sms="2" client_id_sms="2"/>
              <abonent phone="380931110003" number_sms="3" client_id_sms="3"/></message></request>""",
        reply='<response><information number_sms="3" id_sms="93">send</information></response>',
        expected=[StatusReport(3, Status.SENT, "send", "93")],
    ),
    *(
        SubmitCase(
            label=label,
            account=account,
            items=(item._replace(reference=700001, recipient="+380931110001", campaign="March"),),
            request=alone(message),
            reply=taken(),
            expected=[StatusReport(700001, Status.SENT, "send", "9100451", 2)],
        )
        for label, account, item, message in (
            ("2 Latin in place of Cyrillic", LATIN, sms(1), f"{SMS}<translite>1</translite>"),
            (
                "Latin in the SMS that follows Viber",
                LATIN,
                sms(1, "Ready", kind="viber_sms", sms_text="Your order is ready"),
                f"{BOTH}<translite>1</translite>",
            ),
            (
                "Latin on a card",
                LATIN,
                sms(1, kind="vcard", name="Ann", fax="380931119993"),
                (
                    'type_send_1="sms" type="vcard"><sender>ShopNews</sender><name>Ann</name>'
                    '<phone fax="380931119993"/><translite>1</translite>'
                ),
            ),
            ("Viber alone is read as it was written", LATIN, sms(1, "Ready", kind="viber"), VIBER_ONLY),
            (
                "the campaign of a Viber message",
                BOTH_TOLD,
                sms(1, "Ready", kind="viber"),
                f"{VIBER_ONLY}<name_delivery>March</name_delivery>",
            ),
            (
                "a campaign, and Latin",
                BOTH_TOLD,
                sms(1),
                f"{SMS}<name_delivery>March</name_delivery><translite>1</translite>",
            ),
        )
    ),
    SubmitCase(
        label="trap 12: in the zone of the account",
        account=Account("https://my3.webcom.example", token="k-51-demo-token", zone=zone("Asia/Tokyo")),
        items=(sms(700001, send_at=moscow(4, 22, 30), valid_until=moscow(4, 23, 30)),),
        request=alone(SMS, ' time_send="2031-03-05 04:30" validity_period="2031-03-05 05:30:00"'),
        reply=taken(),
        expected=[StatusReport(700001, Status.SENT, "send", "9100451", 2)],
    ),
    *(
        SubmitCase(
            label=f"in the hour that comes twice, {label}",
            account=replace(TOKEN, zone=zone("Europe/Kyiv")),
            items=(item._replace(reference=700001, recipient="+380931110001"),),
            request=alone(message, abonent),
            reply=taken(),
            expected=[StatusReport(700001, Status.SENT, "send", "9100451", 2)],
        )
        for label, item, message, abonent in (
            (
                "an end is that of the hour",
                sms(1, valid_until=datetime(2026, 10, 25, 1, 20, tzinfo=UTC)),
                SMS,
                ' validity_period="2026-10-25 04:00:00"',
            ),
            (
                "so it is where it would come first",
                sms(1, valid_until=datetime(2026, 10, 25, 0, 0, tzinfo=UTC)),
                SMS,
                ' validity_period="2026-10-25 04:00:00"',
            ),
            (
                "and not a second before it, or after it",
                sms(
                    1,
                    send_at=datetime(2026, 10, 24, 23, 59, tzinfo=UTC),
                    valid_until=datetime(2026, 10, 25, 2, 0, 1, tzinfo=UTC),
                ),
                SMS,
                ' time_send="2026-10-25 02:59" validity_period="2026-10-25 04:00:01"',
            ),
            (
                "Viber's too",
                sms(
                    1,
                    "Ready",
                    kind="viber",
                    viber_valid_until=datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
                )._replace(leaves_at=datetime(2026, 10, 24, 23, tzinfo=UTC)),
                VIBER_ONLY,
                ' validity_period_viber="2026-10-25 04:00:00"',
            ),
            (
                "a time to leave is never too early, should one come to be told",
                sms(1, send_at=datetime(2026, 10, 24, 23, 59, 30, tzinfo=UTC)),
                SMS,
                ' time_send="2026-10-25 04:00"',
            ),
            (
                "and in the one that does not come, all is as it is shown there",
                sms(
                    1,
                    send_at=datetime(2026, 3, 29, 0, 59, 30, tzinfo=UTC),
                    valid_until=datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
                ),
                SMS,
                ' time_send="2026-03-29 04:00" validity_period="2026-03-29 04:30:00"',
            ),
        )
    ),
    SubmitCase(
        label="trap 16: a line break is two characters",
        items=(sms(700001, "One\ntwo\r\nthree\rfour"),),
        request=alone(SMS.replace("Your order is ready", r"One\ntwo\nthree\nfour")),
        reply=taken(),
        expected=[StatusReport(700001, Status.SENT, "send", "9100451", 2)],
    ),
]


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.label)
def test_what_is_sent(case: SubmitCase) -> None:
    run_submit("webcom-xml", case)


def test_documents_and_acknowledgements_hold_no_line_break() -> None:
    speaker = WebcomXml(TOKEN)
    bodies = [speaker.submit(ITEMS).body, speaker.acknowledge([DeliveryReceipt("1", None)]).body]
    assert not [body for body in bodies if b"\n" in body or b"\r" in body or b"&#1" in body]


def test_the_sample_of_the_sheet_fits_the_schema_and_its_mistakes_do_not() -> None:
    schema = etree.RelaxNG(etree.parse(Path(__file__).parent / "schemas" / "webcom-xml.rng"))
    items = [item._replace(campaign="March") for item in SAMPLE_ITEMS]
    good = WebcomXml(BOTH_TOLD).submit(items).body.decode()
    assert schema.validate(etree.fromstring(good.encode()))
    for ours, wrong in (
        ('phone="', 'phone="+'),
        ('time_send="2031-03-04 09:30"', 'time_send="2031-03-04 09:30:00"'),
        ('validity_period="2031-03-05 09:00:00"', 'validity_period="2031-03-05T09:00:00"'),
        ("<text>See you at ten</text>", "<text>See you\nat ten</text>"),
        ("<text>See you at ten</text>", ""),
        ('client_id_sms="700003"', 'client_id_sms="c-3"'),
        ("</security>", "</security><balance/>"),
        ("<token", '<login value="me"/><token'),
        ('type_send_2="sms"', ""),
        ("<translite>1<", "<translite>true<"),
        ("<name_delivery>March<", "<name_delivery><"),
    ):
        assert ours in good
        assert not schema.validate(etree.fromstring(good.replace(ours, wrong).encode())), wrong


# --- submit: answers -----------------------------------------------------------------------------------

DOCUMENT_ERRORS = [
    ("Incorrect XML document format", MALFORMED, "incorrect xml document format"),
    ("Неправильный формат XML документа", MALFORMED, "incorrect xml document format"),
    ("Incorrect login or password", CREDENTIALS, "incorrect login or password"),
    ("Неправильный логин или пароль", CREDENTIALS, "incorrect login or password"),
    ("Неправильный логин или", CREDENTIALS, "incorrect login or password"),
    ("POST data is missing", MISDIRECTED, "post data is missing"),
    ("POST данные отсутствуют", MISDIRECTED, "post data is missing"),
    ("Your account is blocked", CREDENTIALS, "account is blocked"),
    ("Ваш аккаунт заблокирован", CREDENTIALS, "account is blocked"),
    ("An error nobody knows", UNREADABLE, "?"),
    ("More than one identical request within a minute", UNREADABLE, "?"),
    ("", UNREADABLE, "?"),
]
"""Section 5: `<error>`."""

REJECTING = {
    "specify phone number": ("Specify phone number", "Укажите номер телефона"),
    "this destination is closed for you": (
        "This destination is closed for you",
        "Данное направление закрыто для вас",
    ),
    "this destination is closed": ("This destination is closed", "Данное направление закрыто"),
    "rejected by moderator": (
        "Text of the message is rejected by moderator",
        "Текст сообщения отклонен модератором",
        "Текст сообщения отклонён модератором",
    ),
    "no sender": ("No sender", "Нет отправителя"),
    "sender must not exceed 15 … 11": (
        "Sender must not exceed 15 characters for digits and 11 for letters",
        "Отправитель не должен превышать 15 символов для цифр и 11 для букв",
    ),
    "phone number must be less than 15": (
        "Phone number must be less than 15 characters",
        "Номер телефона должен быть меньше 15 символов",
    ),
    "no message text": ("No message text", "Нет текста сообщения"),
    "no link": ("No link", "Нет ссылки"),
    "contact name and at least one parameter": (
        "Specify the contact name and at least one parameter",
        "Укажите название контакта и хотя бы один параметр",
    ),
    "there is no such sender": ("There is no such sender", "Такого отправителя нет"),
    "sender has not been moderated": (
        "Sender has not been moderated",
        "Отправитель не прошел модерацию",
        "Отправитель не прошёл модерацию",
    ),
}
"""Section 5, `<information>`: refused for the message's own sake. The stop list has cases of its own."""

OTHER_TEXTS = {
    "we have run out of sms": (
        Status.QUEUED,
        MONEY,
        (
            "We have run out of SMS. Please, contact your manager",
            "У нас закончились SMS. Обратитесь к менеджеру",
        ),
    ),
    "out of sms": (Status.QUEUED, MONEY, ("You are out of SMS", "Закончились SMS")),
    "account blocked": (
        Status.QUEUED,
        CREDENTIALS,
        ("Account blocked", "Your account is blocked", "Аккаунт заблокирован"),
    ),
    "insufficient funds … will be sent": (
        Status.SENT,
        MONEY,
        (
            "Insufficient funds. The message will be sent once you top up your account",
            "Недостаточно средств. SMS будет отправлена после пополнения",
        ),
    ),
    "already sent": (
        Status.SENT,
        None,
        ("This message has already been sent", "Already sent", "Данное сообщение уже было отправлено"),
    ),
    "more than one identical request": (
        Status.IN_DOUBT,  # of the copy that came before it
        THROTTLED,
        (
            "More than one identical request within a minute",
            "Более одного одинакового запроса в течение минуты",
        ),
    ),
}
"""The others: of the account, and those that are no refusals."""

RECIPIENT_TEXTS: list[tuple[str, str, Status, Failure | None]] = [
    *((text, code, Status.REJECTED, None) for code, said in REJECTING.items() for text in said),
    *(
        (text, code, status, failure)
        for code, (status, failure, said) in OTHER_TEXTS.items()
        for text in said
    ),
]

SHAPES: list[Callable[[str], str]] = [
    str,
    str.upper,
    str.lower,
    lambda text: f"\n {text}. ",
    lambda text: text.replace(" ", "\n  "),
]


def lost(reference: int = 700001, code: str = "send") -> StatusReport:
    return StatusReport(reference, Status.IN_DOUBT, code, strange=True)


ANSWERS = [
    *(
        SubmitCase(
            label=f"{http} {text or 'an empty error'}", http=http, reply=error(shape(text)), expected=expected
        )
        for text, failure, code in DOCUMENT_ERRORS
        for expected in [failure.because(code=code)]
        for http in (400, 200)  # trap 8
        for shape in SHAPES
    ),
    *(
        SubmitCase(
            label=f"trap 9: {shape(text)!r}",
            items=ONE,
            reply=information(shape(text)),
            expected=[StatusReport(700001, status, code, failure=failure, used=code == "already sent")],
        )
        for text, code, status, failure in RECIPIENT_TEXTS
        for shape in SHAPES
    ),
    *(
        SubmitCase(
            label=f"5 {text}",
            items=ONE,
            reply=information(text),
            expected=[StatusReport(700001, Status.REJECTED, "on the stop list", suppress=True)],
        )
        for text in (ON_STOP_LIST, "Номер телефона в стоп-листе.", f" {ON_STOP_LIST.upper()} ")
    ),
    SubmitCase(
        label="trap 10: waiting for money, with a number",
        items=ONE,
        reply=taken("Insufficient funds, it will be sent once you top up"),
        expected=[
            StatusReport(
                700001, Status.SENT, "insufficient funds … will be sent", "9100451", 2, failure=MONEY
            )
        ],
    ),
    *(
        SubmitCase(
            label=f"money out, and nothing promised: {text}",
            items=ONE,
            reply=information(text),
            expected=[
                StatusReport(700001, Status.IN_DOUBT, "insufficient funds", strange=True, failure=MONEY)
            ],
        )
        for text in ("Insufficient funds", "Недостаточно средств на счете")
    ),
    SubmitCase(
        label="3 a duplicate that names its number",
        items=ONE,
        reply=taken("This message has already been sent"),
        expected=[StatusReport(700001, Status.SENT, "already sent", "9100451", 2, used=True)],
    ),
    SubmitCase(
        label="a number with a text nobody knows: taken",
        items=ONE,
        reply=taken("queued for the night"),
        expected=[StatusReport(700001, Status.SENT, "?", "9100451", 2, strange=True)],
    ),
    SubmitCase(
        label="a number without a text: taken",
        items=ONE,
        reply=taken(""),
        expected=[StatusReport(700001, Status.SENT, "?", "9100451", 2, strange=True)],
    ),
    SubmitCase(
        label="a number with a refusal: taken",
        items=ONE,
        reply=taken(ON_STOP_LIST),
        expected=[StatusReport(700001, Status.SENT, "on the stop list", "9100451", 2, strange=True)],
    ),
    SubmitCase(
        label="a number, and money out: taken, and the route hears of it",
        items=ONE,
        reply=taken("Out of SMS"),
        expected=[StatusReport(700001, Status.SENT, "out of sms", "9100451", 2, strange=True, failure=MONEY)],
    ),
    SubmitCase(
        label="a text nobody knows: refused in their words, and a person looks",
        items=ONE,
        reply=information("The moon is in the wrong house"),
        expected=[StatusReport(700001, Status.REJECTED, "The moon is in the wrong house", strange=True)],
    ),
    SubmitCase(
        label="where a text quotes us, it is kept without that",
        items=ONE,
        reply=information("Bad: Your order is ready to +380931110001"),
        expected=[StatusReport(700001, Status.REJECTED, "Bad: … to …", strange=True)],
    ),
    SubmitCase(
        label="a fragment far behind",
        items=ONE,
        reply=information("x" * 100_000 + ON_STOP_LIST),
        expected=[StatusReport(700001, Status.REJECTED, "x" * 64, strange=True)],
    ),
    *(
        SubmitCase(label=label, items=ONE, reply=reply, expected=[lost(code=code)])
        for label, reply, code in (
            ("send without a number", information("send"), "send"),
            ("trap 6: send with an empty number", information("send", 'number_sms="1" id_sms=""'), "send"),
            ("send with 0", information("send", 'number_sms="1" id_sms="0"'), "send"),
            ("no text and no number", information(""), "?"),
            ("a number that is none", information("send", 'number_sms="1" id_sms="+ one +"'), "send"),
            (
                "a refusal with a number that is none",
                information(ON_STOP_LIST, 'number_sms="1" id_sms="+ one +"'),
                "on the stop list",
            ),
            (
                "a number as long as a text",
                information("send", f'number_sms="1" id_sms="{"9" * 65}"'),
                "send",
            ),
        )
    ),
    SubmitCase(
        label="trap 6: refused with an empty number is refused",
        items=ONE,
        reply=information("No link", 'number_sms="1" id_sms=""'),
        expected=[StatusReport(700001, Status.REJECTED, "no link")],
    ),
    SubmitCase(
        label="trap 7: blanks about the text; id_turn is not looked at",
        items=ONE,
        reply=information("\n send ", 'number_sms=" 1 " id_sms=" 9100451 " parts=" 2 " id_turn="7"'),
        expected=[StatusReport(700001, Status.SENT, "send", "9100451", 2)],
    ),
    SubmitCase(
        label="send in capitals",
        items=ONE,
        reply=taken("SEND."),
        expected=[StatusReport(700001, Status.SENT, "send", "9100451", 2)],
    ),
    SubmitCase(
        label="trap 17: any word may be a number",
        items=ONE,
        reply=information("send", 'number_sms="1" id_sms="a9-1.00:4_51"'),
        expected=[StatusReport(700001, Status.SENT, "send", "a9-1.00:4_51")],
    ),
    *(
        SubmitCase(
            label=f"parts {parts!r}",
            items=ONE,
            reply=information("send", f'number_sms="1" id_sms="5" parts="{parts}"'),
            expected=[StatusReport(700001, Status.SENT, "send", "5", read)],
        )
        for parts, read in (("1", 1), ("255", 255), ("0", None), ("-1", None), ("many", None), ("", None))
    ),
    *(
        SubmitCase(label=label, items=TWO, reply=information("send", attributes), expected=[])
        for label, attributes in (
            ("without number_sms it is nobody's", 'id_sms="5"'),
            ("an empty number_sms", 'number_sms="" id_sms="5"'),
            ("number_sms 0", 'number_sms="0" id_sms="5"'),
            ("number_sms of nobody", 'number_sms="3" id_sms="5"'),
            ("number_sms in full", 'number_sms="01" id_sms="5"'),
            ("our id is not number_sms", 'number_sms="700001" id_sms="5"'),
            ("an echo of somebody else's id", 'number_sms="1" id_sms="5" client_id_sms="700002"'),
        )
    ),
    SubmitCase(
        label="an echo of our id",
        items=TWO,
        reply=information("send", 'number_sms="2" id_sms="5" client_id_sms="700002"'),
        expected=[StatusReport(700002, Status.SENT, "send", "5")],
    ),
    SubmitCase(
        label="re-ordered, one missing",
        items=(sms(1), sms(2), sms(3)),
        reply="<response><information number_sms='3' id_sms='93'>send</information>"
        "<information number_sms='1' id_sms='91'>send</information></response>",
        expected=[StatusReport(3, Status.SENT, "send", "93"), StatusReport(1, Status.SENT, "send", "91")],
    ),
    SubmitCase(
        label="one number for two messages tells of neither",
        items=(sms(1), sms(2), sms(3)),
        reply="<response>"
        + "".join(
            f"<information number_sms='{n}' id_sms='{theirs}'>send</information>"
            for n, theirs in ((1, 91), (2, 91), (3, 93))
        )
        + "</response>",
        expected=[lost(1), lost(2), StatusReport(3, Status.SENT, "send", "93")],
    ),
    SubmitCase(
        label="taken twice, under two numbers",
        items=ONE,
        reply="<response><information number_sms='1' id_sms='91'>send</information>"
        "<information number_sms='1' id_sms='92'>send</information></response>",
        expected=[lost()],
    ),
    SubmitCase(
        label="taken, refused, and taken again",
        items=ONE,
        reply="<response><information number_sms='1' id_sms='91'>send</information>"
        "<information number_sms='1'>No link</information>"
        "<information number_sms='1' id_sms='91'>send</information></response>",
        expected=[lost()],
    ),
    SubmitCase(
        label="said twice",
        items=ONE,
        reply="<response>" + "<information number_sms='1' id_sms='91'>send</information>" * 2 + "</response>",
        expected=[StatusReport(700001, Status.SENT, "send", "91")],
    ),
    SubmitCase(
        label="trap 2: text between elements",
        items=ONE,
        reply="<response>.<information number_sms='1' id_sms='91'>send</information>. ok</response>",
        expected=[StatusReport(700001, Status.SENT, "send", "91")],
    ),
    SubmitCase(
        label="what they took counts, though an error stands beside it",
        items=ONE,
        reply="<response><error>Incorrect login or password</error>"
        "<information number_sms='1' id_sms='91'>send</information></response>",
        expected=[StatusReport(700001, Status.SENT, "send", "91")],
    ),
    SubmitCase(
        label="what they took counts, though HTTP says 400",
        http=400,
        items=ONE,
        reply=taken(),
        expected=[StatusReport(700001, Status.SENT, "send", "9100451", 2)],
    ),
    SubmitCase(label="an answer with nothing in it misses all", items=ONE, reply="<response/>", expected=[]),
    SubmitCase(
        label="errors that differ",
        reply="<response><error>No link</error><error>Account blocked</error></response>",
        expected=UNREADABLE,
    ),
    SubmitCase(label="another answer", reply="<response><money>1</money></response>", expected=UNREADABLE),
    SubmitCase(label="a text for an answer", reply="<response>send</response>", expected=UNREADABLE),
    SubmitCase(label="another root", reply=f"<request>{taken()}</request>", expected=UNREADABLE),
    SubmitCase(label="cut short", reply=taken()[:-4], expected=UNREADABLE),
    SubmitCase(label="empty", reply="", expected=UNREADABLE),
    SubmitCase(label="HTML", reply="<html><body>send</body></html>", expected=UNREADABLE),
    SubmitCase(label="HTML with HTTP 400", http=400, reply="<html/>", expected=MALFORMED),
    *(
        SubmitCase(
            label=f"cut short with HTTP {http}", http=http, reply=error("No")[:-20], expected=UNREADABLE
        )
        for http in (400, 200)
    ),
    SubmitCase(label="HTTP 503 with a good answer", http=503, reply=taken(), expected=SERVER_ERROR),
    SubmitCase(label="HTTP 301", http=301, reply="", expected=SERVER_ERROR),
    SubmitCase(label="HTTP 404", http=404, reply=taken(), expected=MISDIRECTED),
    SubmitCase(label="HTTP 429", http=429, reply="", expected=THROTTLED),
]


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.label)
def test_what_is_answered(case: SubmitCase) -> None:
    run_submit("webcom-xml", case)


def test_the_parts_of_a_fragment_stand_one_after_another() -> None:
    table = [("found", ("name", "one … two … two"))]
    assert texts_file.find("one, two and\ntwo", table) == ("name", "found")
    assert texts_file.find("My NAME", table) == ("name", "found")
    for text in ("one two", "two two one", "two one two", ""):
        assert texts_file.find(text, table) is None


def test_every_text_of_the_tables_has_a_case() -> None:
    assert {code for _, code, _, _ in RECIPIENT_TEXTS} | {"insufficient funds", "on the stop list"} == {
        fragments[0] for _, fragments in texts_file.ADMISSIONS
    }
    assert {code for _, _, code in DOCUMENT_ERRORS} - {"?"} == {
        fragments[0] for _, fragments in texts_file.REFUSALS
    }


# --- states --------------------------------------------------------------------------------------------

ASKED = (Asked(700001, "9100451"), Asked(700002, "9100452"))
ASKED_ONE = ASKED[:1]
AT = datetime(2031, 3, 4, 5, 15, 20, tzinfo=UTC)  # 08:15:20 in Moscow


def state(word: str, attributes: str = "") -> str:
    return (
        f'<response><state id_sms="9100451" time="2031-03-04 08:15:20" {attributes}>{word}</state></response>'
    )


def now(status: Status | None, word: str, **others: bool) -> StatusReport:
    return StatusReport(700001, status, word, "9100451", None, AT, **others)  # type: ignore[arg-type]


CHANNELS = [
    # text, attributes, status, first channel only, read
    ("send", 'sms="send"', Status.SENT, False, False),
    ("send", 'viber="send"', Status.SENT, False, False),
    ("deliver", 'sms="deliver"', Status.DELIVERED, False, False),
    ("deliver", 'viber="deliver"', Status.DELIVERED, False, False),
    ("read", 'viber="read"', Status.DELIVERED, False, True),
    ("deliver", 'viber="read"', Status.DELIVERED, False, True),
    ("link", 'viber="link"', Status.DELIVERED, False, False),
    ("unsubscribe", 'viber="unsubscribe"', Status.DELIVERED, False, False),
    ("not_deliver", 'sms="not_deliver"', Status.UNDELIVERABLE, False, False),
    ("expired", 'sms="expired"', Status.EXPIRED, False, False),
    ("partly_deliver", 'sms="partly_deliver"', Status.UNCONFIRMED, False, False),
    # Viber has failed, and nothing of SMS yet: for a message that falls back not the end.
    ("not_deliver", 'viber="not_deliver"', Status.UNDELIVERABLE, True, False),
    ("expired", 'viber="expired"', Status.EXPIRED, True, False),
    ("partly_deliver", 'viber="partly_deliver"', Status.UNCONFIRMED, True, False),
    ("expired", 'viber="expired" sms=""', Status.EXPIRED, True, False),
    ("expired", 'viber="expired" sms="send"', Status.EXPIRED, True, False),
    ("not_deliver", 'viber="not_deliver" sms="on its way"', Status.UNDELIVERABLE, True, False),
    ("send", 'viber="expired" sms="send"', Status.SENT, False, False),
    ("send", 'viber="not_deliver"', Status.SENT, False, False),
    # SMS has ended.
    ("deliver", 'viber="expired" sms="deliver"', Status.DELIVERED, False, False),
    ("expired", 'viber="expired" sms="deliver"', Status.DELIVERED, False, False),
    ("send", 'viber="not_deliver" sms="deliver"', Status.DELIVERED, False, False),
    ("not_deliver", 'viber="expired" sms="not_deliver"', Status.UNDELIVERABLE, False, False),
    ("send", 'viber="not_deliver" sms="expired"', Status.EXPIRED, False, False),
    ("not_deliver", 'viber="not_deliver" sms="not_deliver"', Status.UNDELIVERABLE, False, False),
    # Which channel it was is not said.
    ("deliver", "", Status.DELIVERED, False, False),
    ("read", "", Status.DELIVERED, False, True),
    ("not_deliver", "", Status.UNDELIVERABLE, True, False),
    ("expired", "", Status.EXPIRED, True, False),
    # The whole is behind its channels, or before them.
    ("send", 'viber="deliver"', Status.SENT, False, False),
    ("deliver", 'viber="expired" sms="send"', Status.DELIVERED, False, False),
]

NO_NEWS = [
    ("a text for an unknown number", "Message not found", ""),
    ("no text", "", 'sms="deliver"'),
    ("a word in capitals", "DELIVER", ""),
    ("delivered by Viber, says Viber alone", "not_deliver", 'viber="deliver"'),
    ("delivered by SMS, and Viber did not fail", "expired", 'viber="send" sms="deliver"'),
]

STATES = [
    StatusCase(
        label="4.1 the sample: one read, one waiting",
        asked=ASKED,
        path="/xml/state.php",
        request=f"""<request>{SECURITY}
            <get_state><id_sms>9100451</id_sms><id_sms>9100452</id_sms></get_state></request>""",
        reply="""<response>
              <state id_sms="9100451" time="2031-03-04 08:15:20" viber="read">read</state>
              <state id_sms="9100452" time="" viber="send">send</state>
            </response>""",
        expected=[
            now(Status.DELIVERED, "read", read=True),
            StatusReport(700002, Status.SENT, "send", "9100452"),
        ],
    ),
    *(
        StatusCase(
            label=f"trap 11: {word} {attributes}",
            asked=ASKED_ONE,
            reply=state(word, attributes),
            expected=[now(status, word, first_channel=first, read=read)],
        )
        for word, attributes, status, first, read in CHANNELS
    ),
    *(
        StatusCase(
            label=f"no news: {label}",
            asked=ASKED_ONE,
            reply=state(word, attributes),
            expected=[now(None, word if word in texts_file.STATES else "?", strange=True)],
        )
        for label, word, attributes in NO_NEWS
    ),
    StatusCase(
        label="blanks about a word; segments; a price is not looked at",
        asked=ASKED_ONE,
        reply=state("\n deliver ", 'num_parts="3" price="0.15"'),
        expected=[StatusReport(700001, Status.DELIVERED, "deliver", "9100451", 3, AT)],
    ),
    *(
        StatusCase(
            label=f"trap 12: time {moment!r}",
            asked=ASKED_ONE,
            reply=f'<response><state id_sms="9100451" time="{moment}">deliver</state></response>',
            expected=[StatusReport(700001, Status.DELIVERED, "deliver", "9100451", None, read)],
        )
        for moment, read in (
            ("", None),
            ("2031-03-04 08:15", AT.replace(second=59)),
            (" 2031-03-04 08:15:20 ", AT),
            ("2031-11-31 08:15:20", None),
            ("0000-00-00 00:00:00", None),
            ("0001-01-01 00:00:00", None),
            ("20310304081520", None),
            ("yesterday", None),
            ("2031-03-04 08:15:20" + "1" * 400, None),
        )
    ),
    StatusCase(
        label="trap 12: in the zone of the account",
        account=Account("https://my3.webcom.example", token="k-51-demo-token", zone=zone("Asia/Tokyo")),
        asked=ASKED_ONE,
        reply=state("deliver"),
        expected=[
            StatusReport(700001, Status.DELIVERED, "deliver", "9100451", None, AT - timedelta(hours=6)),
        ],
    ),
    StatusCase(
        label="in the hour that comes twice, nothing happened before it did",
        account=replace(TOKEN, zone=zone("Europe/Kyiv")),
        asked=ASKED_ONE,
        reply=state("deliver").replace("2031-03-04 08:15:20", "2026-10-25 03:30:00"),
        expected=[
            StatusReport(
                700001,
                Status.DELIVERED,
                "deliver",
                "9100451",
                None,
                datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
            ),
        ],
    ),
    StatusCase(
        label="a message without a number of theirs cannot be asked about",
        asked=(*ASKED_ONE, Asked(700002)),
        request=f"<request>{SECURITY}<get_state><id_sms>9100451</id_sms></get_state></request>",
        reply='<response><state id_sms="">deliver</state><state>deliver</state></response>',
        expected=[],
    ),
    StatusCase(
        label="states of others",
        asked=ASKED_ONE,
        reply='<response><state id_sms="77">deliver</state></response>',
        expected=[],
    ),
    StatusCase(
        label="said twice",
        asked=ASKED_ONE,
        reply="<response>" + '<state id_sms="9100451">expired</state>' * 2 + "</response>",
        expected=[StatusReport(700001, Status.EXPIRED, "expired", "9100451", first_channel=True)],
    ),
    StatusCase(
        label="delivered and not",
        asked=ASKED_ONE,
        reply='<response><state id_sms="9100451">deliver</state>'
        '<state id_sms="9100451">expired</state></response>',
        expected=[StatusReport(700001, None, "deliver", strange=True)],
    ),
    StatusCase(label="none at all", asked=ASKED, reply="<response/>", expected=[]),
    *(
        StatusCase(label=f"{http} {text}", http=http, reply=error(text), expected=failure.because(code=code))
        for text, failure, code in DOCUMENT_ERRORS
        for http in (400, 200)
    ),
    StatusCase(label="another answer", reply=taken(), expected=UNREADABLE),
    StatusCase(label="cut short", reply=state("deliver")[:-3], expected=UNREADABLE),
    StatusCase(label="HTTP 500", http=500, reply=state("expired"), expected=SERVER_ERROR),
]


@pytest.mark.parametrize("case", STATES, ids=lambda case: case.label)
def test_status(case: StatusCase) -> None:
    run_status("webcom-xml", case)


def test_every_state_has_a_case() -> None:
    assert {word for word, *_ in CHANNELS} == texts_file.STATES.keys()


# --- receipts ------------------------------------------------------------------------------------------


def receipt(
    word: str = "deliver", status: Status | None = Status.DELIVERED, **others: bool
) -> DeliveryReceipt:
    return DeliveryReceipt("9100452", status, word, moscow(4, 9, 31, 7), **others)


def listed(*ids: str) -> Acknowledgement:
    inner = "".join(f"<id_sms>{one}</id_sms>" for one in ids)
    document = f"<?xml version='1.0' encoding='utf-8'?><response>{inner}</response>"
    return Acknowledgement(document.encode(), "text/xml")


PUSHED = '<state id_sms="9100452" time="2031-03-04 09:31:07" sms="deliver" viber="expired">deliver</state>'
DECLARED = '<?xml version="1.0" encoding="utf-8"?>'
JSON_STATE = '{"id_sms": "9100452", "time": "2031-03-04 09:31:07", "state": "deliver"}'

PUSHES = [
    PushCase(
        label="4.2 the sample",
        push=Push(f"{DECLARED}<response>{PUSHED}</response>".encode()),
        expected=[receipt()],
        acknowledged=listed("9100452"),
    ),
    *(
        PushCase(label=label, push=Push(body.encode(), content_type=kind), expected=[receipt()])
        for label, body, kind in (
            ("trap 13: root request", f"{DECLARED}<request>{PUSHED}</request>", "text/xml"),
            ("trap 2: a full stop after the root", f"<response>. {PUSHED}</response>.\n", "text/html"),
            ("trap 2: text between", f"<request>.{PUSHED}.</request>", "application/x-www-form-urlencoded"),
            ("blank lines before", f"\n\n{DECLARED}<response>{PUSHED}</response>", ""),
            ("JSON", f"[{JSON_STATE}]", "text/json; charset=utf-8"),
            ("JSON under any name", f"\ufeff \n[{JSON_STATE}]", "text/xml"),
            ("JSON with a bare number", f"[{JSON_STATE}]".replace('"9100452"', "9100452"), ""),
            (
                "JSON with more",
                f'[{JSON_STATE[:-1]}, "sms": "deliver", "price": 0.1, "x": [[]]}}, 5, null]',
                "",
            ),
        )
    ),
    PushCase(
        label="several, of one message twice, in their order; each is acknowledged once",
        push=Push(
            b"<response>"
            b'<state id_sms="91" time="" viber="send">send</state>'
            b'<state id_sms="92" time="2031-03-04 09:31:07" viber="read">read</state>'
            b'<state id_sms="91" time="" viber="expired">expired</state>'
            b'<state id_sms="93">gone with the wind</state>'
            b"</response>"
        ),
        expected=[
            DeliveryReceipt("91", Status.SENT, "send"),
            DeliveryReceipt("92", Status.DELIVERED, "read", moscow(4, 9, 31, 7), read=True),
            DeliveryReceipt("91", Status.EXPIRED, "expired", first_channel=True),
            DeliveryReceipt("93", None, "?", strange=True),
        ],
        acknowledged=listed("91", "92", "93"),
    ),
    PushCase(
        label="JSON says nothing of channels",
        push=Push(f"[{JSON_STATE.replace('deliver', 'not_deliver')}]".encode()),
        expected=[receipt("not_deliver", Status.UNDELIVERABLE, first_channel=True)],
    ),
    PushCase(
        label="a state without a number is nobody's",
        push=Push(
            f'<response><state>deliver</state><state id_sms="0">deliver</state>{PUSHED}</response>'.encode()
        ),
        expected=[receipt()],
        acknowledged=listed("9100452"),
    ),
    *(
        PushCase(label=label, push=Push(body), expected=UNREADABLE)
        for label, body in (
            ("nothing", b""),
            ("an empty document", b"<response/>"),
            ("no state of anybody", b"<response><state>deliver</state></response>"),
            ("an error", error("Incorrect login or password").encode()),
            ("another root", f"<states>{PUSHED}</states>".encode()),
            ("cut short", f"<response>{PUSHED}</respon".encode()),
            ("a form", b"id_sms=9100452&state=deliver"),
            ("an empty array", b"[]"),
            ("an array of others", b'[1, "2", null, [{"id_sms": "1"}]]'),
            ("an object", JSON_STATE.encode()),
            ("JSON cut short", f"[{JSON_STATE}".encode()),
            ("deep JSON", b"[" * 200_000),
            ("a name that stands twice", f'[{JSON_STATE[:-1]}, "state": "send"}}]'.encode()),
            ("NaN", f'[{JSON_STATE[:-1]}, "price": NaN}}]'.encode()),
            ("a number without end", b'[{"id_sms": ' + b"9" * 100_000 + b"}]"),
            ("JSON in another encoding", f"[{JSON_STATE}]".encode("utf-16")),
            ("JSON that is too large", b'[{"id_sms": "9100452"}' + b" " * 9_000_000 + b"]"),
            ("numbers that are none", b'[{"id_sms": true}, {"id_sms": 1.5}, {"id_sms": "\\ud800"}]'),
        )
    ),
]


@pytest.mark.parametrize("case", PUSHES, ids=lambda case: case.label)
def test_receipts(case: PushCase) -> None:
    run_push("webcom-xml", case)


# --- the account ---------------------------------------------------------------------------------------

BARE = f"<request>{SECURITY}</request>"
MINUTES = timedelta(minutes=1)


def listing(inner: str, attributes: str = 'page="1" num_pages="2"') -> str:
    return f"<response><phones {attributes}>{inner}</phones></response>"


ENTRY = (
    '<scheduled id_sms="9100451" time_put_turn="2031-03-04 08:00:00" originator="ShopNews" '
    'phone="380931110001" type_sms="sms" text_sms="Ready" count_sms="1" name_delivery="gate" '
    'time_send="2031-03-05 09:30:00" validity_period=""/>'
)
LISTED = Scheduled("9100451", "+380931110001", moscow(5, 9, 30))

QUESTIONS = [
    AskCase(
        label="6 the sample",
        question="balance",
        path="/xml/balance.php",
        request=BARE,
        reply='<response><money>150</money><sms area="Russia">111</sms><sms area="Kyiv">7</sms></response>',
        expected=Balance(Decimal(150)),
    ),
    *(
        AskCase(
            label=f"money {text} {currency}",
            question="balance",
            reply=reply,
            expected=Balance(Decimal(amount), read),
        )
        for text, currency, amount, read in (
            ("150.75", "RUB", "150.75", "RUB"),
            (" 0 ", "руб", "0", "руб"),
            ("-12,5", "", "-12.5", ""),
            ("1", "a whole sentence", "1", ""),
        )
        for reply in [f'<response><money currency="{currency}">{text}</money></response>']
    ),
    *(
        AskCase(label=f"money {text!r}", question="balance", reply=reply, expected=UNREADABLE)
        for text in ("", "much", "NaN", "Infinity", "1e5", "1 000", "1_000", "٣", "9" * 30, "0x1")
        for reply in [f"<response><money>{text}</money></response>"]
    ),
    AskCase(
        label="two amounts",
        question="balance",
        reply="<response><money>1</money><money>2</money></response>",
        expected=UNREADABLE,
    ),
    AskCase(label="no money", question="balance", reply="<response/>", expected=UNREADABLE),
    AskCase(
        label="balance refused",
        question="balance",
        http=400,
        reply=error("Incorrect login or password"),
        expected=CREDENTIALS.because(code="incorrect login or password"),
    ),
    # The clock. Now it is ten in the morning in Moscow.
    AskCase(
        label="trap 12: the whole of it",
        question="clock",
        about=NOW,
        path="/xml/time.php",
        request=BARE,
        reply="<response><time>2031-03-04 10:01:30</time></response>",
        expected=timedelta(seconds=90),
    ),
    *(
        AskCase(
            label=f"trap 12: at {about} it is {text}",
            question="clock",
            about=about,
            reply=reply,
            expected=ahead,
        )
        for about, text, ahead in (
            (NOW, "09:58:00", -2 * MINUTES),
            (NOW, "10:00:00", timedelta(0)),
            (NOW, "10:01", MINUTES),
            (NOW, "2031-03-04 09:00", -60 * MINUTES),
            (moscow(4, 23, 59), "00:01:00", 2 * MINUTES),
            (moscow(5, 0, 1), "23:59:00", -2 * MINUTES),
            (moscow(5, 0, 1), "12:00:00", 719 * MINUTES),
        )
        for reply in [f"<response>{text}</response>"]
    ),
    AskCase(
        label="an attribute will do",
        question="clock",
        about=NOW,
        reply='<response><time value="10:00:07"/>.</response>',
        expected=timedelta(seconds=7),
    ),
    AskCase(
        label="a clock elsewhere",
        question="clock",
        about=NOW,
        account=Account("https://my3.webcom.example", token="k-51-demo-token", zone=zone("Asia/Tokyo")),
        reply="<response><time>10:00:00</time></response>",
        expected=timedelta(hours=-6),
    ),
    *(
        AskCase(label=f"a clock of {text!r}", question="clock", about=NOW, reply=reply, expected=UNREADABLE)
        for text in (
            "",
            "noon",
            "25:00:00",
            "2031-11-31 10:00:00",
            "<a>10:00:00</a><b>11:00:00</b>",
            "1925000000",
        )
        for reply in [f"<response>{text}</response>"]
    ),
    AskCase(
        label="the clock refused",
        question="clock",
        about=NOW,
        reply=error("Ваш аккаунт заблокирован"),
        expected=CREDENTIALS.because(code="account is blocked"),
    ),
    AskCase(label="no clock there", question="clock", about=NOW, http=404, reply="", expected=MISDIRECTED),
    # What is scheduled.
    AskCase(
        label="7 a page",
        question="scheduled",
        about=2,
        path="/xml/list_scheduled.php",
        request=f'<request>{SECURITY}<scheduled page="2"/></request>',
        reply=listing(ENTRY),
        expected=([LISTED], 2),
    ),
    *(
        AskCase(label=label, question="scheduled", about=1, reply=reply, expected=expected)
        for label, reply, expected in (
            ("the list alone", f'<phones page="1" num_pages="1">{ENTRY}</phones>', ([LISTED], 1)),
            ("nothing waits", listing("", 'page="1" num_pages="0"'), ([], 0)),
            (
                "an entry without what we need, and one without the rest",
                listing(
                    '<scheduled phone="380931110001"/><scheduled id_sms="5" phone="38093xxx" time_send=""/>'
                ),
                ([Scheduled("5", "", None)], 2),
            ),
            ("pages without end", listing(ENTRY, 'page="1" num_pages="9999999"'), UNREADABLE),
            ("no pages", listing(ENTRY, 'page="1"'), UNREADABLE),
            ("no list", "<response/>", UNREADABLE),
            ("two lists", "<response><phones num_pages='1'/><phones num_pages='1'/></response>", UNREADABLE),
            ("refused", error("POST data is missing"), MISDIRECTED.because(code="post data is missing")),
        )
    ),
    # Cancelling.
    AskCase(
        label="7 the sample",
        question="cancel",
        about=(*ASKED, Asked(700003)),
        path="/xml/scheduled.php",
        request=f"""<request>{SECURITY}<delete_schedule>
            <schedule id_sms="9100451"/><schedule id_sms="9100452"/></delete_schedule></request>""",
        reply='<response><scheduled id_sms="9100451">delete</scheduled>'
        '<scheduled id_sms="9100452">not_found</scheduled></response>',
        expected=[
            StatusReport(700001, Status.CANCELLED, "delete", "9100451"),
            StatusReport(700002, None, "not_found", "9100452"),
        ],
    ),
    *(
        AskCase(label=label, question="cancel", about=ASKED_ONE, reply=reply, expected=expected)
        for label, reply, expected in (
            (
                "a word nobody knows",
                '<response><scheduled id_sms="9100451">maybe</scheduled></response>',
                [StatusReport(700001, None, "?", "9100451", strange=True)],
            ),
            (
                "withdrawn, and not found",
                (
                    '<response><scheduled id_sms="9100451"> delete </scheduled>'
                    '<scheduled id_sms="9100451">not_found</scheduled></response>'
                ),
                [StatusReport(700001, None, "delete", strange=True)],
            ),
            ("somebody else's", '<response><scheduled id_sms="5">delete</scheduled></response>', []),
            ("nothing", "<response/>", []),
            ("refused", error("Account is blocked"), CREDENTIALS.because(code="account is blocked")),
            ("states", state("deliver"), UNREADABLE),
        )
    ),
    # The stop list, of which we know no shape.
    AskCase(
        label="attributes",
        question="stop_list",
        path="/xml/list_stop.php",
        request=BARE,
        reply='<response><list><stop phone="380931110001" time="2031-03-04"/><stop phone="+380931110002"/>'
        '<stop phone="380931110001"/><stop phone="38093****"/></list></response>',
        expected=["+380931110001", "+380931110002"],
    ),
    *(
        AskCase(label=label, question="stop_list", reply=reply, expected=expected)
        for label, reply, expected in (
            (
                "elements",
                "<response><phone>380931110001</phone><phone> 380931110002 </phone></response>",
                ["+380931110001", "+380931110002"],
            ),
            ("an empty list", "<response/>", []),
            ("numbers elsewhere", "<response><number>380931110001</number></response>", UNREADABLE),
            ("no number among them", '<response><stop phone="0"/></response>', UNREADABLE),
            (
                "refused",
                error("Incorrect login or password"),
                CREDENTIALS.because(code="incorrect login or password"),
            ),
            ("HTML", "<html/>", UNREADABLE),
        )
    ),
]


@pytest.mark.parametrize("case", QUESTIONS, ids=lambda case: f"{case.question}: {case.label}")
def test_the_account(case: AskCase) -> None:
    run_ask("webcom-xml", case)


# --- what it carries -----------------------------------------------------------------------------------


def a_message(**others: str) -> Message:
    values = {"client_id": "c1", "recipient": "+380931110001", "sender": "ShopNews"}
    if others.get("kind") not in ("ping", "vcard"):
        values["text"] = "Ready to go"
    return Message.from_dict(values | others)


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": "ElevenChars"},
        {"sender": "380931110001234"},
        {"recipient": "+49123456789012"},
        {"text": "Line\nbreaks\r\nare fine, and so is C:\\temp"},
        {"valid_until": "2031-03-04T10:00:00Z", "send_at": "2031-03-04T09:00:00Z"},
        {"kind": "flash"},
        {"kind": "ping"},
        {"kind": "wap", "url": SHOP},
        {"kind": "vcard", "name": "Ann", "cell": "380931119991"},
        {"kind": "vcard", "name": "Ann", "work": "+38 (044) 111-00-01", "fax": "00380441110002"},
        {"kind": "vcard", "name": "Ann", "email": "ann@shop.example"},
        {"kind": "viber", "sender": "FifteenLetters.", "viber_valid_until": "2031-03-04T10:00:00Z"},
        {"kind": "viber", "image": SHOP, "button": "Go", "url": SHOP},
        {"kind": "viber", "button": "Go", "url": SHOP},
        {"kind": "viber_sms", "sender": "FifteenLetters.", "sms_text": "x", "sms_sender": "ElevenChars"},
        {"kind": "viber_sms", "sender": "380931110001234", "sms_text": "x"},
    ],
    ids=str,
)
def test_a_message_it_carries(changes: dict[str, str]) -> None:
    WebcomXml(TOKEN).check(a_message(**changes))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "voice"}, "kind"),
        ({"recipient": "+491234567890123"}, "recipient"),
        ({"sender": "TwelveChars."}, "sender"),
        ({"sender": "٣٤٥٦٧٨٩٠١٢٣٤"}, "sender"),
        ({"kind": "ping", "sender": "TwelveChars."}, "sender"),
        ({"kind": "viber_sms", "sms_text": "x", "sender": "TwelveChars."}, "sender"),
        ({"kind": "viber_sms", "sms_text": "x", "sms_sender": "TwelveChars."}, "sms_sender"),
        ({"sender": "+38093111000"}, "sender"),
        ({"kind": "viber", "image": SHOP}, "button"),
        ({"kind": "wap", "text": "", "url": SHOP}, "text"),
        ({"kind": "vcard", "name": "Ann", "cell": "ask Ann"}, "cell"),
        ({"kind": "vcard", "name": "Ann", "work": "12"}, "work"),
        ({"kind": "vcard", "name": "Ann", "fax": "0441110001"}, "fax"),
        ({"kind": "vcard", "name": "Ann", "cell": "380931119991.0"}, "cell"),
        ({"kind": "vcard", "name": "Ann", "cell": "+380931119991, +380931119992"}, "cell"),
        ({"kind": "vcard", "name": "Ann", "email": "ann at shop"}, "email"),
        ({"text": "C:\\new"}, "text"),
        ({"kind": "viber_sms", "sms_text": "C:\\new"}, "sms_text"),
        ({"kind": "vcard", "name": "Ann", "city": "C:\\new"}, "city"),
    ],
    ids=str,
)
def test_a_message_it_cannot_carry(changes: dict[str, str], field: str) -> None:
    refused = a_message(**changes)
    with pytest.raises(MessageError, match=rf"^{field}: ") as problem:
        WebcomXml(TOKEN).check(refused)
    assert problem.value.field == field
    assert "Ready to go" not in str(problem.value)
    assert "C:" not in str(problem.value)
    assert refused.recipient not in str(problem.value)


def test_every_kind_is_carried_but_voice() -> None:
    assert TYPES.keys() == set(Kind) - {Kind.VOICE}


# --- the account ---------------------------------------------------------------------------------------


def with_options(**options: str) -> WebcomXml:
    return WebcomXml(Account("https://my3.webcom.example/", token="k-51-demo-token", options=options))


def test_limits_and_what_it_can_do() -> None:
    speaker = with_options()
    minutes = timedelta(minutes=2)
    assert speaker.limits == Limits(500, 1_048_576, once=True, shortest=minutes)
    sized = WebcomXml(replace(TOKEN, package_items=7, package_bytes=5000, status_items=50))
    assert sized.limits == Limits(7, 5000, once=True, shortest=minutes)
    assert (speaker.status_items, speaker.cancel_items) == (200, 200)
    assert (sized.status_items, sized.cancel_items) == (50, 50)
    assert speaker.doubt is DoubtPolicy.REPEAT
    assert not speaker.by_reference
    assert not speaker.hints
    abilities = (Statuses, Schedules, Receipts, Balances, Cancels, Clocks, StopLists, Scheduling)
    assert all(isinstance(speaker, ability) for ability in abilities)
    assert {speaker.apart(kind) for kind in Kind} == {""}


def test_a_campaign_of_one_text_is_one_message_and_small() -> None:
    speaker = with_options()
    items = [sms(1000 + n, "я" * 600) for n in range(500)]
    assert fitting(items, speaker.limits) == items
    body = speaker.submit(items).body
    assert body.count(b"<message ") == 1
    assert len(body) < 100_000


def test_room_is_kept_for_the_campaigns_they_are_told() -> None:
    """The worst there is: every message of a campaign of its own, with the longest of names."""
    texts = [sms(1000 + n, "я" * 70)._replace(campaign=f"{n:0>4}" + "&" * 124) for n in range(500)]
    for account in (TOKEN, BOTH_TOLD):
        speaker = WebcomXml(replace(account, package_bytes=100_000))
        package = fitting(texts, speaker.limits)
        assert 0 < len(package) < len(texts)
        assert len(speaker.submit(package).body) <= 100_000


@pytest.mark.parametrize(
    ("value", "told"), [("1", True), ("true", True), ("0", False), ("false", False), ("", False)]
)
@pytest.mark.parametrize(
    ("option", "element"), [("campaign_name", b"<name_delivery>"), ("transliterate", b"<translite>")]
)
def test_what_they_are_told_besides_is_a_setting(option: str, element: bytes, value: str, told: bool) -> None:
    item = sms(1)._replace(campaign="March")
    assert (element in with_options(**{option: value}).submit([item]).body) == told
    assert element not in with_options().submit([item]).body


LINED = "One\ntwo\r\nthree\\now"


@pytest.mark.parametrize(
    ("line_break", "written", "arrives"),
    [
        ("line-feed", b"<text>One\ntwo\nthree\\now</text>", "One\ntwo\nthree\\now"),
        ("blank", b"<text>One two three\\now</text>", "One two three\\now"),
    ],
)
def test_a_line_break_may_travel_otherwise_and_is_counted_as_it_arrives(
    line_break: str, written: bytes, arrives: str
) -> None:
    speaker = with_options(line_break=line_break)
    message = a_message(text=LINED)
    speaker.check(message)  # here a backslash before an n is one
    assert written in speaker.submit([sms(1, LINED)]).body
    assert speaker.respelled(message).text == arrives
    assert speaker.respelled(a_message()) == a_message()


def test_a_ping_may_carry_another_text_or_none() -> None:
    ping = [sms(1, kind="ping")]
    assert b"<text>Hello</text>" in with_options(ping_text="Hello").submit(ping).body
    assert b"<text" not in with_options(ping_text="none").submit(ping).body


def test_parts_that_are_not_there_may_be_written_empty() -> None:
    speaker = with_options(empty_parts="written")
    card = speaker.submit([sms(1, kind="vcard", name="Ann", fax="380931119993")]).body
    assert b'<phone cell="" work="" fax="380931119993"' in card
    assert b"<email></email>" in card
    assert b"<position" in card
    assert b"<additional" in card
    viber = speaker.submit([sms(1, kind="viber")]).body
    assert all(part in viber for part in (b"<button_viber", b"<action_viber", b"<image_viber"))
    plain = speaker.submit([sms(1)]).body
    assert plain == with_options().submit([sms(1)]).body  # there is nothing it could have


def test_credentials_may_stand_last() -> None:
    for request in (with_options(security="last").submit(ONE), with_options(security="last").status(ASKED)):
        assert request.body.endswith(b"</security></request>")


def test_the_address_has_one_slash_and_no_secret() -> None:
    speaker = with_options()
    urls = [speaker.submit(ONE).url, speaker.status(ASKED).url, speaker.balance().url, speaker.clock().url]
    assert urls == [
        f"https://my3.webcom.example/xml{rest}" for rest in ("", "/state.php", "/balance.php", "/time.php")
    ]


def test_one_kind_of_credentials_the_token_first() -> None:
    body = (
        WebcomXml(Account("https://w.example", token="tok-en", login="lo-gin", password="pass-word"))
        .balance()
        .body
    )
    assert b"tok-en" in body
    assert b"lo-gin" not in body
    assert b"pass-word" not in body


@pytest.mark.parametrize(
    ("account", "named"),
    [
        (Account("https://my3.webcom.example"), "token"),
        (Account("https://my3.webcom.example", key="secret-key"), "token"),
        (Account("https://my3.webcom.example", login="secret-login"), "password"),
        (replace(TOKEN, options={"path": "/json"}), "path"),
        (replace(TOKEN, options={"campaign_name": "March"}), "campaign_name must be true or false"),
        (replace(TOKEN, options={"transliterate": "2"}), "transliterate must be true or false"),
    ],
    ids=str,
)
def test_an_account_it_cannot_speak_for(account: Account, named: str) -> None:
    with pytest.raises(ValueError, match=named) as problem:
        WebcomXml(account)
    assert not any(secret in str(problem.value) for secret in account.secrets)


def test_failures_it_makes_are_known_to_the_stages() -> None:
    made = {failure for failure, _ in texts_file.REFUSALS}
    made |= {word.failure for word, _ in texts_file.ADMISSIONS if word.failure}
    assert made == {MALFORMED, CREDENTIALS, MISDIRECTED, MONEY, THROTTLED}
    assert all(isinstance(failure, Failure) for failure in made)
