"""What the codes of providers say, in words, as people are shown them.

A provider that answers in numbers has their words in its folder (`Dialect.code_texts`); others answer in
words.
"""

from collections.abc import Mapping

from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers import PROVIDERS


def meaning(provider: str | None, code: str | None, target: str | None = None) -> str:
    """A provider's code in words, as it brought a message to the status `target`; empty if it says so itself,
    or nobody knows it."""
    dialect = PROVIDERS.get(provider or "")
    if dialect is None or code is None:
        return ""
    of_request: Mapping[str, str] = dialect.request_code_texts if target == Status.QUEUED else {}
    return of_request.get(code) or dialect.code_texts.get(code, "")


def in_words(provider: str | None, code: str | None, target: str | None = None) -> str:
    """The code with its words, as people are shown it; empty if there is none.

    >>> in_words("alphasms-xml", "105")
    '105 absent subscriber'
    """
    return " ".join(filter(None, (code, meaning(provider, code, target))))
