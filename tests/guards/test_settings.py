"""Every setting is documented where people look for it, and nothing is documented that is not there."""

import json
import re
from dataclasses import MISSING, fields
from datetime import timedelta
from pathlib import Path

import pytest

from bulk_dispatch.config.routes_file import RouteConfig, names_only, read_routes
from bulk_dispatch.config.settings import Settings, SettingsError
from bulk_dispatch.providers import PROVIDERS
from bulk_dispatch.routing import build_routes
from tests.guards.page import first_cells, rows
from tests.guards.repository import ROOT, pages, text, variables

SETTINGS = {f"WORKER_{field.name.upper()}" for field in fields(Settings)}
OPTIONS = {key for dialect in PROVIDERS.values() for key in dialect.options}
ROUTE_KEYS = {field.name for field in fields(RouteConfig)} - {
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


# -- the reference, which docs/generate.py writes from the fields (test_generated holds that)


def test_the_reference_has_every_variable_and_every_key_of_a_route_and_no_other() -> None:
    assert first_cells(text(REFERENCE)) == SETTINGS | ROUTE_KEYS


def section(name: str) -> list[list[str]]:
    """The rows of the tables under a heading of the reference."""
    return rows(text(REFERENCE).split(f"## {name}\n")[1].split("\n## ")[0])


KEYS = {row[0].strip("`"): row[1:] for row in section("Keys of every route")}
"""Keys of a route to what they take, their default, and what they are for."""

DEFAULTS = {key: default.strip("`") for key, (_, default, _) in KEYS.items() if default.startswith("`")}
NUMBERS = {
    key: int(found[1]) for key, row in KEYS.items() if (found := re.search(r", (\d) or more$", row[0]))
}
LENGTHS = {key: "or more" in row[0] for key, row in KEYS.items() if row[0].startswith("a length of time")}


def read(path: Path, **more: object) -> RouteConfig:
    """A route whose table has these keys too."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in (BARE | more).items()]
    path.write_text("\n".join(["[routes.alpha]", *lines]), "utf-8")
    return read_routes(path)["alpha"]


BARE = {"provider": "alphasms-xml", "url": "https://alphasms.example", "key": "k"}


def as_written(default: str) -> object:
    """A default of the reference, as a routes file has it."""
    return json.loads(default) if default in ("true", "false") or default.isdigit() else default


def test_the_reference_shows_a_default_for_each_key_that_has_one() -> None:
    fixed = {field.name for field in fields(RouteConfig) if field.default not in ("", None, MISSING)}

    assert fixed - {"options"} == DEFAULTS.keys()


@pytest.mark.parametrize("key", sorted(DEFAULTS))
def test_a_key_that_is_set_to_the_default_of_the_reference_changes_nothing(key: str, tmp_path: Path) -> None:
    assert read(tmp_path / "routes.toml", **{key: as_written(DEFAULTS[key])}) == read(
        tmp_path / "routes.toml"
    )


@pytest.mark.parametrize("key", sorted(NUMBERS))
def test_a_number_has_the_bounds_of_the_reference(key: str, tmp_path: Path) -> None:
    path = tmp_path / "routes.toml"
    most = int(re.findall(r"A number is at most ([\d,]+)", text(REFERENCE))[0].replace(",", ""))

    assert getattr(read(path, **{key: NUMBERS[key]}), key) == NUMBERS[key]
    assert getattr(read(path, **{key: most}), key) == most
    for beyond in (NUMBERS[key] - 1, most + 1):
        with pytest.raises(SettingsError, match=key):
            read(path, **{key: beyond})


@pytest.mark.parametrize("key", sorted(LENGTHS))
def test_a_length_of_time_has_the_bounds_of_the_reference(key: str, tmp_path: Path) -> None:
    path = tmp_path / "routes.toml"
    [days] = re.findall(r"a length of time at most `(\d+)d`", text(REFERENCE))
    beside = {"in_doubt_max": f"{days}d"}  # which is at least as long as the other waits of doubt

    if LENGTHS[key]:
        assert getattr(read(path, **{key: "0s"}), key) == timedelta(0)
    else:
        with pytest.raises(SettingsError, match=key):
            read(path, **{key: "0s"})
    if key not in ("timeout", "connect_timeout", "lease_margin"):  # the lease must outlast these
        assert getattr(read(path, **(beside | {key: f"{days}d"})), key) == timedelta(days=int(days))
    with pytest.raises(SettingsError, match=key):
        read(path, **{key: f"{int(days) + 1}d"})


def test_the_reference_has_every_key_of_a_dialect_with_its_default() -> None:
    shown = {
        (provider, key.strip("`"), {"false": "0"}.get(default.strip("`"), default.strip("`")))
        for key, providers, default, _ in section("Keys of some providers")
        for provider in re.findall(r"`([^`]+)`", providers)
    }

    assert shown == {
        (provider, key, default)
        for provider, dialect in PROVIDERS.items()
        for key, default in dialect.options.items()
    }


# -- the examples


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
    assert build_routes(read_routes(ROOT / ROUTES_EXAMPLE)).keys() == {"sandbox-sync", "sandbox-async"}
    whole = tmp_path / "routes.toml"
    whole.write_text(uncommented(text(ROUTES_EXAMPLE)), "utf-8")
    lines = build_routes(read_routes(whole, secret=names_only))
    real = {line.config.provider for name, line in lines.items() if not name.startswith("sandbox")}
    assert real == set(PROVIDERS)


def test_what_holds_secrets_is_not_for_git() -> None:
    assert ".env" in text(".gitignore").splitlines()
    assert "routes.toml" in text("deploy/.gitignore").splitlines()
