"""webcom documents out (sheet sections 2 to 8), as plain strings: through lxml they cost far more."""

from collections.abc import Iterable
from typing import NamedTuple
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from bulk_dispatch.sandbox.webcom.account import SEND, Scheduled, Taken
from bulk_dispatch.sandbox.webcom.clock import written_time
from bulk_dispatch.sandbox.webcom.options import WebcomOptions
from bulk_dispatch.sandbox.webcom.texts import ERRORS, UNKNOWN_ID, DocumentError

MEDIA_TYPE = "text/xml; charset=utf-8"
DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'
QUOTES = {'"': "&quot;"}


class Line(NamedTuple):
    """One `<information>`: the report on a recipient. What is None is left out."""

    number_sms: str | None
    id_sms: int | None
    parts: int | None
    text: str


class StateLine(NamedTuple):
    """One `<state>`. `channels` are pairs of a name and a state."""

    id_sms: str
    time: str
    channels: tuple[tuple[str, str], ...]
    parts: int | None
    text: str


class Named(NamedTuple):
    """What became of one thing: `<scheduled id_sms>`, `<phone phone>`."""

    tag: str
    attribute: str
    name: str
    text: str


class Writer:
    """Writes as this installation does."""

    def __init__(self, options: WebcomOptions) -> None:
        self._options = options
        self._zone = ZoneInfo(options.zone)

    def error(self, error: DocumentError) -> bytes:
        """A document refused as a whole."""
        return response(f"<error>{self._text(getattr(ERRORS[error], self._options.language), True)}</error>")

    def information(self, lines: Iterable[Line]) -> bytes:
        """Section 2."""
        return response("".join([self._line(line) for line in lines]))

    def states(self, lines: Iterable[StateLine]) -> bytes:
        """Section 4.1."""
        return response("".join([self._state(line) for line in lines]))

    def push(self, lines: Iterable[StateLine]) -> bytes:
        """Section 4.2: under either root; the pushed sample has a stray full stop behind it (trap 2)."""
        stray = "." if self._options.untidy else ""
        return response(stray + "".join([self._state(line) for line in lines]), self._options.push_root)

    def named(self, lines: Iterable[Named]) -> bytes:
        """What was done, one by one."""
        return response("".join([self._named(line) for line in lines]))

    def time(self, now: float) -> bytes:
        """Section 8, where one page shows both shapes. The element's name is ours: the sheet has none."""
        full = self.local(now)
        return response(f"<time>{full if self._options.time_shape == 'full' else full[11:]}</time>")

    def balance(self, money: float) -> bytes:
        """Section 6. The counts are alternatives: all draw on the same money."""
        currency, more = (
            (' currency="RUR"', f' price="{self._options.price}"') if self._options.newer else ("", "")
        )
        count = int(max(money, 0) // self._options.price) if self._options.price else 0
        areas = ("Россия", "Украина")
        counts = "".join([f'<sms area="{area}"{more}>{count}</sms>' for area in areas])
        return response(f"<money{currency}>{_amount(money)}</money>{counts}")

    def page(self, scheduled: list[Scheduled], page: int) -> bytes:
        """Section 7: pages start at 1; one beyond the last is empty."""
        size = self._options.page_items
        pages = max(1, -(-len(scheduled) // size))
        rows = "".join([self._scheduled(one) for one in scheduled[(page - 1) * size : page * size]])
        return response(f'<phones page="{page}" num_pages="{pages}">{rows}</phones>')

    def senders(self) -> bytes:
        """Of the account. The shape is ours: the sheet has the path only."""
        known, waiting = self._options.senders, self._options.unmoderated
        named = [(name, "completed") for name in sorted((known or frozenset()) - waiting)]
        named += [(name, "order") for name in sorted(waiting)]
        rows = "".join([f'<originator state="{state}">{escape(name)}</originator>' for name, state in named])
        free = "TRUE" if known is None else "FALSE"
        return response(f"<any_originator>{free}</any_originator><list_originator>{rows}</list_originator>")

    def push_url(self, url: str) -> bytes:
        """Where states are told. The shape is ours: the sheet has that of the request only."""
        return response(f"<get_state>{escape(url)}</get_state>")

    def local(self, instant: float) -> str:
        """In the account's zone."""
        return written_time(int(instant), self._zone)

    def state(self, one: Taken, now: float) -> StateLine:
        """How far a message has come. Its time is empty while that is `send`."""
        changes = one.changes(now)
        whole = changes[-1].whole if changes else SEND
        channels = {change.channel: change.state for change in changes} or {one.plan[0][1]: SEND}
        time = "" if whole == SEND else self.local(changes[-1].at)
        return StateLine(str(one.number), time, tuple(sorted(channels.items())), one.parts, whole)

    def unknown(self, id_sms: str) -> StateLine:
        """A number nobody has: a free text with an empty time [same-family docs]."""
        return StateLine(id_sms, "", (), None, getattr(UNKNOWN_ID, self._options.language))

    def _line(self, line: Line) -> str:
        number = "" if line.number_sms is None else f' number_sms="{line.number_sms}"'
        id_sms = "" if line.id_sms is None else f' id_sms="{line.id_sms}"'
        parts = "" if line.parts is None else f' parts="{line.parts}"'
        turn = f' id_turn="{line.id_sms}"' if self._options.newer and line.id_sms is not None else ""
        text = self._text(line.text, is_error=line.text != SEND)
        return f"<information{number}{id_sms}{parts}{turn}>{text}</information>"

    def _state(self, line: StateLine) -> str:
        channels = "".join([f' {channel}="{state}"' for channel, state in line.channels])
        more = ""
        if self._options.newer and line.parts is not None:
            more = f' num_parts="{line.parts}" price="{self._options.price}"'
        text = self._text(line.text)
        return f'<state id_sms="{line.id_sms}" time="{line.time}"{channels}{more}>{text}</state>'

    def _named(self, line: Named) -> str:
        tag = line.tag
        return f'<{tag} {line.attribute}="{line.name}">{self._text(line.text)}</{tag}>'

    def _scheduled(self, one: Scheduled) -> str:
        until = "" if one.until is None else self.local(one.until)
        attributes = {
            "id_sms": one.number,
            "time_put_turn": self.local(one.put_at),
            "originator": one.originator,
            "phone": one.phone,
            "type_sms": one.kind,  # as in the sample; the table says "type"
            "text_sms": one.text.replace("\n", "\\n"),
            "count_sms": one.parts,
            "name_delivery": one.campaign,
            "time_send": self.local(one.begin_at),
            "validity_period": until,
        }
        written = "".join([f' {name}="{escape(str(value), QUOTES)}"' for name, value in attributes.items()])
        return f"<scheduled{written}/>"

    def _text(self, text: str, is_error: bool = False) -> str:
        """Errors come with and without a final full stop, texts with and without blanks (traps 7 and 9)."""
        if self._options.untidy:
            text = f" {text}{'.' if is_error else ''} "
        return escape(text)


def response(inner: str, root: str = "response") -> bytes:
    """A whole document."""
    return f"{DECLARATION}<{root}>{inner}</{root}>".encode()


def _amount(money: float) -> str:
    """A whole number where it is one: the table says Int, the family shows decimals."""
    return f"{money:.0f}" if money == int(money) else f"{money:.2f}"
