"""Doubt: how a message is settled of which nobody knows whether they have it."""

from enum import StrEnum


class DoubtPolicy(StrEnum):
    """How a message in doubt is settled."""

    ASK = "ask"  # ask the provider by our own id
    REPEAT = "repeat"  # send it again under the same id: they take it once, and tell which they have
    HOLD = "hold"  # leave it to a person
    RESEND = "resend"  # the caller would rather have it twice than never
    FAIL = "fail"  # the caller would rather have it never than twice


SETTLING = (DoubtPolicy.ASK, DoubtPolicy.REPEAT)
"""Ways to know. Where a provider offers one, nobody has to decide."""

POLICIES = (DoubtPolicy.HOLD, DoubtPolicy.RESEND, DoubtPolicy.FAIL)
"""What a message may say of itself. Whether its provider can be asked is not its to know."""
