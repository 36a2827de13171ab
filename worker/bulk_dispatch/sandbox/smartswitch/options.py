"""What one can set on the make-believe SMARTSwitch installation, besides credentials."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SmartSwitchOptions:
    """Where the sheet leaves a choice: limits and some formats differ between installations."""

    params_in: Literal["query", "form", "both"] = "both"  # query is documented, form an assumption
    query_bytes: int = 4096  # a query must be shorter [assumption of the sheet]
    recipients_query: int = 10  # most in a call [assumption of the sheet]
    recipients_form: int = 50  # the same
    request_id_in: Literal["meta", "attributes", "top"] = "meta"  # sample, table, neither (trap 2)
    unasked_request_ids: bool = True  # where none was sent, the place is given, as in the samples (trap 2)
    plus: bool = False  # numbers with a plus in front, and no others; the samples have none
    cyrillic_ok: bool = False  # the status "ok" as the table writes it, instead of the samples (trap 3)
    media_type: str = "application/vnd.api+json"  # of answers; JSON:API's own, the sheet publishes none
    error_status: int = 200  # HTTP status beside `errors`; unpublished too
    receipts_as: Literal["form", "json"] = "form"  # JSON is what an operator may configure [vendor docs]
    receipt_id: str = "message_id"  # the receipt's fields, which an operator may name otherwise (trap 10)
    receipt_state: str = "message_state"

    def __post_init__(self) -> None:
        if min(self.query_bytes, self.recipients_query, self.recipients_form) < 1:
            raise ValueError("limits of a call must be at least 1")
        if self.receipt_id == self.receipt_state:
            raise ValueError("the two fields of a receipt need two names")
