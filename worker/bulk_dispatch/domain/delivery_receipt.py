"""A delivery receipt: what a provider tells of one message without being asked."""

from dataclasses import dataclass
from datetime import datetime

from bulk_dispatch.domain.status import Status


@dataclass(frozen=True, slots=True)
class DeliveryReceipt:
    """What a provider pushes about one message, which it names by its own id (or, where `Receipts.hints`,
    perhaps by ours). A `status` of None is only a hint that there is news.

    The other fields mean what they mean in a status report (`providers.interface.StatusReport`).
    """

    provider_message_id: str
    status: Status | None
    code: str = ""
    happened_at: datetime | None = None
    first_channel: bool = False
    read: bool = False
    strange: bool = False
