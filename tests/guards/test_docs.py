"""The documents: links lead somewhere, code cites pages that are there, and `make docs` finds mistakes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guards.page import anchors, blocks, links
from tests.guards.repository import ROOT, pages, text
from tests.guards.test_repository import goals, targets

PAGES = pages()
AT_THE_TOP = {
    path: text(path) for path in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md")
}
FENCE = re.compile(r"^\s*(?:```|~~~)", re.MULTILINE)
PATH = re.compile(r"`((?:worker|tests|docs|deploy|examples|findings|migrations|\.ci)/[\w/.-]+)`")
ASSET = re.compile(
    r"""<(?:script|img|link|iframe|source|object)\b[^>]*?\b(?:src|href|data)=["']?([^"'> ]+)"""
)
CITED = re.compile(r"\bdocs/[\w/-]+\.md\b")
ELSEWHERE = re.compile(r"\b(?:DESIGN|STYLE)(?:\.md| section)|\bthe issue's\b|\bresearch/[\w-]+\.md")
CODE = [
    path
    for top in (
        "worker",
        "migrations",
        "tests",
        "deploy",
        "examples",
        "findings",
        "pyproject.toml",
        "Makefile",
    )
    for path in [ROOT / top, *(ROOT / top).rglob("*")]
    if path.suffix in {".py", ".sh", ".toml", ".md", ".mako"} or path.name in {"Makefile", "Dockerfile"}
]


def broken(path: str, page: str) -> list[str]:
    """The links of a page that lead nowhere."""
    return [link for link in links(page) if "://" not in link and not _leads(path, page, link)]


