"""For Sphinx: `make docs` builds the pages beside this file into build/docs, offline, with no remote asset.

The pages are plain Markdown and can be read as they are. So the tree of pages is not written a second time,
in a directive that a code host would show: it is what docs/README.md links to, under its headings.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

project = "Bulk dispatch worker"
extensions = ["myst_parser"]
root_doc = "README"
exclude_patterns: list[str] = []

myst_heading_anchors = 4  # links to headings, as a code host has them

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

HEADING = re.compile(r"^## (?P<caption>.+)$", re.MULTILINE)
PAGE = re.compile(r"^- \[[^\]]+\]\((?P<path>[\w/-]+)\.md\)", re.MULTILINE)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_tree)
    app.connect("build-finished", add_index)


def add_tree(_: Sphinx, page: str, source: list[str]) -> None:
    """The pages that docs/README.md lists, as the tree that Sphinx wants: a branch for each heading."""
    if page == root_doc:
        _, *parts = HEADING.split(source[0])
        source[0] += "\n".join(map(_branch, parts[::2], parts[1::2]))


def add_index(app: Sphinx, failure: Exception | None) -> None:
    """README.html under the name that a web server looks for."""
    if not failure:
        folder = Path(app.outdir)
        (folder / "index.html").write_text((folder / "README.html").read_text("utf-8"), "utf-8")


def _branch(caption: str, part: str) -> str:
    pages = "\n".join(found["path"] for found in PAGE.finditer(part))
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n" if pages else ""
