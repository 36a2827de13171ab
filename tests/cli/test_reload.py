"""`worker reload` says who has read the routes again, and who has not."""

import json

import pytest

from bulk_dispatch.config.routes_file import names_only, read_routes
from bulk_dispatch.intake import Intake
from tests.cli.conftest import ROUTE, Shell
from tests.cli.test_doctor import freeze, leave
from tests.conftest import Setup


@pytest.fixture
def digests(shell: Shell, setup: Setup) -> dict[str, str]:
    """What a process that goes by the routes file tells of it."""
    routes = read_routes(setup.routes(alpha=ROUTE).routes, secret=names_only)
    return {name: route.settings_digest for name, route in routes.items()}


def test_with_nobody_there_it_says_so(shell: Shell, intake: Intake) -> None:
    ran = shell.worker("reload")

    assert ran.code == 1
    assert "no worker and no beat is running" in ran.err


def test_a_file_that_cannot_be_used_is_told_before_anybody_is_asked(
    shell: Shell, setup: Setup, intake: Intake
) -> None:
    setup.routes(alpha={**ROUTE, "speed": 1})

    ran = shell.worker("reload")

    assert ran.code == 1
    assert "speed" in ran.err
    assert intake.asked_to_reload("bulk@here").fleet == 0


def test_who_has_read_the_same_file_is_good(shell: Shell, intake: Intake, digests: dict[str, str]) -> None:
    leave(intake, "bulk@here", ["bulk"], 1, routes=digests, reloads=1)

    plain = shell.worker("reload")
    leave(intake, "bulk@here", ["bulk"], 1, routes=digests, reloads=2)
    told = shell.worker("reload", "--json")

    assert plain.code == told.code == 0
    assert "bulk@here" in plain.out
    assert told.json == {
        "reloaded": True,
        "processes": [{"node": "bulk@here", "reloaded": True, "routes": ["alpha"], "problem": ""}],
    }


@pytest.mark.parametrize(
    ("said_of", "problem"),
    [
        ({"reloads": 0}, "did not read the routes again: restart it"),
        ({"reloads": 1, "kept": "no routes file at x"}, "keeps the routes it had: no routes file at x"),
        (
            {"reloads": 1, "routes": {"beta": "d"}},
            "does not know alpha, still knows beta, unlike the file here",
        ),
    ],
)
def test_who_has_not_or_has_others_is_named_and_the_code_is_1(
    shell: Shell, intake: Intake, digests: dict[str, str], said_of: dict[str, object], problem: str
) -> None:
    leave(intake, "bulk@here", ["bulk"], 1, **{"routes": digests, **said_of})

    ran = shell.worker("reload", "--json", "--wait", "1")

    assert ran.code == 1
    assert json.loads(ran.out)["reloaded"] is False
    assert problem in ran.json["processes"][0]["problem"]


@pytest.mark.slow
def test_who_was_silent_before_is_told_and_is_no_failure(
    shell: Shell, intake: Intake, digests: dict[str, str]
) -> None:
    leave(intake, "bulk@here", ["bulk"], 1, routes=digests, reloads=1)
    leave(intake, "bulk@dead", ["bulk"], 90, routes=digests)
    freeze(intake, "bulk@dead", 90)

    ran = shell.worker("reload", "--wait", "1")

    assert ran.code == 0
    assert "bulk@dead said nothing since" in ran.err
    assert "All of them" not in ran.out
