"""The script of faults: which request meets which misdeed. Put as JSON, checked word by word, counted.

A rule: {"when": {"command": "message", "recipient": "+380931110001"}, "skip": 1, "times": 2, "do": "slow",
"seconds": 3}. All but "do" may be left out: any request, none let through first, for ever.
"""

from dataclasses import dataclass

from worker.sandbox.misdeeds import ALL, FAULTS, KILLING, SENDING, UNREAD, Misdeed
from worker.sandbox.reading import Request

INNOCENT = Misdeed()
HEAD = Request(UNREAD)  # a request of which no more than the head is known
FRAME = {"when", "skip", "times", "do"}


@dataclass
class Rule:
    """One line of the script and how often it came up."""

    written: dict[str, object]  # as it was put
    commands: frozenset[str]
    recipient: str | None  # digits
    skip: int
    times: int | None  # None: for ever
    misdeed: Misdeed
    seen: int = 0  # requests that matched
    hits: int = 0  # requests it was applied to

    def matches(self, request: Request) -> bool:
        """Of this command, and to this recipient if the rule names one."""
        if request.command not in self.commands:
            return False
        wanted = self.recipient
        return wanted is None or any(one.recipient.removeprefix("+") == wanted for one in request.messages)

    def due(self) -> bool:
        """Counts a matching request: is it one of those the rule is for?"""
        self.seen += 1
        return self.seen > self.skip and (self.times is None or self.hits < self.times)


class Script:
    """The rules in order. A request meets the first one that is due; those before it count it as seen."""

    def __init__(self, may_kill: bool) -> None:
        self._may_kill = may_kill
        self._rules: list[Rule] = []

    def meet(self, request: Request) -> Misdeed:
        """What goes wrong with this request; by default nothing."""
        for rule in self._rules:
            if rule.matches(request) and rule.due():
                rule.hits += 1
                return rule.misdeed
        return INNOCENT

    def replace(self, written: object) -> None:
        """A new script; raises ValueError with a sentence, and then the old one stays."""
        if not isinstance(written, list):
            raise ValueError("a script is a list of rules")
        rules = [read_rule(place, rule) for place, rule in enumerate(written, 1)]
        for place, rule in enumerate(rules, 1):
            if rule.misdeed.ending in KILLING and not self._may_kill:
                name = rule.written["do"]
                raise ValueError(f"rule {place}: {name} takes a sandbox started with --may-kill (may_kill)")
        self._rules = rules

    def shown(self) -> list[dict[str, object]]:
        """The rules as they were put, with their counts."""
        return [{**rule.written, "seen": rule.seen, "hits": rule.hits} for rule in self._rules]


def read_rule(place: int, written: object) -> Rule:
    """One rule from its JSON; `place` is for the message of the ValueError."""
    try:
        return _rule(written)
    except ValueError as problem:
        raise ValueError(f"rule {place}: {problem}") from None


def _rule(written: object) -> Rule:
    if not isinstance(written, dict):
        raise ValueError("a rule is an object")
    name = written.get("do")
    if not isinstance(name, str) or name not in FAULTS:
        raise ValueError(f"there is no fault {name!r}; there are {', '.join(FAULTS)}")
    fault = FAULTS[name]
    _only(written, FRAME | fault.parameters.keys(), name)
    command, recipient = _when(written.get("when", {}))
    commands = fault.commands if command == "*" else fault.commands & {command}
    if recipient is not None:
        commands &= SENDING
    if not commands:
        raise ValueError(f"{name} has no meaning for {command}{' by recipient' if recipient else ''}")
    values: dict[str, float] = {}
    for key, parameter in fault.parameters.items():
        if key not in written and parameter.default is None:
            raise ValueError(f"{name} needs {key}")
        values[key] = parameter.read(key, written.get(key, parameter.default))
    times = None if written.get("times") is None else _whole("times", written["times"])
    skip = _whole("skip", written.get("skip", 0))
    return Rule(written, commands, recipient, skip, times, fault.misdeed(values))


def _when(when: object) -> tuple[str, str | None]:
    """Command (or *) and recipient's digits."""
    if not isinstance(when, dict):
        raise ValueError("when is an object")
    _only(when, {"command", "recipient"}, "when")
    command, recipient = when.get("command", "*"), when.get("recipient")
    if not isinstance(command, str) or command not in {*ALL, "*"}:
        raise ValueError(f"there is no command {command!r}; there are {', '.join(sorted(ALL))} and *")
    if recipient is not None and not isinstance(recipient, str):
        raise ValueError("recipient is a string")
    return command, recipient.removeprefix("+") if recipient else None


def _only(written: dict[str, object], known: set[str], where: str) -> None:
    for key in written:
        if key not in known:
            raise ValueError(f"{where} has no field {key!r}; it has {', '.join(sorted(known))}")


def _whole(name: str, given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise ValueError(f"{name} is a whole number, not {given!r}")
    return given
