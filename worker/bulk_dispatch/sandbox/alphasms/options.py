"""What one can set on the make-believe AlphaSMS account, besides credentials."""

from dataclasses import dataclass
from typing import Literal

from bulk_dispatch.sandbox.alphasms.status_texts import Language


@dataclass(frozen=True)
class AlphasmsOptions:
    """Where the sheet leaves a choice. Prices are those of one segment, and of one Viber message."""

    money: float = 1e9  # on the account, at first; at nought or below every message gets 206
    price: float = 0.91
    viber_price: float = 0.45
    currency: str = "UAH"
    language: Language = "english"  # of the HTTP texts
    pairs: Literal["space", "line"] = "space"  # between HTTP pairs: as documented, or as captured
    count: Literal["sms_count", "smd_count"] = "sms_count"  # HTTP: as in the sample, or as in the table
    flash: str = "1"  # HTTP: the value that makes a message one; the page names none
    push: Literal["form", "json"] = "form"  # unpublished
    # as another client reads the same pages (alphasms-client 0.1.3); XML
    delete_in: Literal["delete", "status"] = "delete"  # what the answer to `delete` stands in
    local_numbers: bool = False  # 0931110001 is read as +380931110001, and told so in prices
    number_senders: bool = False  # a whole phone number may be a sender
