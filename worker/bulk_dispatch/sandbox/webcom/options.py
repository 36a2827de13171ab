"""What one can set on the make-believe webcom account, besides credentials."""

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class WebcomOptions:
    """Where the sheet leaves a choice, and what stands in the customer's contract."""

    zone: str = "Europe/Moscow"  # the account's, of every time in and out
    identical_seconds: float = 0  # the same request within this time is refused; 0: never
    repeat: Literal["id", "text", "both"] = "id"  # a used client id gets its number, text 18, or both
    take_repeats: bool = False  # of used client ids: as a gateway that keeps no count of them
    language: Literal["english", "russian"] = "english"  # of error texts
    money: float = 1e9  # on the account, at first
    price: float = 1.0  # of a part
    no_money: Literal[1, 2, 17] = 2  # the text when it is out: refused, or (17) sent after a top-up
    # who and what may be sent
    blocked: bool = False  # the account
    senders: frozenset[str] | None = None  # of SMS and Viber; None: every name will do
    unmoderated: frozenset[str] = frozenset()  # senders known but not approved
    stop_list: frozenset[str] = frozenset()  # digits; on a new account
    closed: str = ""  # regular expression, matched against the digits from the first
    closed_for_you: str = ""  # the same, for this customer only
    forbidden: str = ""  # regular expression: texts with it are rejected by the moderator
    # what becomes of delivered messages, as shares; the rest stays with `deliver`
    partly: float = 0.0  # no receipt comes, `partly_deliver`; of every channel
    read: float = 0.5  # Viber
    link: float = 0.05  # Viber: followed the link
    unsubscribe: float = 0.01  # Viber
    # how this installation reads what its page leaves open
    line_break: Literal["backslash-n", "line-feed"] = "backslash-n"  # in a text; the other is none
    # how this installation writes
    error_status: Literal[400, 200] = 400  # HTTP, beside `<error>`; 200 is an older installation's
    time_shape: Literal["full", "clock"] = "full"  # `time.php` is documented with both
    push_root: Literal["response", "request"] = "response"  # so are pushes
    newer: bool = False  # the attributes of newer releases: id_turn, num_parts, price, currency
    untidy: bool = False  # blanks around texts, a full stop behind errors and behind the root of pushes
    page_items: int = 100  # scheduled messages a page
    push_items: int = 100  # states a push

    def __post_init__(self) -> None:
        if min(self.partly, self.read, self.link, self.unsubscribe) < 0:
            raise ValueError("shares must not be negative")
        if max(self.partly, self.read + self.link + self.unsubscribe) > 1:
            raise ValueError("shares of the same messages must not be over 1 together")
        if min(self.identical_seconds, self.price) < 0:
            raise ValueError("seconds and prices must not be negative")
        if min(self.page_items, self.push_items) < 1:
            raise ValueError("a page and a push hold at least one message")
        for pattern in (self.closed, self.closed_for_you, self.forbidden):
            re.compile(pattern)
