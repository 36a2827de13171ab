"""Rules about the repository itself: what lies where, the lock, the commands, and no secrets."""

import ast
import re
import subprocess
from collections.abc import Iterator
from itertools import chain

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bulk_dispatch.local.servers import binaries
from bulk_dispatch.version import __version__
from tests.guards.page import commands, inline_commands
from tests.guards.repository import ROOT, pages, pyproject, text

TOP_LEVEL = {
    "worker", "migrations", "tests", "deploy", "docker-compose.yml", "pyproject.toml", "README.md",
    "Makefile", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "requirements.lock", "findings", "docs",
    "examples",
}  # fmt: skip
"""Nothing else without a reason."""

LEFT_BEHIND = {"build", "dist"}  # by tools; git ignores them

SECRETS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\bgh[pousr]_\w{30,}",
    r"\bsk-[\w-]{20,}",
    r"\bxox[abprs]-[\w-]{10,}",
    r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.",  # a signed token
    r"""(?i)(?:key|token|secret|passwo?r?d)\w*["']?\s*[:=]\s*["']?(?=[\w+/-]*\d)(?=[\w+/-]*[a-z])[\w+/-]{16,}""",
)


def sources() -> Iterator[tuple[str, str]]:
    """Every text file that is ours, but for the tests (they need keys to try) and the lock (hashes)."""
    for name in sorted(TOP_LEVEL - {"tests", "requirements.lock"}):
        for path in [ROOT / name, *(ROOT / name).rglob("*")]:
            if path.is_file() and path.suffix != ".pyc":
                yield str(path.relative_to(ROOT)), path.read_text("utf-8")


def test_the_top_level_holds_what_it_should() -> None:
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    surplus = {name for name in found - TOP_LEVEL - LEFT_BEHIND if not name.endswith(".egg-info")}
    assert not surplus
    assert not TOP_LEVEL - found


@pytest.mark.parametrize("pattern", SECRETS)
def test_no_file_holds_a_secret(pattern: str) -> None:
    assert not [path for path, page in sources() if re.search(pattern, page)]


def test_the_readme_is_short() -> None:
    """What does not fit belongs into docs/."""
    assert len(text("README.md").splitlines()) <= 250


# -- the lock


def locked() -> list[list[str]]:
    """The entries of the lock: the requirement, then its hashes."""
    lines = [line.rstrip(" \\") for line in text("requirements.lock").splitlines()]
    heads = [at for at, line in enumerate(lines) if not line.startswith(" ")]
    return [lines[begin:end] for begin, end in zip(heads, [*heads[1:], len(lines)], strict=True)]


@pytest.mark.parametrize("entry", locked(), ids=lambda entry: entry[0])
def test_an_entry_of_the_lock_is_one_version_with_its_hashes(entry: list[str]) -> None:
    requirement = Requirement(entry[0])
    assert [one.operator for one in requirement.specifier] == ["=="]
    assert requirement.url is None
    assert len(entry) > 1
    assert all(re.fullmatch(r" {4}--hash=sha256:[0-9a-f]{64}", line) for line in entry[1:])


def test_the_lock_names_no_index() -> None:
    assert "://" not in text("requirements.lock")
    assert not re.search(
        r"^\s*(-i|-f|--index|--extra|--find|--trusted)", text("requirements.lock"), re.MULTILINE
    )


def test_the_lock_has_all_we_depend_on() -> None:
    project = pyproject()["project"]
    wanted = chain(project["dependencies"], *project["optional-dependencies"].values())
    versions = {canonicalize_name(Requirement(head).name): Requirement(head) for head, *_ in locked()}
    for requirement in map(Requirement, wanted):
        version = next(iter(versions[canonicalize_name(requirement.name)].specifier)).version
        assert requirement.specifier.contains(version), requirement


LEANED_ON = ("celery", "kombu", "psycopg", "uvicorn")
"""Libraries of whose insides we use something: they are not to be replaced unseen by a newer one."""


@pytest.mark.parametrize("name", LEANED_ON)
def test_a_library_whose_insides_we_use_has_an_upper_bound(name: str) -> None:
    (found,) = [one for one in map(Requirement, pyproject()["project"]["dependencies"]) if one.name == name]
    assert "<" in {one.operator for one in found.specifier}


