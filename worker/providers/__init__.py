"""The dialects we speak, one explicit line each. Adding one: its file, its line here, its test table."""

from collections.abc import Mapping

from worker.providers.alphasms_http import AlphaSmsHttp
from worker.providers.alphasms_xml import AlphaSmsXml
from worker.providers.contract import Account, Dialect
from worker.providers.smartswitch import SmartSwitch
from worker.providers.webcom_xml import WebcomXml

PROVIDERS: Mapping[str, type[Dialect]] = {
    "alphasms-xml": AlphaSmsXml,
    "alphasms-http": AlphaSmsHttp,
    "smartswitch": SmartSwitch,
    "webcom-xml": WebcomXml,
}


def dialect(provider: str, account: Account) -> Dialect:
    """The dialect of that name, speaking for that account. Raises KeyError for a name not in PROVIDERS."""
    return PROVIDERS[provider](account)
