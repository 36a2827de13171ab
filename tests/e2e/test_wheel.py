"""The wheel, as others install it: whole, and not to be confused with what lies in the caller's folder."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.guards.repository import ROOT
from tests.terminal import bare_environment

pytestmark = pytest.mark.slow

NAMESAKES = ("worker.py", "celery.py", "redis.py", "logging.py", "sqlalchemy.py", "tasks.py")
"""Names that people give their own modules; ours and our libraries' are called so, too."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    build = (*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    subprocess.run(build, check=True)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel is installed, beside the libraries of this environment."""
    target = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    subprocess.run((*pip, "install", "--no-deps", "--target", str(target), str(wheel)), check=True)
    return target


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A person's own folder for the state of programs."""
    return tmp_path / "state"


def environment(installed: Path, state: Path) -> dict[str, str]:
    return {**bare_environment(), "PYTHONPATH": str(installed), "XDG_STATE_HOME": str(state)}


def demo(folder: Path | str, env: dict[str, str], installed: Path) -> dict[str, object]:
    """The demo's report, run there."""
    command = (str(installed / "bin" / "worker"), "demo", "--messages", "50", "--json")
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


def test_it_holds_the_package_the_migrations_and_the_type_marker(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    migrations = {
        f"bulk_dispatch/_migrations/versions/{path.name}"
        for path in (ROOT / "migrations/versions").glob("0*")
    }
    assert migrations | {"bulk_dispatch/py.typed", "bulk_dispatch/_migrations/env.py"} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"bulk_dispatch", "bulk_dispatch_worker"}


def test_both_names_of_the_command_are_there(installed: Path, state: Path) -> None:
    said = [
        subprocess.run(
            (str(installed / "bin" / name), "--version"),
            env=environment(installed, state),
            capture_output=True,
            check=True,
        ).stdout
        for name in ("worker", "bulk-dispatch")
    ]
    assert said[0] == said[1] != b""


def test_the_demo_runs_in_an_empty_folder(installed: Path, tmp_path: Path, state: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    report = demo(folder, environment(installed, state), installed)
    assert report["exactly_once"] is True
    assert {path.name for path in folder.iterdir()} == {".worker"}


def test_the_demo_runs_beside_modules_of_the_same_names(installed: Path, tmp_path: Path, state: Path) -> None:
    folder = tmp_path / "application"
    folder.mkdir()
    for name in NAMESAKES:
        (folder / name).write_text(
            "open('ran', 'w').close()\nraise SystemExit('the module of the application')\n"
        )

    report = demo(folder, environment(installed, state), installed)

    assert report["exactly_once"] is True
    assert not (folder / "ran").exists()


def test_the_demo_runs_where_nothing_may_be_written(installed: Path, state: Path) -> None:
    report = demo("/proc/self", environment(installed, state), installed)  # not even by root
    assert report["exactly_once"] is True
    assert (state / "bulk-dispatch").is_dir()


def test_an_application_beside_its_own_worker_module_imports_ours(
    installed: Path, tmp_path: Path, state: Path
) -> None:
    (tmp_path / "worker.py").write_text("Dispatcher = None\n")
    (tmp_path / "app.py").write_text(
        "import bulk_dispatch\nprint(bulk_dispatch.__file__, bulk_dispatch.Dispatcher)\n"
    )
    done = subprocess.run(
        (sys.executable, "app.py"),
        cwd=tmp_path,
        env=environment(installed, state),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"{installed}{os.sep}bulk_dispatch{os.sep}")
    assert "bulk_dispatch.client.Dispatcher" in done.stdout
