"""Whoever is in the registry of providers is in everything that is to run over all of them."""

from collections.abc import Iterable, Iterator

from bulk_dispatch.providers import PROVIDERS
from bulk_dispatch.providers.interface import Feature
from bulk_dispatch.sandbox.routes import SANDBOX_ROUTES
from tests.faults.provider import PROVIDED, SENDS
from tests.faults.world import ACCOUNTS
from tests.guards.repository import text

PAGE = text("docs/reference/providers.md")
BEGIN, END = "<!-- features: begin -->", "<!-- features: end -->"


def test_the_sandbox_plays_every_provider() -> None:
    assert {provider.name for provider in PROVIDED} == set(PROVIDERS)


def test_the_demo_and_the_fault_matrix_have_a_route_of_every_provider() -> None:
    assert {route["provider"] for route in SANDBOX_ROUTES.values()} == set(PROVIDERS)
    assert {account["provider"] for account in ACCOUNTS.values()} == set(PROVIDERS)


def test_the_faults_meet_every_provider() -> None:
    assert {provider for provider, _ in SENDS} == set(PROVIDERS)


def matrix() -> Iterator[str]:
    """The table of what each dialect says of itself: kinds, the way out of doubt, a row for each feature."""
    dialects = PROVIDERS.values()
    yield row("", [f"`{provider}`" for provider in PROVIDERS])
    yield row("---", ["---" for _ in dialects])
    yield row("kinds", [", ".join(kind.value for kind in one.kinds) for one in dialects])
    yield row("doubt is settled by", [f"`{one.doubt.value}`" for one in dialects])
    for feature in Feature.__subclasses__():
        what = (feature.__doc__ or "").partition("\n")[0].rstrip(".")
        has = ["yes" if issubclass(one, feature) else "–" for one in dialects]
        yield row(f"`{feature.__name__}`: {what[0].lower()}{what[1:]}", has)


def row(head: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join([head, *cells])} |"


def test_the_feature_matrix_is_what_the_dialects_derive_from() -> None:
    written = PAGE.split(BEGIN)[1].split(END)[0]

    assert written.strip() == "\n".join(matrix())
