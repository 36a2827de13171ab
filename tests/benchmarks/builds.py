"""Another build of this worker, to be measured beside this one: the files of a commit, in a folder that goes.

Both builds are run by the same Python with the same libraries. What is asked of the other one is what people
use: its commands, its Celery application and the WORKER_ variables.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""This build."""

ENTRY = "worker/bulk_dispatch/__main__.py"


def commit(ref: str, repository: Path = ROOT) -> str:
    """The ref, if git knows a commit by it that can be compared; as an argument of a command."""
    if _git(repository, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}").returncode:
        raise argparse.ArgumentTypeError(f"git knows no commit {ref}")
    if _git(repository, "cat-file", "-e", f"{ref}:{ENTRY}").returncode:
        raise argparse.ArgumentTypeError(
            f"{ref} cannot be compared: it comes before the package was called bulk_dispatch"
        )
    return ref


@contextmanager
def checkout(ref: str, parent: Path, repository: Path = ROOT) -> Iterator[Path]:
    """The files of a commit in a git worktree beneath `parent`, which goes at the end."""
    folder = parent / "build"
    added = _git(repository, "worktree", "add", "--force", "--detach", str(folder), ref)
    if added.returncode:
        raise RuntimeError(f"git could not check out {ref}: {added.stderr}")
    try:
        _check_loaded(folder, parent)
        yield folder
    finally:
        _git(repository, "worktree", "remove", "--force", str(folder))


def import_path(build: Path) -> Mapping[str, str]:
    """The variable that lets a Python process load this build before any other."""
    before = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(build / "worker"), before)))}


def _check_loaded(build: Path, cwd: Path) -> None:
    """To compare a build with itself unknowingly would be worth nothing."""
    command = (sys.executable, "-c", "import bulk_dispatch; print(bulk_dispatch.__file__)")
    environment = {**os.environ, **import_path(build)}
    asked = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=True)
    if not Path(asked.stdout.strip()).resolve().is_relative_to(build.resolve()):
        raise RuntimeError(f"{asked.stdout.strip()} would be measured instead of {build}")


def _git(repository: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(("git", *arguments), cwd=repository, capture_output=True, text=True, check=False)
