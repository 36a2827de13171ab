"""Settings: what cannot be used is refused, named by its variable, and without a secret."""

import os
from dataclasses import fields
from pathlib import Path

import pytest

from bulk_dispatch.config.settings import Settings, SettingsError

SECRET = "s3cret"
DATABASE, REDIS = "postgresql://anna:s3cret@db/worker", "redis://:s3cret@cache:6379/4"
BOTH = {"WORKER_DATABASE_URL": DATABASE, "WORKER_REDIS_URL": REDIS}


def test_without_an_environment_the_embedded_pair_is_meant() -> None:
    settings = Settings.from_env({})

    assert settings == Settings()
    assert settings.embedded
    assert (settings.database_url, settings.redis_url, settings.broker_url) == ("", "", "")
    assert (settings.routes, settings.data_dir) == (Path("routes.toml"), Path(".worker"))


def test_the_environment_says_where_things_are() -> None:
    settings = Settings.from_env(
        {
            **BOTH,
            "WORKER_BROKER_URL": "redis://elsewhere/0",
            "WORKER_ROUTES": "/etc/routes.toml",
            "WORKER_DATA_DIR": "/var/lib/worker",
            "WORKER_LOG_LEVEL": "debug",
            "WORKER_DURABILITY": "fsync",
            "SOMETHING_ELSE": "x",
        }
    )

    assert settings == Settings(
        database_url="postgresql+psycopg://anna:s3cret@db/worker",
        redis_url=REDIS,
        broker_url="redis://elsewhere/0",
        routes=Path("/etc/routes.toml"),
        data_dir=Path("/var/lib/worker"),
        log_level="DEBUG",
        durability="fsync",
    )
    assert not settings.embedded


def test_the_broker_goes_with_the_intake_unless_it_is_given() -> None:
    assert Settings.from_env(BOTH).broker_url == "redis://:s3cret@cache:6379/5"


@pytest.mark.parametrize(
    "url", ["postgres://db/worker", "postgresql://db/worker", "postgresql+psycopg://db/worker"]
)
def test_a_database_url_is_taken_as_people_write_it(url: str) -> None:
    assert Settings.from_env({**BOTH, "WORKER_DATABASE_URL": url}).database_url == (
        "postgresql+psycopg://db/worker"
    )


BROKEN: dict[str, tuple[dict[str, str], str]] = {
    "no redis": ({"WORKER_DATABASE_URL": DATABASE}, "WORKER_REDIS_URL"),
    "no database": ({"WORKER_REDIS_URL": REDIS}, "WORKER_DATABASE_URL"),
    "empty redis": ({**BOTH, "WORKER_REDIS_URL": ""}, "must be given together"),
    "redis elsewhere": ({**BOTH, "WORKER_REDIS_URL": "http://:s3cret@cache"}, "WORKER_REDIS_URL"),
    "redis nonsense": ({**BOTH, "WORKER_REDIS_URL": "s3cret"}, "WORKER_REDIS_URL"),
    "redis database": ({**BOTH, "WORKER_REDIS_URL": "redis://:s3cret@cache/first"}, "WORKER_REDIS_URL"),
    "durability": ({"WORKER_DURABILITY": "memory"}, "WORKER_DURABILITY must be one of redis, fsync"),
    "log level": ({"WORKER_LOG_LEVEL": "loud"}, "WORKER_LOG_LEVEL must be one of DEBUG, INFO"),
}


@pytest.mark.parametrize(("environ", "names"), BROKEN.values(), ids=BROKEN)
def test_an_environment_that_cannot_be_used_names_the_variable(environ: dict[str, str], names: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ)

    assert names in str(caught.value)
    assert SECRET not in str(caught.value)


def test_settings_travel_to_a_child_process_through_its_environment() -> None:
    settings = Settings.from_env({**BOTH, "WORKER_ROUTES": "/etc/routes.toml", "WORKER_LOG_LEVEL": "error"})

    assert Settings.from_env(settings.environment()) == settings
    assert Settings.from_env(Settings().environment()) == Settings()
    assert settings.environment().keys() == {f"WORKER_{field.name.upper()}" for field in fields(Settings)}


def test_the_environment_of_the_process_is_the_default() -> None:
    assert Settings.from_env() == Settings.from_env(os.environ)


def test_the_repr_shows_no_address_and_no_secret() -> None:
    shown = repr(Settings.from_env({**BOTH, "WORKER_BROKER_URL": "redis://:s3cret@cache:6379/5"}))

    assert SECRET not in shown
    assert "cache" not in shown
    assert "log_level" in shown
