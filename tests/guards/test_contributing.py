"""The pages at the top for people who change the code or report a weakness: what they name is there."""

import re

import pytest

from tests.guards.page import SHELLS, blocks, commands, inline_commands, links, typed
from tests.guards.repository import ROOT, text
from tests.guards.test_repository import goals, targets

CONTRIBUTING, SECURITY = "CONTRIBUTING.md", "SECURITY.md"


def test_the_page_for_contributors_names_targets_that_exist() -> None:
    assert {"test", "check"} <= goals(text(CONTRIBUTING)) <= targets()


def test_the_page_for_contributors_sets_up_in_two_commands() -> None:
    first = next(block for block in blocks(text(CONTRIBUTING)) if block.kind in SHELLS)
    assert len(typed(first.body)) == 2


@pytest.mark.parametrize("page", [CONTRIBUTING, SECURITY, "examples/README.md"])
def test_a_file_that_a_page_names_is_there(page: str) -> None:
    body = text(page)
    tested = [word for command in commands(body) for word in command if word.startswith("tests/")]
    tested += [word for span in inline_commands(body, "pytest") for word in span if word.startswith("tests/")]
    named = re.findall(r"`((?:tests|worker|examples|docs)/[\w/.-]+)`", body)

    assert named or links(body)  # links are followed by test_docs
    assert [name for name in [*named, *tested] if not (ROOT / name).exists()] == []
