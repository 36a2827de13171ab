"""Folders for real servers, and proof that none of them stays."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bulk_dispatch.local.servers.cleanup import main as end_leftovers
from bulk_dispatch.local.servers.server import Durability
from bulk_dispatch.local.servers.shared import embedded
from tests.local.world import eventually, processes_in


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder. Nothing runs in it afterwards."""
    with _folder() as path:
        yield path
        eventually(lambda: not processes_in(path))


@pytest.fixture
def data_dir(folder: Path) -> Path:
    """A data directory that does not exist yet."""
    return folder / "data"


@pytest.fixture(scope="session")
def _used_dir() -> Iterator[Path]:
    with _folder() as path:
        with embedded(path / "data", Durability.KILL):
            pass
        yield path / "data"


@pytest.fixture
def used_dir(_used_dir: Path) -> Iterator[Path]:
    """A data directory that has its database already, which saves a second; nothing runs in it."""
    yield _used_dir
    end_leftovers(_used_dir)
    eventually(lambda: not processes_in(_used_dir))


@contextmanager
def _folder() -> Iterator[Path]:
    """A short path that other accounts may reach: pytest's own is neither."""
    path = Path(tempfile.mkdtemp(prefix="worker-test-")).resolve()
    path.chmod(0o755)
    try:
        yield path
    finally:
        for directory in [path, *path.iterdir()]:
            end_leftovers(directory)
        shutil.rmtree(path)
