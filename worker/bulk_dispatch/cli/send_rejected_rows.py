"""Rows that are refused: the first few at hand; all of them in a file, which is made when it is needed."""

import csv
from pathlib import Path
from typing import TextIO

import typer

from bulk_dispatch.campaign.check import Refusal
from bulk_dispatch.cli.output import complain

SHOWN = 10  # rows named on stderr
HEADING = list(Refusal._fields)


class Refusals:
    """Of one file of recipients; a context manager, for the file that they are written to."""

    def __init__(self, source: str, wanted: str = "") -> None:
        """`source`: the file they are of; `wanted`: where to write them, else beside it, or nowhere for
        standard input. What an earlier run has left there goes."""
        self.name = wanted or _beside(source)
        self.first: list[Refusal] = []
        self.written = False
        self._file: TextIO | None = None
        _check_apart(self.name, source)
        _forget(self.name)

    def __enter__(self) -> "Refusals":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def keep(self, refusal: Refusal) -> None:
        """One more."""
        if len(self.first) < SHOWN:
            self.first.append(refusal)
        if self.name and self._file is None:
            self._file = self._made()
        if self._file:
            csv.writer(self._file).writerow(refusal)

    def _made(self) -> TextIO | None:
        try:
            file = Path(self.name).open("x", encoding="utf-8", newline="")  # noqa: SIM115 - closed at the end
        except OSError as problem:
            complain(f"{self.name} cannot be written: {problem.strerror}")
            self.name = ""
            return None
        self.written = True
        csv.writer(file).writerow(HEADING)
        return file


def _beside(source: str) -> str:
    return "" if source == "-" else str(Path(source).with_name(f"{Path(source).stem}.refused.csv"))


def _check_apart(name: str, source: str) -> None:
    both = (Path(name), Path(source))
    if name and source != "-" and all(path.exists() for path in both) and both[0].samefile(both[1]):
        raise typer.BadParameter(f"--refused {name} is the file itself")


def _forget(name: str) -> None:
    """Remove what an earlier run has left; anything else of that name is somebody's, and stays."""
    path = Path(name)
    if not name or not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        ours = file.readline().strip() == ",".join(HEADING)
    if not ours:
        raise typer.BadParameter(f"{name} is there already, and is no list of refused rows")
    path.unlink()
