"""The dialects we speak, one explicit line each. Adding one: its file, its line here, its test table."""

from worker.providers.alphasms_xml import AlphaSmsXml
from worker.providers.contract import Account, Dialect

PROVIDERS: dict[str, type[AlphaSmsXml]] = {
    "alphasms-xml": AlphaSmsXml,
}


def dialect(provider: str, account: Account) -> Dialect:
    """The dialect of that name, speaking for that account. Raises KeyError for a name not in PROVIDERS."""
    return PROVIDERS[provider](account)
