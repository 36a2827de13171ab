"""Every setting is documented where people look for it, and nothing is documented that is not there."""

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from bulk_dispatch.config.settings import Route, Settings, names_only, read_routes
from bulk_dispatch.providers import PROVIDERS
from bulk_dispatch.routing import make_ready
from tests.guards.page import first_cells, rows
from tests.guards.repository import ROOT, pages, text, variables

SETTINGS = {f"WORKER_{field.name.upper()}" for field in fields(Settings)}
OPTIONS = {key for dialect in PROVIDERS.values() for key in dialect.options}
ROUTE_KEYS = {field.name for field in fields(Route)} - {
    "name",
    "options",
} | OPTIONS  # the name is the table's
OF_THE_SUITE = set(re.findall(r"WORKER_TEST_\w+", text("tests/conftest.py")))

ENV_EXAMPLE = "deploy/.env.example"
ROUTES_EXAMPLE = "deploy/routes.example.toml"
COMPOSE = "docker-compose.yml"
REFERENCE = "docs/reference/settings.md"
PAGES = (*pages(), ENV_EXAMPLE, COMPOSE, "deploy/Dockerfile")


def entries() -> dict[str, str]:
    """The variables of .env.example, those commented out too, with their values."""
    return dict(re.findall(r"^#?([A-Z][A-Z_]+)=(.*)$", text(ENV_EXAMPLE), re.MULTILINE))


def uncommented(page: str) -> str:
    """A routes file with the tables that are commented out."""
    return re.sub(r"^# (?=\[routes\.|\w+ = )", "", page, flags=re.MULTILINE)


def test_the_reference_has_every_variable_and_every_key_of_a_route_and_no_other() -> None:
    assert first_cells(text(REFERENCE)) == SETTINGS | ROUTE_KEYS


def documented_defaults() -> dict[str, str]:
    """Keys of a route to the default that the reference shows; those left out that depend on something."""
    shown = [
        (re.findall(r"`(\w+)`", row[0]), re.findall(r"`?([^`, ]+)`?", row[1]))
        for row in rows(text(REFERENCE))
    ]
    return {
        key: default
        for keys, defaults in shown
        for key, default in zip(keys, defaults, strict=False)
        if len(keys) == len(defaults) and default not in ("required", "everywhere")
    }


DEFAULTS = documented_defaults()


def test_the_reference_shows_a_default_for_each_key_that_has_one() -> None:
    fixed = {field.name for field in fields(Route) if field.default not in ("", 0, None, MISSING)}
    assert DEFAULTS.keys() >= fixed - {"options"}


@pytest.mark.parametrize("key", sorted(DEFAULTS.keys() - OPTIONS))
def test_a_key_that_is_set_to_the_default_of_the_reference_changes_nothing(key: str, tmp_path: Path) -> None:
    value = (
        DEFAULTS[key]
        if DEFAULTS[key] in ("true", "false") or DEFAULTS[key].isdigit()
        else repr(DEFAULTS[key])
    )
    path = tmp_path / "routes.toml"
    bare = '[routes.alpha]\nprovider = "alphasms-xml"\nurl = "https://alphasms.example"\nkey = "k"\n'
    path.write_text(bare, "utf-8")
    without = read_routes(path)
    path.write_text(f"{bare}{key} = {value}\n", "utf-8")
    assert read_routes(path) == without


@pytest.mark.parametrize("key", sorted(DEFAULTS.keys() & OPTIONS))
def test_the_default_of_an_option_is_that_of_its_dialect(key: str) -> None:
    values = {dialect.options[key] for dialect in PROVIDERS.values() if key in dialect.options}
    assert values == {{"false": "0"}.get(DEFAULTS[key], DEFAULTS[key])}


def test_the_example_has_every_variable() -> None:
    assert entries().keys() >= SETTINGS


@pytest.mark.parametrize("page", PAGES)
def test_no_page_speaks_of_a_variable_that_is_not_there(page: str) -> None:
    assert set(re.findall(r"\bWORKER_[A-Z_]*[A-Z]\b", text(page))) <= SETTINGS | OF_THE_SUITE


def test_the_example_has_what_compose_and_the_routes_ask_for_and_no_more() -> None:
    secrets = set(re.findall(r'= "env:(\w+)"', text(ROUTES_EXAMPLE)))
    assert entries().keys() == variables(text(COMPOSE)).keys() | secrets | SETTINGS


def test_the_example_shows_the_defaults_of_compose() -> None:
    shown = entries()
    for name, uses in variables(text(COMPOSE)).items():
        for rest in uses:
            default = "" if rest.startswith(":?") else rest.removeprefix(":-")
            assert shown[name] == default, name


def test_the_example_routes_are_good_as_they_stand(tmp_path: Path) -> None:
    """Those that are commented out as well, and every provider is among them."""
    assert make_ready(read_routes(ROOT / ROUTES_EXAMPLE)).keys() == {"sandbox-sync", "sandbox-async"}
    whole = tmp_path / "routes.toml"
    whole.write_text(uncommented(text(ROUTES_EXAMPLE)), "utf-8")
    lines = make_ready(read_routes(whole, secret=names_only))
    real = {line.route.provider for name, line in lines.items() if not name.startswith("sandbox")}
    assert real == set(PROVIDERS)


def test_what_holds_secrets_is_not_for_git() -> None:
    assert ".env" in text(".gitignore").splitlines()
    assert "routes.toml" in text("deploy/.gitignore").splitlines()
