"""How webcom tells states by itself (sheet section 4.2)."""

from collections.abc import Collection, Sequence

from lxml import etree

from bulk_dispatch.sandbox.account import content_digest
from bulk_dispatch.sandbox.provider import News, Push
from bulk_dispatch.sandbox.webcom.account import SEND, Change, Taken
from bulk_dispatch.sandbox.webcom.answers import MEDIA_TYPE, Writer
from bulk_dispatch.sandbox.webcom.content import SMS

ATTEMPTS = 5  # in all [vendor docs]
STRANGE_NUMBER = 900_000_000_000_001  # nobody is given numbers as high as this


class WebcomReceipts:
    """Several states a call; each number must be acknowledged, or it comes again."""

    attempts = ATTEMPTS

    def __init__(self, writer: Writer, most: int) -> None:
        self._writer = writer
        self.most = most

    def instants(self, record: Taken) -> Sequence[float]:
        """Whenever the message as a whole gets another state than `send`: `deliver`, and then `read`."""
        if record.waits:
            return []
        return [at for at, _channel, _state, whole in record.plan if whole != SEND]

    def push(self, news: Sequence[News]) -> Push:
        """One document."""
        lines = []
        for record, at in news:
            assert isinstance(record, Taken)
            lines.append(self._writer.state(record, at))
        return Push(self._writer.push(lines), MEDIA_TYPE)

    def acknowledged(self, status: int, body: bytes, news: Sequence[News]) -> Collection[int]:
        """The numbers an answer `<response><id_sms>…</id_sms>…</response>` lists; of another answer, none."""
        told = {str(one.record.number): one.record.number for one in news}
        return {told[listed] for listed in _listed(status, body) if listed in told}

    def strangers(self, count: int, at: float) -> list[News]:
        """Delivered, by numbers and to people nobody knows."""
        return [News(_stranger(STRANGE_NUMBER + place, at), at) for place in range(count)]


def _listed(status: int, body: bytes) -> list[str]:
    if status != 200:
        return []
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True)
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        return []
    return [(one.text or "").strip() for one in root.iterfind("id_sms")] if root.tag == "response" else []


def _stranger(number: int, at: float) -> Taken:
    phone = "380000000000"
    plan = [Change(at, SMS, SEND, SEND), Change(at, SMS, "deliver", "deliver")]
    return Taken(None, number, phone, content_digest(phone, "", ""), 1, at, at, False, plan, at)
