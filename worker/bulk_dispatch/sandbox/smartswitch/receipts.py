"""Receipts: one message a call, as a form of two fields or as JSON (sheet section 4)."""

import json
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import urlencode

from bulk_dispatch.sandbox.provider import News, Push
from bulk_dispatch.sandbox.smartswitch.account import Taken, nobodys_number
from bulk_dispatch.sandbox.smartswitch.codes import State
from bulk_dispatch.sandbox.smartswitch.options import SmartSwitchOptions

FORM, JSON = "application/x-www-form-urlencoded", "application/json"


class SmartSwitchReceipts:
    """Only of messages that asked for one, and never a second try [unknown - assumption: expect no retry]."""

    most = 1
    attempts = 1

    def __init__(self, options: SmartSwitchOptions) -> None:
        self._options = options

    def instants(self, record: Any) -> Sequence[float]:
        """Of a state on the way, and of the end."""
        return (record.first_at, record.final_at) if record.require_dlr else ()

    def push(self, news: Sequence[News]) -> Push:
        """`message_id` is the `id` of the answer [vendor docs]."""
        [(record, at)] = news
        fields = {
            self._options.receipt_id: str(record.number),
            self._options.receipt_state: record.state_name(at),
        }
        if self._options.receipts_as == "json":
            return Push(json.dumps(fields).encode(), JSON)
        return Push(urlencode(fields).encode(), FORM)

    def acknowledged(self, status: int, _body: bytes, news: Sequence[News]) -> Collection[int]:
        """By 200, and the body may be anything [unknown - assumption]."""
        return [one.record.number for one in news] if status == 200 else ()

    def strangers(self, count: int, at: float) -> list[News]:
        """Delivered, and sent by nobody."""
        return [News(_stranger(nobodys_number(), at), at) for _ in range(count)]


def _stranger(number: int, at: float) -> Taken:
    return Taken(None, number, "", "", 1, True, at, at, at, State.ENROUTE, State.DELIVERED)
