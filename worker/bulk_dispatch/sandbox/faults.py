"""The script of faults: which exchange meets which misdeed. Put as JSON, checked word by word, counted.

A rule: {"when": {"provider": "alphasms-xml", "command": "message", "recipient": "+380931110001"}, "skip": 1,
"times": 2, "do": "slow", "seconds": 3}. All but "do" may be left out: any request, none let through first,
for ever. Commands of every provider: "send" (all that send), "status" (all that ask for states), "push".
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from bulk_dispatch.sandbox.fault_effects import FAULTS, KILLING, Fault, Misdeed, Moment
from bulk_dispatch.sandbox.provider import Provider, Trait

INNOCENT = Misdeed()
FRAME = {"when", "skip", "times", "do"}
PUSH = "push"
ALIASES = {"send": Trait.SENDS, "status": Trait.ASKS}
NO_COMMAND = ""  # of an exchange at a moment that has none


@dataclass
class Rule:
    """One line of the script and how often it came up."""

    written: dict[str, object]  # as it was put
    moment: Moment
    exchanges: frozenset[tuple[str, str]]  # provider, command
    recipient: str | None  # digits
    skip: int
    times: int | None  # None: for ever
    misdeed: Misdeed
    seen: int = 0  # exchanges that matched
    hits: int = 0  # those it was applied to

    def due(self) -> bool:
        """Counts a matching exchange: is it one of those the rule is for?"""
        self.seen += 1
        return self.seen > self.skip and (self.times is None or self.hits < self.times)


class Script:
    """The rules in order. An exchange meets the first one that is due; those before it count it as seen."""

    def __init__(self, providers: Sequence[Provider], may_kill: bool) -> None:
        self._providers = providers
        self._may_kill = may_kill
        self._rules: list[Rule] = []

    def meet(
        self,
        moment: Moment,
        provider: str,
        command: str,
        recipients: Callable[[], Collection[str]],
        idle: float | None = None,
    ) -> Misdeed:
        """What goes wrong with this exchange; by default nothing. `recipients` gives digits, `idle` are the
        seconds that its connection lay idle before it, if it was used before."""
        for rule in self._rules:
            if rule.moment is not moment or (provider, command) not in rule.exchanges:
                continue
            least = rule.misdeed.after_idle
            if least is not None and (idle is None or idle < least):
                continue
            if (rule.recipient is None or rule.recipient in recipients()) and rule.due():
                rule.hits += 1
                return rule.misdeed
        return INNOCENT

    def meet_head(self, provider: str) -> Misdeed:
        """The same while only the head of a request has come."""
        return self.meet(Moment.UNREAD, provider, NO_COMMAND, tuple)

    def replace(self, written: object) -> None:
        """A new script; raises ValueError with a sentence, and then the old one stays."""
        if not isinstance(written, list):
            raise ValueError("a script is a list of rules")
        rules = [self._read(place, rule) for place, rule in enumerate(written, 1)]
        for place, rule in enumerate(rules, 1):
            if rule.misdeed.ending in KILLING and not self._may_kill:
                name = rule.written["do"]
                raise ValueError(f"rule {place}: {name} takes a sandbox started with --may-kill (may_kill)")
        self._rules = rules

    def shown(self) -> list[dict[str, object]]:
        """The rules as they were put, with their counts."""
        return [{**rule.written, "seen": rule.seen, "hits": rule.hits} for rule in self._rules]

    def _read(self, place: int, written: object) -> Rule:
        try:
            return read_rule(written, self._providers)
        except ValueError as problem:
            raise ValueError(f"rule {place}: {problem}") from None


@dataclass(frozen=True)
class When:
    """Which exchanges a rule is for, as it was written."""

    provider: str | None
    command: str
    recipient: str | None


def read_rule(written: object, providers: Sequence[Provider]) -> Rule:
    """One rule from its JSON; raises ValueError with a sentence."""
    if not isinstance(written, dict):
        raise ValueError("a rule is an object")
    name = written.get("do")
    if not isinstance(name, str) or name not in FAULTS:
        raise ValueError(f"there is no fault {name!r}; there are {', '.join(FAULTS)}")
    fault = FAULTS[name]
    _only(written, FRAME | fault.parameters.keys(), name)
    when = _when(written.get("when", {}), providers)
    values: dict[str, object] = {}
    for key, parameter in fault.parameters.items():
        if key not in written and parameter.default is None:
            raise ValueError(f"{name} needs {key}")
        values[key] = parameter.read(key, written.get(key, parameter.default))
    meant = [one for one in providers if when.provider in {None, one.name}]
    objections = [objection for one in meant if (objection := fault.objection(one, values))]
    exchanges = frozenset(
        (one.name, command)
        for one in meant
        if not fault.objection(one, values)
        for command in _commands(one, fault, when)
    )
    if not exchanges:
        raise ValueError(_without_meaning(name, when, objections))
    times = None if written.get("times") is None else _whole("times", written["times"])
    skip = _whole("skip", written.get("skip", 0))
    misdeed = fault.misdeed(values)
    return Rule(written, fault.moment, exchanges, _digits(when.recipient), skip, times, misdeed)


def _commands(provider: Provider, fault: Fault, when: When) -> Collection[str]:
    """Those of this provider that such a rule is for."""
    if fault.moment is Moment.UNREAD:
        return {NO_COMMAND} if when.command == "*" and when.recipient is None else ()
    if fault.moment is Moment.PUSH:
        return {PUSH} if when.command in {PUSH, "*"} and provider.receipts else ()
    if fault.moment is Moment.TAKEN:
        fits = when.command in {PUSH, "*"} and provider.receipts
        return [command for command, has in provider.commands.items() if fits and has & Trait.SENDS]
    return [
        command
        for command, has in provider.commands.items()
        if _named(when.command, command, has)
        and (fault.traits is None or has & fault.traits)
        and (when.recipient is None or has & Trait.SENDS)
    ]


def _named(wanted: str, command: str, has: Trait) -> bool:
    if wanted in ALIASES:
        return bool(has & ALIASES[wanted])
    return wanted in {"*", command}


def _when(when: object, providers: Sequence[Provider]) -> When:
    if not isinstance(when, dict):
        raise ValueError("when is an object")
    _only(when, {"provider", "command", "recipient"}, "when")
    provider, command, recipient = when.get("provider"), when.get("command", "*"), when.get("recipient")
    names = [one.name for one in providers]
    if provider is not None and provider not in names:
        raise ValueError(f"there is no provider {provider!r}; there are {', '.join(names)}")
    known = {PUSH, *ALIASES, *(command for one in providers for command in one.commands)}
    if not isinstance(command, str) or command not in {*known, "*"}:
        raise ValueError(f"there is no command {command!r}; there are {', '.join(sorted(known))} and *")
    if recipient is not None and not isinstance(recipient, str):
        raise ValueError("recipient is a string")
    return When(provider, command, recipient)


def _digits(recipient: str | None) -> str | None:
    return recipient.removeprefix("+") if recipient else None


def _without_meaning(name: str, when: When, objections: Sequence[str]) -> str:
    if objections:
        return objections[0]
    place = f" at {when.provider}" if when.provider else ""
    return f"{name} has no meaning for {when.command}{place}{' by recipient' if when.recipient else ''}"


def _only(written: dict[str, object], known: set[str], where: str) -> None:
    for key in written:
        if key not in known:
            raise ValueError(f"{where} has no field {key!r}; it has {', '.join(sorted(known))}")


def _whole(name: str, given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise ValueError(f"{name} is a whole number, not {given!r}")
    return given
