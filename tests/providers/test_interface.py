"""What a dialect derives from: it has the features that it names, whole, and no other."""

from collections.abc import Sequence
from inspect import get_annotations, isabstract

import pytest

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.package import Limits, OutboundMessage
from bulk_dispatch.providers import PROVIDERS, dialect
from bulk_dispatch.providers import account as account_features
from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.providers.interface import (
    Account,
    Acknowledgement,
    Answered,
    Asked,
    Cancels,
    Dialect,
    Feature,
    Push,
    Receipts,
    Reply,
    Request,
)
from tests.providers.harness import sample_of

ACCOUNT = Account("https://pigeon.example", key="secret")


class Pigeon(Dialect):
    """The least that a dialect is."""

    kinds = (Kind.SMS,)
    doubt = DoubtPolicy.HOLD

    def __init__(self, account: Account) -> None:
        self.url = account.url
        self.limits = Limits(items=1, octets=1000)

    def check(self, message: Message) -> None:
        """It carries all."""

    def submit(self, items: Sequence[OutboundMessage]) -> Request:
        return Request(self.url, b"")

    def read_submit(self, items: Sequence[OutboundMessage], reply: Reply) -> Answered | Failure:
        return Answered(())

    def cancel(self, asked: Sequence[Asked]) -> Request:
        return Request(self.url, b"")

    def read_cancel(self, asked: Sequence[Asked], reply: Reply) -> Answered | Failure:
        return Answered(())


class Recalled(Pigeon, Cancels):
    """It names the feature that it has the methods of."""

    cancel_items = 1


class Misspelt(Pigeon, Receipts):
    """It names a feature, and calls the method by another name."""

    hints = True

    def read_receipt(self, push: Push) -> Sequence[DeliveryReceipt] | Failure:
        return []


class Pushing(Misspelt):
    """The same, mended."""

    def read_receipts(self, push: Push) -> Sequence[DeliveryReceipt] | Failure:
        return self.read_receipt(push)


def test_a_feature_is_had_by_its_name_and_not_by_those_of_its_methods() -> None:
    assert not isinstance(Pigeon(ACCOUNT), Cancels)
    assert isinstance(Recalled(ACCOUNT), Cancels)


def test_a_dialect_that_lacks_a_method_of_a_feature_cannot_be_made() -> None:
    assert isabstract(Misspelt)
    with pytest.raises(TypeError, match="read_receipts"):
        Misspelt(ACCOUNT)  # type: ignore[abstract]


def test_what_a_dialect_need_not_say() -> None:
    pigeon = Pushing(ACCOUNT)

    assert {pigeon.apart(kind) for kind in Kind} == {""}
    assert pigeon.options == {}
    assert pigeon.acknowledge([DeliveryReceipt("1", None)]) == Acknowledgement(b"OK", "text/plain")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_dialect_has_what_its_features_name(provider: str) -> None:
    """Methods are seen to by Python; values such as `cancel_items` are not."""
    for account in sample_of(provider).accounts:
        speaker = dialect(provider, account)
        has: list[type] = [kind for kind in Feature.__subclasses__() if isinstance(speaker, kind)]
        named = {name for kind in [Dialect, *has] for name in get_annotations(kind)}
        assert {"kinds", "doubt", "limits"} <= named
        assert [name for name in sorted(named) if not hasattr(speaker, name)] == []


def test_every_feature_is_some_dialects() -> None:
    features = Feature.__subclasses__()

    assert {kind.__module__ for kind in features} == {Dialect.__module__, account_features.__name__}
    assert [kind for kind in features if not any(issubclass(one, kind) for one in PROVIDERS.values())] == []
