"""One AlphaSMS account with its doors."""

from collections.abc import Sequence

from worker.sandbox.alphasms.account import AlphasmsAccount
from worker.sandbox.alphasms.http import AlphasmsHttp
from worker.sandbox.alphasms.xml import AlphasmsXml
from worker.sandbox.journal import Journal
from worker.sandbox.options import SandboxOptions
from worker.sandbox.provider import Provider


def alphasms(options: SandboxOptions, journal: Journal | None) -> Sequence[Provider]:
    """XML and plain HTTP: what one has taken, the other knows."""
    account = AlphasmsAccount(journal, options.alphasms.money)
    return AlphasmsXml(options, account), AlphasmsHttp(options, account)
