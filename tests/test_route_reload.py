"""The routes of a process: read once, again when asked, and kept when the new file cannot be used."""

from pathlib import Path

import pytest

from bulk_dispatch.config.routes_file import names_only
from bulk_dispatch.config.settings import SettingsError
from bulk_dispatch.route_reload import RouteTable

ALPHA = '[routes.alpha]\nprovider = "alphasms-xml"\nurl = "http://127.0.0.1:9"\nkey = "env:NO_SUCH_KEY"\n'
BETA = ALPHA.replace("alpha]", "beta]").replace(":9", ":8")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "routes.toml"
    path.write_text(ALPHA, "utf-8")
    return path


def table(path: Path) -> RouteTable:
    """A table that needs no credentials, read for the first time."""
    made = RouteTable(path)
    made.read(names_only)
    return made


def test_a_new_route_is_known_once_the_file_is_read_again_and_no_sooner(path: Path) -> None:
    known = table(path)
    taken = known.routes
    path.write_text(ALPHA + BETA, "utf-8")

    assert list(known.routes) == ["alpha"]
    known.read_again()

    assert list(known.routes) == ["alpha", "beta"]
    assert list(taken) == ["alpha"]  # whoever began with it ends with it
    assert known.kept == ""


def test_a_file_that_says_the_same_changes_nothing(path: Path) -> None:
    known = table(path)
    taken = known.routes
    path.write_text(f"# a word of explanation\n{ALPHA}", "utf-8")

    known.read_again()

    assert known.routes is taken


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "names no route"),
        (ALPHA + "[routes.beta", "is not valid TOML"),
        (ALPHA + "speed = 1\n", "speed"),
        (None, "no routes file at"),
    ],
)
def test_a_file_that_cannot_be_used_leaves_the_routes_as_they_were_and_says_why(
    path: Path, content: str | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    known = table(path)
    taken = known.routes
    if content is None:
        path.unlink()
    else:
        path.write_text(content, "utf-8")

    known.read_again()

    assert known.routes is taken
    assert said in known.kept
    assert "routes_kept" in caplog.text

    path.write_text(ALPHA + BETA, "utf-8")
    known.read_again()
    assert (list(known.routes), known.kept) == (["alpha", "beta"], "")


def test_credentials_come_later_from_where_they_came_first(path: Path) -> None:
    known = RouteTable(path)
    with pytest.raises(SettingsError, match="NO_SUCH_KEY"):
        known.read()
    known.read(names_only)
    path.write_text(ALPHA + BETA, "utf-8")

    known.read_again()

    assert known.routes["beta"].config.key == "NO_SUCH_KEY"


def test_a_digest_tells_other_settings_and_no_credential(path: Path) -> None:
    first = table(path).digests
    path.write_text(ALPHA.replace("NO_SUCH_KEY", "ANOTHER_KEY"), "utf-8")
    assert table(path).digests == first

    for other in ("parallel = 3\n", 'timeout = "21s"\nlease = "90s"\n', "default = true\n"):
        path.write_text(ALPHA + other, "utf-8")
        assert table(path).digests != first
