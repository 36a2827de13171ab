"""Addresses of servers: taken as people write them, or refused by the variable's name, quoting nothing."""

from collections.abc import Callable

import pytest

from bulk_dispatch.config.server_urls import (
    Address,
    AddressError,
    broker_address,
    database_address,
    next_database,
    redis_address,
)
from bulk_dispatch.config.settings import Settings, SettingsError
from bulk_dispatch.intake import Intake, IntakeError

Read = Callable[[str], str]


# -- what is taken -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "postgresql://db/worker",
        "postgresql://shop:p%23%2F%3F%25%40%5Bss@db:5432/worker",
        "postgresql://shop:a:b;c,d&e=f@db/worker?sslmode=require",
        "postgresql://postgres@/worker?host=/run/postgresql",
        "postgresql://[2001:db8::7]:5432/worker",
    ],
)
def test_given_a_database_as_libpq_documents_it_when_read_then_only_the_driver_is_named(written: str) -> None:
    assert database_address(written) == written.replace("postgresql://", "postgresql+psycopg://")


@pytest.mark.parametrize(
    "written",
    [
        "redis://cache",
        "redis://:p%23ss@cache:6379/0",
        "redis://shop:pa%2Fss@cache:6379/9",
        "rediss://cache/0?ssl_ca_certs=/etc/ca.pem",
        "redis://[::1]:6379/0",
        "unix:///run/me@home.sock?db=2",
    ],
)
def test_given_a_redis_that_all_can_use_when_read_then_it_stays_as_it_is(written: str) -> None:
    assert redis_address(written) == written


@pytest.mark.parametrize(
    "written",
    [
        "redis://:p%40ss@cache:6379/1",
        "redis+socket:///run/redis.sock?virtual_host=1",
        "amqp://guest:guest@rabbit//",
        "sentinel://:pass@one:26379;sentinel://:pass@two:26379",
    ],
)
def test_given_a_broker_that_kombu_knows_when_read_then_it_stays_as_it_is(written: str) -> None:
    assert broker_address(written) == written


@pytest.mark.parametrize(
    ("intake", "broker"),
    [
        ("", ""),
        ("redis://cache:6379/0", "redis://cache:6379/1"),
        ("redis://cache:6379", "redis://cache:6379/1"),
        ("redis://cache:6379/", "redis://cache:6379/1"),
        ("redis://cache", "redis://cache/1"),
        ("redis://:pass@cache:6379/7", "redis://:pass@cache:6379/8"),
        ("redis://anna:pa%2Fss@cache:6379/9", "redis://anna:pa%2Fss@cache:6379/10"),
        ("rediss://cache/0?ssl_cert_reqs=none", "rediss://cache/1?ssl_cert_reqs=none"),
        (
            "rediss://cache/0?ssl_cert_reqs=none&health_check_interval=30",
            "rediss://cache/1?ssl_cert_reqs=none",
        ),
        ("redis://cache?db=3", "redis://cache/4"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/1"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=1"),
        ("unix:///run/redis.sock?db=2", "redis+socket:///run/redis.sock?virtual_host=3"),
        ("unix:///run/a;b.sock", "redis+socket:///run/a%3Bb.sock?virtual_host=1"),
        ("redis://:hu%3Bsh@cache/0", "redis://:hu%3Bsh@cache/1"),
    ],
)
def test_the_brokers_database_is_the_one_after_the_intakes(intake: str, broker: str) -> None:
    assert next_database(intake) == broker


# -- TLS, in both spellings ----------------------------------------------------------------------------

SPELLINGS = [
    ("none", "none"),
    ("optional", "optional"),
    ("required", "required"),
    ("CERT_NONE", "none"),
    ("CERT_OPTIONAL", "optional"),
    ("CERT_REQUIRED", "required"),
    ("cert_none", "none"),
]


@pytest.mark.parametrize("read", [redis_address, broker_address])
@pytest.mark.parametrize(("written", "kept"), SPELLINGS)
def test_given_either_spelling_of_ssl_cert_reqs_when_read_then_it_is_that_of_redis(
    read: Read, written: str, kept: str
) -> None:
    url = f"rediss://:p%23ss@cache:6380/0?ssl_cert_reqs={written}&ssl_check_hostname=false"

    assert read(url) == url.replace(written, kept)
    Intake.connect(redis_address(url)).close()  # redis-py takes the word


