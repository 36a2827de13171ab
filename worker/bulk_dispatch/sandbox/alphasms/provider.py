"""One AlphaSMS account with its doors."""

from collections.abc import Sequence

from bulk_dispatch.sandbox.alphasms.account import AlphasmsAccount
from bulk_dispatch.sandbox.alphasms.http import AlphasmsHttp
from bulk_dispatch.sandbox.alphasms.xml import AlphasmsXml
from bulk_dispatch.sandbox.journal import Journal
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.provider import Provider


def alphasms(options: SandboxOptions, journal: Journal | None) -> Sequence[Provider]:
    """XML and plain HTTP: what one has taken, the other knows."""
    account = AlphasmsAccount(journal, options.alphasms.money)
    return AlphasmsXml(options, account), AlphasmsHttp(options, account)