def _leads(path: str, page: str, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = ((ROOT / path).parent / name).resolve()
    if not anchor:
        return target.exists()
    return anchor in anchors(target.read_text("utf-8") if name else page)


def build(folder: Path, out: Path) -> "subprocess.CompletedProcess[str]":
    """What `make docs` does, with these pages."""
    [line] = re.findall(
        r"^\t\$\(BIN\)/python (-m sphinx .*) docs build/docs$", text("Makefile"), re.MULTILINE
    )
    words = [sys.executable, *line.split(), str(folder), str(out)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


# -- links


@pytest.mark.parametrize(
    "path", [*PAGES, "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md"]
)
def test_every_link_leads_somewhere(path: str) -> None:
    assert broken(path, text(path)) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    page = (
        "# A b\n[a](docs/none.md) [b](#a-b) [c](#a-c) [d](docs/README.md#none) `[e](none)` ![f](none.svg)\n"
    )

    assert broken("README.md", page) == ["docs/none.md", "#a-c", "docs/README.md#none", "none.svg"]


def test_the_readme_leads_to_the_documents() -> None:
    assert "docs/README.md" in links(PAGES["README.md"])


def test_the_documents_list_every_page() -> None:
    listed = {link for link in links(PAGES["docs/README.md"]) if "://" not in link}

    assert {f"docs/{link}" for link in listed} == {path for path in PAGES if path.startswith("docs/")} - {
        "docs/README.md"
    }


# -- what pages name


@pytest.mark.parametrize("path", [*PAGES, *AT_THE_TOP])
def test_every_block_of_code_is_one_that_the_guards_read(path: str) -> None:
    """tests/e2e/test_readme.py runs the blocks that `blocks` finds: it would pass over an indented one."""
    page = text(path)

    assert len(FENCE.findall(page)) == 2 * len(blocks(page))


@pytest.mark.parametrize("path", [*PAGES, *AT_THE_TOP])
def test_what_a_page_tells_make_to_do_is_a_target(path: str) -> None:
    assert goals(text(path)) <= targets()


@pytest.mark.parametrize("path", [*PAGES, *AT_THE_TOP])
def test_a_file_that_a_page_names_is_there(path: str) -> None:
    named = [name for name in PATH.findall(text(path)) if "NAME" not in name]

    assert [name for name in named if not (ROOT / name).exists()] == []


# -- what code cites


def test_code_cites_pages_that_are_there() -> None:
    cited = {
        (str(path.relative_to(ROOT)), page)
        for path in CODE
        if path != Path(__file__)
        for page in CITED.findall(path.read_text("utf-8"))
    }

    assert cited
    assert [(path, page) for path, page in cited if page not in PAGES] == []


def test_code_cites_no_document_that_lies_elsewhere() -> None:
    assert [
        (str(path.relative_to(ROOT)), found)
        for path in CODE
        if path != Path(__file__)
        for found in ELSEWHERE.findall(path.read_text("utf-8"))
    ] == []


# -- the site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. The build fails on a warning."""
    out = tmp_path_factory.mktemp("site")
    built = build(ROOT / "docs", out)
    assert (built.returncode, built.stderr) == (0, "")
    return out


def missing(site: Path) -> list[str]:
    """The scripts, styles and pictures that a page of a site asks for and that are not beside it."""
    return [
        f"{page.relative_to(site)}: {asset}"
        for page in sorted(site.rglob("*.html"))
        for asset in ASSET.findall(page.read_text("utf-8"))
        if (path := re.split("[?#]", asset)[0]) and not (page.parent / path).is_file()
    ]


@pytest.mark.slow
def test_the_site_has_a_first_page_and_all_that_its_pages_show(site: Path) -> None:
    assert (site / "index.html").is_file()
    assert missing(site) == []
    assert [page for page in site.rglob("*.css") if "url(http" in page.read_text("utf-8")] == []


@pytest.mark.parametrize(
    "asset", ["https://cdn.example/mermaid.js", "//cdn.example/a.js", "_images/none.svg"]
)
def test_what_is_remote_or_missing_is_found(asset: str, tmp_path: Path) -> None:
    (tmp_path / "here.svg").touch()
    (tmp_path / "a.html").write_text(f'<img alt="" src="here.svg?v=1"><img src="{asset}">', "utf-8")

    assert missing(tmp_path) == [f"a.html: {asset}"]


@pytest.mark.parametrize(
    "page", ["reference/statuses", "explanation/architecture", "explanation/performance"]
)
@pytest.mark.slow
def test_a_page_of_the_site_shows_its_drawing(page: str, site: Path) -> None:
    shown = re.findall(r'<img [^>]*src="([^"]+\.svg)"', (site / f"{page}.html").read_text("utf-8"))

    assert [(site / page).parent.joinpath(drawing).is_file() for drawing in shown] == [True]


@pytest.mark.parametrize("page", PAGES)
def test_no_page_has_a_drawing_that_only_some_places_show(page: str) -> None:
    assert {block.kind for block in blocks(PAGES[page])} & {"mermaid", "dot", "plantuml"} == set()


@pytest.mark.slow
def test_what_is_wrong_ends_the_build_and_is_named(tmp_path: Path) -> None:
    wrong = {
        "a": "[to a page](none.md)",
        "b": "[to a heading](#none)",
        "c": "[to another's](a.md#none)",
        "d": "![a drawing](none.svg)",
    }
    folder = tmp_path / "docs"
    folder.mkdir()
    shutil.copy(ROOT / "docs" / "conf.py", folder)
    listed = "".join(f"- [{name}]({name}.md): a page.\n" for name in wrong)
    (folder / "README.md").write_text(f"# Pages\n\n## Reference\n\n{listed}", "utf-8")
    for name, body in {**wrong, "unlisted": "no page lists this"}.items():
        (folder / f"{name}.md").write_text(f"# {name}\n\n{body}\n", "utf-8")

    built = build(folder, tmp_path / "out")

    assert built.returncode != 0
    named = set(re.findall(r"(\w+)\.md(?::\d+)?: WARNING", built.stderr))
    assert named == {*wrong, "unlisted"}
