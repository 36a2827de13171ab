"""The push of states (sheet section 8): nothing of it is published but that there is one.

So it is the least that a client was seen to take: an id under `id` or `message_id`, and `status`. A hint to
ask, told once.
"""

import json
from collections.abc import Sequence
from urllib.parse import urlencode

from bulk_dispatch.sandbox.alphasms.account import Taken
from bulk_dispatch.sandbox.alphasms.codes import State
from bulk_dispatch.sandbox.alphasms.options import AlphasmsOptions
from bulk_dispatch.sandbox.provider import News, Push

STRANGE_ID = 900_000_000_000_001


class AlphasmsReceipts:
    """See `Receipts`. One message a call, and no second attempt [assumption]."""

    most = 1
    attempts = 1

    def __init__(self, options: AlphasmsOptions) -> None:
        self._as_json = options.push == "json"

    def instants(self, record: Taken) -> Sequence[float]:
        """The end only."""
        return (record.final_at,)

    def push(self, news: Sequence[News]) -> Push:
        """By own id if it has one, else by the gateway's number; the state by name."""
        [(record, at)] = news
        assert isinstance(record, Taken)
        named = ("message_id", record.sms_id) if record.own_id is None else ("id", record.own_id)
        fields = {named[0]: str(named[1]), "status": record.state(at).name}
        if self._as_json:
            return Push(json.dumps(fields).encode(), "application/json")
        return Push(urlencode(fields).encode(), "application/x-www-form-urlencoded")

    def acknowledged(self, status: int, _body: bytes, news: Sequence[News]) -> list[int]:
        """Any good answer will do."""
        return [one.record.number for one in news] if 200 <= status < 300 else []

    def strangers(self, count: int, at: float) -> list[News]:
        """With ids nobody has used."""
        ids = range(STRANGE_ID, STRANGE_ID + count)
        return [News(Taken(one, one, "", "", "0", 1, at, at, at, at, at, State.DELIVERED), at) for one in ids]
