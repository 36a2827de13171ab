"""A customer of the make-believe webcom who writes documents by hand and holds the clock."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

from bulk_dispatch.sandbox.journal import Journal
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.outcomes import Mix, Timings
from bulk_dispatch.sandbox.provider import Call, News, Orders, Refused, Reply
from bulk_dispatch.sandbox.webcom.options import WebcomOptions
from bulk_dispatch.sandbox.webcom.provider import Webcom, webcom

MOSCOW = ZoneInfo("Europe/Moscow")
NOON = datetime(2031, 3, 4, 12, tzinfo=MOSCOW).timestamp()
HEADERS = {"content-type": "text/xml; charset=utf-8"}
DELIVERED = Mix(delivered=1, undeliverable=0, expired=0, rejected=0)
TIMINGS = Timings(first=1, final=(10, 10))  # every end after ten seconds, a fallback one second later
TRUTH = Orders()  # the script wants nothing
TOKEN = '<token value="sandbox-key"/>'
LOGIN = '<login value="sandbox"/><password value="sandbox-password"/>'


def abonent(number: int = 1, phone: str = "380931110001", **more: object) -> str:
    """One recipient with `number_sms`."""
    given = {"phone": phone, "number_sms": str(number), **{name: str(value) for name, value in more.items()}}
    attributes = "".join(f' {name}="{value}"' for name, value in given.items())
    return f"<abonent{attributes}/>"


def sms(*abonents: str, text: str = "See you at ten", kind: str = "sms", inner: str = "") -> str:
    """One `<message>` by SMS."""
    said = f"<text>{text}</text>" if text else ""
    return (
        f'<message type_send_1="sms" type="{kind}"><sender>ShopNews</sender>{said}{inner}'
        f"{''.join(abonents or (abonent(),))}</message>"
    )


def viber(*abonents: str, inner: str = "", fallback: bool = False) -> str:
    """One `<message>` by Viber, with SMS behind it or not."""
    second = ' type_send_2="sms"' if fallback else ""
    words = "<sender>ShopNews</sender><text>Order 18</text>" if fallback else ""
    return (
        f'<message type_send_1="viber"{second}><sender_viber>ShopVib</sender_viber>'
        f"<text_viber>Order 18 is ready</text_viber>{inner}{words}"
        f"{''.join(abonents or (abonent(),))}</message>"
    )


def request(inner: str, security: str = TOKEN) -> str:
    """A whole document."""
    declaration = '<?xml version="1.0" encoding="utf-8"?>'
    return f"{declaration}<request><security>{security}</security>{inner}</request>"


class Told(NamedTuple):
    """One element of an answer."""

    tag: str
    attributes: dict[str, str]
    text: str


class Shop:
    """An account at a make-believe webcom without a socket; `now` is what its clock shows."""

    def __init__(
        self,
        mix: Mix = DELIVERED,
        journal: Journal | None = None,
        **webcom_options: Any,
    ) -> None:
        options = SandboxOptions(mix=mix, timings=TIMINGS, webcom=WebcomOptions(**webcom_options))
        [provider] = webcom(options, journal)
        assert isinstance(provider, Webcom)
        self.provider = provider
        self.now = NOON

    def post(
        self,
        path: str,
        body: str | bytes,
        headers: Mapping[str, str] = HEADERS,
        orders: Orders = TRUTH,
    ) -> Reply:
        """What comes back."""
        raw = body if isinstance(body, bytes) else body.encode()
        try:
            asked = self.provider.read(Call("POST", path, b"", headers, raw))
        except Refused as refused:
            return refused.reply
        answer = self.provider.answer(asked, orders, self.now)
        return answer.write(answer.items)

    def send(self, *messages: str, orders: Orders = TRUTH) -> list[Told]:
        """The lines of the answer."""
        return told(self.post("/xml", request("".join(messages)), orders=orders))

    def report(self, message: str) -> str:
        """On its only recipient."""
        [line] = self.send(message)
        return line.text

    def ask(self, command: str, inner: str = "") -> list[Told]:
        """The same of another command."""
        return told(self.post(f"/xml/{command}.php", request(inner)))

    def state(self, *ids: str) -> list[Told]:
        """States by `id_sms`."""
        return self.ask(
            "state", f"<get_state>{''.join(f'<id_sms>{one}</id_sms>' for one in ids)}</get_state>"
        )

    def taken(self) -> int:
        """Messages the account has."""
        return self.provider.account.tally(self.provider.name).taken

    def news(self) -> list[News]:
        """All there is to tell of all messages."""
        receipts = self.provider.receipts
        assert receipts is not None
        records = self.provider.account.records(self.provider.name)
        return [News(record, at) for record in records for at in receipts.instants(record)]


def told(reply: Reply) -> list[Told]:
    """What stands inside a good answer."""
    assert reply.status == 200, reply.body.decode()
    assert reply.media_type == "text/xml; charset=utf-8"
    root = ET.fromstring(reply.body)
    assert root.tag == "response"
    return [Told(child.tag, dict(child.attrib), child.text or "") for child in root]


def error(reply: Reply) -> tuple[int, str]:
    """HTTP status and text of a document refused as a whole."""
    [only] = ET.fromstring(reply.body)
    assert only.tag == "error"
    return reply.status, only.text or ""


def id_of(line: Told) -> str:
    """The gateway's number."""
    return line.attributes["id_sms"]
