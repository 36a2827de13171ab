"""The dialects we speak, one explicit line each. Adding one: its folder, its line here, its test table."""

from collections.abc import Mapping

from bulk_dispatch.providers.alphasms.http import AlphaSmsHttp
from bulk_dispatch.providers.alphasms.xml import AlphaSmsXml
from bulk_dispatch.providers.interface import Account, Dialect
from bulk_dispatch.providers.smartswitch.http import SmartSwitch
from bulk_dispatch.providers.webcom.xml import WebcomXml

PROVIDERS: Mapping[str, type[Dialect]] = {
    "alphasms-xml": AlphaSmsXml,
    "alphasms-http": AlphaSmsHttp,
    "smartswitch": SmartSwitch,
    "webcom-xml": WebcomXml,
}


def dialect(provider: str, account: Account) -> Dialect:
    """The dialect of that name, speaking for that account. Raises KeyError for a name not in PROVIDERS."""
    return PROVIDERS[provider](account)