@pytest.mark.parametrize("variable", ["WORKER_REDIS_URL", "WORKER_BROKER_URL"])
@pytest.mark.parametrize("word", ["maybe", "CERT_MAYBE", "", "ssl.CERT_NONE"])
def test_given_a_word_that_is_none_when_read_then_variable_and_words_are_named(
    variable: str, word: str
) -> None:
    said = refusal({**GOOD, variable: f"rediss://:hush@cache:6380/0?ssl_cert_reqs={word}"})

    assert said.startswith(f"{variable} has an ssl_cert_reqs that is none of none (CERT_NONE), optional (")
    assert "hush" not in said


def test_given_a_parameter_that_redis_py_lacks_when_connected_then_the_variable_is_named() -> None:
    with pytest.raises(
        IntakeError, match=r"WORKER_REDIS_URL must look like .* parameters that redis-py knows"
    ):
        Intake.connect("redis://:hush@cache:6379/0?colour=blue")


# -- what is refused -----------------------------------------------------------------------------------

GOOD = {"WORKER_DATABASE_URL": "postgresql://db/worker", "WORKER_REDIS_URL": "redis://cache:6379/0"}
ADDRESSES = {
    "WORKER_DATABASE_URL": "postgresql://shop:{}@db:5432/worker",
    "WORKER_REDIS_URL": "redis://:{}@cache:6379/0",
    "WORKER_BROKER_URL": "redis://:{}@cache:6379/1",
}
RAW = ("#", "@", "/", "?", "[", "]", "%", "%zz", "/0?a=b#", "@@")


def refusal(environ: dict[str, str]) -> str:
    """What is said of an environment that cannot be used."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ)
    return str(caught.value)


@pytest.mark.parametrize("variable", ADDRESSES)
@pytest.mark.parametrize("raw", RAW)
@pytest.mark.parametrize("password", ["hush{}tail", "{}hush", "hush{}", "12{}zz"])
def test_given_a_raw_sign_in_a_password_when_read_then_the_given_variable_is_named_and_nothing_shown(
    variable: str, raw: str, password: str
) -> None:
    said = refusal({**GOOD, variable: ADDRESSES[variable].format(password.format(raw))})

    assert said.startswith(f"{variable} must look like ")
    assert "# / ? % @ [ ] ; are written %23 %2F %3F %25 %40 %5B %5D %3B" in said
    assert not [part for part in ("hush", "tail", "12", "zz") if part in said]


@pytest.mark.parametrize("variable", ["WORKER_REDIS_URL", "WORKER_BROKER_URL"])
@pytest.mark.parametrize("password", ["hush;tail", ";hush", "hush;", "12;zz"])
def test_given_a_raw_semicolon_in_a_password_when_read_then_the_given_variable_is_named_and_nothing_shown(
    variable: str, password: str
) -> None:
    said = refusal({**GOOD, variable: ADDRESSES[variable].format(password)})

    assert said.startswith(f"{variable} must look like ")
    assert not [part for part in ("hush", "tail", "12", "zz") if part in said]


@pytest.mark.parametrize(
    ("variable", "written"),
    [
        ("WORKER_BROKER_URL", "amqp://shop:hu;sh@rabbit//"),
        ("WORKER_BROKER_URL", "sentinel://:hu;sh@one:26379;sentinel://:hu;sh@two:26379"),
        ("WORKER_DATABASE_URL", "mysql://db/worker"),
        ("WORKER_DATABASE_URL", "hush"),
        ("WORKER_DATABASE_URL", "postgresql+psycopg2://db/worker"),
        ("WORKER_DATABASE_URL", "postgresql://db:hush/worker"),
        ("WORKER_REDIS_URL", "http://:hush@cache"),
        ("WORKER_REDIS_URL", "redis://:hush@cache/first"),
        ("WORKER_REDIS_URL", "redis://cache?db=hush"),
        ("WORKER_REDIS_URL", "unix://run/redis.sock"),
        ("WORKER_REDIS_URL", "redis+socket:///run/redis.sock"),
    ],
)
def test_given_what_is_no_such_address_when_read_then_the_variable_is_named(
    variable: str, written: str
) -> None:
    said = refusal({**GOOD, variable: written})

    assert said.startswith(f"{variable} must look like ")
    assert "hush" not in said


@pytest.mark.parametrize("missing", ["WORKER_DATABASE_URL", "WORKER_REDIS_URL"])
def test_given_one_of_the_pair_when_read_then_the_one_that_lacks_is_named(missing: str) -> None:
    said = refusal({name: value for name, value in GOOD.items() if name != missing})

    assert said.startswith(f"{missing} is not set: ")


def test_no_part_of_an_address_is_in_its_repr_or_its_error() -> None:
    assert "hush" not in repr(Address.read("redis://:hush@cache/0", "must"))
    with pytest.raises(AddressError) as caught:
        Address.read("redis://:hu#sh@cache/0", "must look better")
    assert "sh@" not in str(caught.value)
