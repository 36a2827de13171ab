"""docker-compose.yml is valid, holds together, and loses nothing."""

import re
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from bulk_dispatch.config.routes_file import RouteConfig, duration
from bulk_dispatch.config.server_urls import next_database
from bulk_dispatch.config.settings import Settings
from bulk_dispatch.local.processes.process_set import GRACE
from bulk_dispatch.monitoring.heartbeat import BEAT, STALL_AFTER
from tests.guards.repository import (
    ROOT,
    celery_workers,
    compose,
    filled,
    option,
    pyproject,
    services,
    text,
    variables,
)

NAME = pyproject()["project"]["name"]
ENDS_BY_ITSELF = {"migrate"}
PASSWORDS = {name: "secret" for name in variables(text("docker-compose.yml")) if name.endswith("_PASSWORD")}

Service = dict[str, Any]


def is_ours(service: Service) -> bool:
    return bool(service["image"].startswith(NAME))


EVERY = pytest.mark.parametrize("service", [pytest.param(s, id=name) for name, s in services().items()])
OURS = pytest.mark.parametrize(
    "service", [pytest.param(s, id=name) for name, s in services().items() if is_ours(s)]
)
CONSUMERS = pytest.mark.parametrize(
    "service",
    [pytest.param(s, id=name) for name, s in services().items() if celery_workers([s.get("command", [])])],
)


def test_it_is_what_the_compose_specification_allows() -> None:
    command = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]
    checked = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


# -- it holds together


@EVERY
def test_a_service_says_which_image(service: Service) -> None:
    _, _, tag = service["image"].rpartition(":")
    assert tag != "latest"
    assert re.match(r"[\d.]+", tag) or "build" in service


@EVERY
def test_a_service_waits_for_what_can_happen(service: Service) -> None:
    for name, condition in service.get("depends_on", {}).items():
        awaited = services()[name]
        match condition["condition"]:
            case "service_healthy":
                assert "healthcheck" in awaited
            case "service_completed_successfully":
                assert name in ENDS_BY_ITSELF
            case other:
                pytest.fail(f"{name} is awaited as {other}")


@pytest.mark.parametrize("kind", ["volumes", "networks", "configs"])
def test_what_services_use_is_declared_and_what_is_declared_is_used(kind: str) -> None:
    used = {
        use["source"] if isinstance(use, dict) else use.split(":")[0]
        for service in services().values()
        for use in service.get(kind, [])
    }
    assert used == set(compose()[kind])


def test_what_goes_on_is_restarted_and_what_ends_is_not() -> None:
    assert {name for name, service in services().items() if service["restart"] == "no"} == ENDS_BY_ITSELF


def test_everything_that_can_be_asked_for_its_health_is() -> None:
    unasked = {name for name, service in services().items() if "healthcheck" not in service}
    assert unasked == ENDS_BY_ITSELF


@CONSUMERS
def test_a_worker_is_judged_by_its_work_and_its_own_name(service: Service) -> None:
    name = option(service["command"], "-n", "--hostname")
    assert service["healthcheck"]["test"] == ["CMD", "worker", "doctor", "--node", name]


def test_beat_is_judged_by_what_it_schedules() -> None:
    beat = services()["beat"]
    assert beat["command"][-1] == BEAT
    assert beat["healthcheck"]["test"] == ["CMD", "worker", "doctor", "--node", f"{BEAT}@%h"]


@CONSUMERS
def test_what_is_stalled_is_found_soon_and_what_starts_is_given_time(service: Service) -> None:
    look = service["healthcheck"]
    assert duration("start_period", look["start_period"]) > STALL_AFTER
    assert STALL_AFTER + look["retries"] * duration("interval", look["interval"]) <= timedelta(minutes=2)


# -- it keeps what it has and says nothing to strangers


@CONSUMERS
def test_a_worker_may_finish_what_is_in_flight(service: Service) -> None:
    route = RouteConfig(name="any", provider="any", url="http://any")
    grace = duration("stop_grace_period", service["stop_grace_period"])
    assert grace >= route.connect_timeout + route.timeout + timedelta(seconds=10)
    assert grace >= GRACE


def test_redis_forgets_nothing() -> None:
    command = services()["redis"]["command"]
    assert option(command, "--appendonly") == "yes"
    assert option(command, "--maxmemory-policy") == "noeviction"


@EVERY
def test_what_is_kept_outlives_its_container(service: Service) -> None:
    keeps = {"postgres": "/var/lib/postgresql", "redis": "/data"}
    if place := keeps.get(service["image"].split(":")[0]):
        assert [volume.split(":")[1] for volume in service["volumes"]] == [place]


@OURS
def test_our_containers_can_change_nothing_and_gain_nothing(service: Service) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "user" not in service  # the image's own, who is not root
    assert "privileged" not in service


@EVERY
def test_ports_are_open_to_this_machine_only(service: Service) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_servers_are_on_a_network_without_a_way_out() -> None:
    assert compose()["networks"]["inside"]["internal"] is True
    assert {name for name in ("postgres", "redis") if services()[name]["networks"] == ["inside"]} == {
        "postgres",
        "redis",
    }


@pytest.mark.parametrize("name", PASSWORDS)
def test_a_password_has_no_default(name: str) -> None:
    assert all(rest.startswith(":?") for rest in variables(text("docker-compose.yml"))[name])


def test_flower_asks_for_a_password() -> None:
    credentials = services()["flower"]["environment"]["FLOWER_BASIC_AUTH"]
    assert filled(credentials, {"FLOWER_PASSWORD": "secret"}) == "admin:secret"


# -- its settings are ours


@OURS
def test_the_environment_is_one_we_can_read(service: Service) -> None:
    given = {
        key: filled(value, PASSWORDS)
        for key, value in service.get("environment", {}).items()
        if key.startswith("WORKER_")
    }
    settings = Settings.from_env(given)
    assert given.keys() <= settings.environment().keys()
    assert settings.broker_url == (next_database(settings.redis_url) if given else "")
