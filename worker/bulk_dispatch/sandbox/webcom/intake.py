"""Judging a document to send: each recipient is taken, refused, or known already."""

from typing import NamedTuple

from bulk_dispatch.sandbox.account import Entry, content_digest
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.outcomes import Fate, Oracle
from bulk_dispatch.sandbox.provider import Code
from bulk_dispatch.sandbox.webcom.account import DOOR, SEND, More, Scheduled, Taken, WebcomAccount, held
from bulk_dispatch.sandbox.webcom.answers import Line
from bulk_dispatch.sandbox.webcom.content import SMS, Content
from bulk_dispatch.sandbox.webcom.delivery_plan import Fates
from bulk_dispatch.sandbox.webcom.request import Abonent
from bulk_dispatch.sandbox.webcom.rules import Rules, Told, parts_of, told
from bulk_dispatch.sandbox.webcom.texts import ACCEPTING, Refusal, in_words


class Letter(NamedTuple):
    """What all recipients of one `<message>` share."""

    content: Content
    refusal: Refusal | None
    told: Told
    parts: int


class Contract:
    """What does not change from one document to the next."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options.webcom
        self.forgetful = options.webcom.take_repeats
        self.rules = Rules(options.webcom)
        self.fates = Fates(Oracle(options.mix, options.seed), options.timings, options.webcom)


class Intake:
    """One document while it is judged. Nothing is remembered until the account keeps the `entry`."""

    def __init__(self, contract: Contract, account: WebcomAccount, now: float) -> None:
        self._contract, self._account, self._now = contract, account, now
        self._options, self._rules, self._fates = contract.options, contract.rules, contract.fates
        self._money = account.money
        self._next = account.next_number()
        self._by_client_id: dict[int, Taken] = {}
        self._taken: list[Taken] = []
        self._scheduled: list[Scheduled] = []
        self._refused = self._repeats = self._parts = 0

    def entry(self) -> Entry:
        """What this document changed."""
        size = len(self._taken) + self._refused + self._repeats
        more = More(self._parts, self._scheduled)
        return Entry(DOOR, size, self._taken, self._refused, self._repeats, more=more)

    def letter(self, content: Content) -> Letter:
        """Looked at once for all its recipients."""
        return Letter(content, self._rules.of_content(content), told(content), parts_of(content))

    def judge(self, letter: Letter, abonent: Abonent, forced: Code | None) -> Line:
        """The report on one recipient. `forced` is one to give instead of taking it.

        A used client id comes first: whatever is wrong today, that message has been sent.
        """
        earlier = self._earlier(abonent)
        if earlier:
            return self._repeat(abonent, earlier)
        refusal = letter.refusal or self._refusal(abonent) or forced
        if refusal is not None and refusal not in ACCEPTING:
            return self.refuse(abonent, refusal)
        fate = self._fates.first(abonent)
        if fate.refused:
            return self.refuse(abonent, Refusal.CLOSED)
        if letter.parts * self._options.price <= self._money:
            return self._take(letter, abonent, fate, refusal)
        no_money = Refusal(self._options.no_money)
        if no_money in ACCEPTING:
            return self._take(letter, abonent, fate, no_money, waits=True)
        return self.refuse(abonent, no_money)

    def refuse(self, abonent: Abonent, code: Code) -> Line:
        """A refused recipient does not use up its client id [unknown - assumption]."""
        self._refused += 1
        return Line(abonent.number_sms, None, None, self._words(code))

    def _refusal(self, abonent: Abonent) -> Refusal | None:
        stopped = abonent.phone in self._account.stop_list
        return Refusal.STOP_LIST if stopped else self._rules.of_phone(abonent.phone)

    def _earlier(self, abonent: Abonent) -> Taken | None:
        """The message this client id was used for. One number space for SMS and Viber, for ever."""
        client_id = abonent.client_id
        if client_id is None or self._contract.forgetful:
            return None
        return self._by_client_id.get(client_id) or self._account.by_own_id(client_id)

    def _repeat(self, abonent: Abonent, earlier: Taken) -> Line:
        """The number of the earlier message, or a text (sheet section 3). Nothing is sent."""
        self._repeats += 1
        text = self._words(Refusal.WAITS_FOR_MONEY) if earlier.waits else SEND
        if self._options.repeat != "id":
            text = self._words(Refusal.ALREADY_SENT)
        if self._options.repeat == "text":
            return Line(abonent.number_sms, None, None, text)
        return Line(abonent.number_sms, earlier.number, earlier.parts, text)

    def _take(
        self, letter: Letter, abonent: Abonent, fate: Fate, said: Code | None, waits: bool = False
    ) -> Line:
        """`said`: the text in place of `send`, of those that do not mean a refusal."""
        begin_at = max(self._now, abonent.begin_at or 0.0)
        plan = self._fates.plan(letter.content.channels, abonent, fate, begin_at)
        one = Taken(
            abonent.client_id, self._next, abonent.phone, content_digest(abonent.phone, *letter.told),
            letter.parts, self._now, begin_at, False, plan, plan[-1].at,
        )  # fmt: skip
        self._next += 1
        self._taken.append(held(one) if waits else one)
        if not waits:
            self._charge(one)
        if one.own_id is not None:
            self._by_client_id[one.own_id] = self._taken[-1]
        if begin_at > self._now:
            self._scheduled.append(_scheduled(letter, abonent, one))
        if said == Refusal.ALREADY_SENT:
            return Line(abonent.number_sms, None, None, self._words(said))
        return Line(abonent.number_sms, one.number, one.parts, SEND if said is None else self._words(said))

    def _charge(self, one: Taken) -> None:
        self._parts += one.parts
        self._money -= one.parts * self._options.price

    def _words(self, code: Code) -> str:
        return in_words(code, self._options.language)


def _scheduled(letter: Letter, abonent: Abonent, one: Taken) -> Scheduled:
    first, kind = letter.content.channels[0], letter.content.kind
    until = abonent.sms_until if first == SMS else abonent.viber_until
    return Scheduled(
        one.number, one.taken_at, letter.told.sender, abonent.phone, kind if first == SMS else first,
        letter.told.text, one.parts, letter.content.get("name_delivery"), one.begin_at, until,
    )  # fmt: skip
