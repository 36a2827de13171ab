"""docs/reference/redis.md tells of every command of the intake whether it may be carried out twice."""

import inspect
import re
from pathlib import Path

from bulk_dispatch.intake import Intake

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "redis.md"
NO_COMMANDS = {"connect", "close", "wakeup_key"}


def test_given_a_command_of_the_intake_then_the_page_says_whether_it_is_repeated() -> None:
    told = {
        name
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("| `") and line.rstrip(" |").rpartition("| ")[2].startswith(("yes", "**no**"))
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }

    commands = {
        name for name, _ in inspect.getmembers(Intake, inspect.isroutine) if not name.startswith("_")
    } - NO_COMMANDS
    assert told == commands