def insides_used(source: str) -> list[str]:
    """The private attributes that a source reads or sets on anything but itself."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and not (
            isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        ):
            found.append(node.attr)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "setattr"):
            found += [str(one.value) for one in node.args if isinstance(one, ast.Constant)]
    return [name for name in found if re.match(r"_(?!_)", name)]


@pytest.mark.parametrize(
    "source", ["transport._pool", "self._http._pool._network = 1", "setattr(pool, '_network_backend', 1)"]
)
def test_a_use_of_insides_is_seen(source: str) -> None:
    assert insides_used(source)


def test_the_door_to_the_network_uses_the_insides_of_no_library() -> None:
    """A newer httpx or httpcore may be installed beside us: only what they promise is used."""
    assert insides_used(text("worker/bulk_dispatch/http_client.py")) == []


def test_the_classifiers_name_versions_of_python_that_may_be_installed_on() -> None:
    project = pyproject()["project"]
    named = re.findall(
        r"^Programming Language :: Python :: (3\.\d+)$", "\n".join(project["classifiers"]), re.M
    )
    assert named
    assert all(Requirement(f"python{project['requires-python']}").specifier.contains(one) for one in named)


def test_the_metadata_name_nobody_and_no_address() -> None:
    project = pyproject()["project"]
    assert [author.keys() for author in project["authors"]] == [{"name"}]
    assert project["authors"][0]["name"].endswith(" contributors")
    assert "urls" not in project


# -- what people are told to install

INSTALL = re.compile(r"""\bpip\s+install\s+(?:-\S+\s+)*["']?([A-Za-z][\w.-]*)(?:\[([\w,-]+)\])?""")


def test_what_people_are_told_to_install_is_ours() -> None:
    """A package called `worker` is somebody else's."""
    project = pyproject()["project"]
    told = [
        (path, *found)
        for path, page in sources()
        if path == "README.md" or path.startswith(("docs/", "worker/"))
        for found in INSTALL.findall(filled_in(page))
    ]

    assert any(path == "worker/bulk_dispatch/local/servers/binaries.py" for path, _, _ in told)
    for path, name, extras in told:
        assert name == project["name"], path
        assert not set(filter(None, extras.split(","))) - project["optional-dependencies"].keys(), path


def filled_in(page: str) -> str:
    """A source with the names in it that stand for what is installed."""
    return page.replace("{DISTRIBUTION}", binaries.DISTRIBUTION).replace("{EXTRA}", binaries.EXTRA)


# -- the commands


def goals(page: str) -> set[str]:
    """What a page tells make to do."""
    calls = [*commands(page), *inline_commands(page, "make")]
    return {goal for call in calls if call[0] == "make" for goal in call[1:] if "=" not in goal}


def targets() -> set[str]:
    """The targets that people call."""
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text("Makefile"), re.MULTILINE)
    return set(phony.split())


def test_make_help_lists_every_target() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([\w-]+)", shown, re.MULTILINE)) == targets()
    assert set(re.findall(r"^([a-z][a-z0-9-]*):", text("Makefile"), re.MULTILINE)) == targets()


def test_the_readme_names_targets_that_exist() -> None:
    assert {"demo", "test", "check", "docs"} <= goals(text("README.md")) <= targets()


@pytest.mark.parametrize("path", pages())
def test_a_page_names_targets_that_exist(path: str) -> None:
    assert goals(text(path)) <= targets()


def test_ci_runs_what_the_readme_names() -> None:
    called = {
        goal for line in text(".ci/run").splitlines() if line.startswith("make ") for goal in line.split()[1:]
    }
    assert {"check", "docs", "test"} <= called <= goals(text("README.md"))


# -- migrations


def test_the_migrations_are_one_line_of_numbers() -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    script = ScriptDirectory.from_config(config)
    assert len(script.get_heads()) == 1
    line = [revision.revision for revision in script.walk_revisions()][::-1]
    assert line == [f"{number:04}" for number in range(1, len(line) + 1)]
    names = sorted(path.name for path in (ROOT / "migrations/versions").glob("*.py"))
    assert [re.fullmatch(r"(\d{4})_\w+\.py", name) and name[:4] for name in names] == line


def test_the_changelog_opens_with_what_comes_next() -> None:
    headings = re.findall(r"^## (.*)$", text("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased" or __version__ in headings[0]
