"""The codes and errors of AlphaSMS over plain HTTP: what each amounts to.

Source: AlphaSMS documentation, captured answers, and what public clients look for.
"""

import re

from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers.failures import CREDENTIALS, MISDIRECTED
from bulk_dispatch.providers.formats.key_value import Pairs

SUBMITTED = {"id": Status.SENT, "receiver": Status.REJECTED}
"""What an answer to `send` amounts to, by what stands in it: an id, or the error about the receiver."""

ERRORS = {
    "login": re.compile(r"^(wrong|invalid) (login|password)\b"),
    "key": re.compile(r"^(wrong|invalid) key\b"),  # a guess: nobody has seen one
    "command": re.compile(r"^unknown command\b"),
    "receiver": re.compile(r"valid receiver"),  # they ask for a valid receiver number
    "not found": re.compile(r"\bnot found\b"),  # the SMS
}
"""The texts of `errors` that are understood, by a word for each."""

FAILURES = {
    "login": CREDENTIALS,
    "key": CREDENTIALS,
    "command": MISDIRECTED,  # every call has the same, so no message is to blame
}
"""Errors that are about the call and not about its message."""

STATES = {
    "0": Status.SENT,  # pending
    "1": Status.SENT,  # being sent
    "2": Status.SENT,
    "3": Status.DELIVERED,
    "5": Status.SENT,  # out of reach: they go on trying
    "10": Status.CANCELLED,  # deleted
    "50": Status.UNDELIVERABLE,  # delivered in part, which nobody can read
    "95": Status.UNDELIVERABLE,  # operator not supported
    "96": Status.UNDELIVERABLE,  # network failure
    "99": Status.UNDELIVERABLE,  # bad number, number not in service
    "116": Status.DELIVERED,  # and read, in Viber
}
"""`code` in the answer to `receive`."""

READ = "116"


def errors_in(said: Pairs) -> list[str]:
    """Our words for their errors; "?" for one that nobody has seen."""
    return [
        next((word for word, seen in ERRORS.items() if seen.search(text.strip().lower())), "?")
        for text in said.get("errors", ())
    ]
