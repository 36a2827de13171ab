"""Who lives beside a ledger: dispatchers with what they hold, polls and rescues with what they look at.

Nobody is told what others do. So whoever acts late, acts on what was true once.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.in_doubt import Chunk, Resolution
from bulk_dispatch.ledger.transitions import Clock, Package
from tests.ledger.acts import (
    Act,
    Brake,
    Door,
    Enter,
    Halving,
    Job,
    Lapse,
    Leasing,
    Looking,
    Offer,
    Reading,
    Renewal,
    Resolving,
    Stop,
    Taking,
    Withdraw,
    Writing,
    client_id,
)
from tests.ledger.model import DeliveryReceipt, Look, Who

ROUTES = ("alpha", "beta")
CAMPAIGNS = ("", "", "spring", "autumn")
EVERYTHING = 1000

_RESULTS = (Status.SENT, Status.QUEUED, Status.IN_DOUBT, Status.REJECTED, Status.FAILED)
_REPORTS = (Status.DELIVERED, Status.UNDELIVERABLE, Status.REJECTED, Status.UNCONFIRMED)
_EMPTIED = (PackageState.CLOSED, PackageState.UNSENT, PackageState.REFUSED)
_RECENT = 8  # what so many got something after is remembered no more

_TICKS = st.integers(1, 3)
_LOOKS = st.builds(Look, poll=_TICKS, rescue=_TICKS)
_ROUTE = st.sampled_from([ROUTES[0], *ROUTES])

_Thing = TypeVar("_Thing")
_Way = Callable[[], SearchStrategy[Act]]


@dataclass(frozen=True)
class Holding:
    """What a dispatcher was given."""

    route: str
    package: Package

    @property
    def ids(self) -> list[int]:
        """The ledger's ids of his messages."""
        return [item.id for item in self.package.items]


@dataclass
class Cast:
    """Everybody, with what they know. The strategies are what somebody may do next."""

    known: int = 0
    holdings: list[Holding] = field(default_factory=list)
    polls: list[Looking] = field(default_factory=list)
    doubts: list[Looking] = field(default_factory=list)
    read: list[Chunk] = field(default_factory=list)

    def learns(self, act: Act, outcome: Any) -> None:
        """Whoever acted knows what came of it."""
        match act:
            case Enter():
                self.known = max(self.known, *(offer.number for offer in act.offers))
            case Taking() if outcome[0].package:
                self.holdings.append(Holding(act.route, outcome[0].package))
            case Halving():
                self.holdings += [Holding(act.route, half) for half in outcome]
            case Leasing() if outcome.leased:
                (self.polls if act.clock is Clock.POLL else self.doubts).append(outcome)
            case Reading():
                self.read += outcome

    # -- all together

    def acts(self) -> SearchStrategy[Act]:
        """Whatever anybody may do now. What stands here twice is done twice as often."""
        acts: list[_Way] = [*[self.offers] * 3, *[self.claims] * 3, self.withdrawals, self.doors, self.stops]
        acts += [self.brakes, self.looks, self.looks, self.lapses, self.readings]
        if self.holdings:
            acts += [self.by_holder(self.reports)] * 3 + [self.by_holder(self.second_thoughts)] * 2
            acts += [self.by_holder(self.receipts)] + [self.by_holder(self.corrections)] * 2
        return _chosen([*acts, *self.late_acts()])

    def by_holder(self, act: Callable[[Holding], SearchStrategy[Act]]) -> _Way:
        """What one of the dispatchers may do."""
        return lambda: self.held().flatmap(act)

    def late_acts(self) -> list[_Way]:
        """What those may write who have looked at something."""
        acts: list[_Way] = [self.polled, self.polled] if self.polls else []
        acts += [self.rescued, self.rescued] if self.doubts else []
        return acts + ([self.resolved] if self.read else [])

    def pairs(self, busy: Mapping[str, Counter[Lane]]) -> SearchStrategy[tuple[Act, Act]]:
        """What two may do at once and get in each other's way. `busy`: packages on the wire."""
        pairs: list[Callable[[], SearchStrategy[tuple[Act, Act]]]] = [
            self.same_offers,
            *[lambda: st.tuples(st.just(self.latest()), self.claims())] * 2,
            lambda: st.tuples(self.claims(), self.withdrawals() | st.just(self.latest())),
            lambda: st.tuples(self.stops(), self.claims()) | st.tuples(self.claims(), self.stops()),
            lambda: st.tuples(self.brakes(), self.claims()) | st.tuples(self.claims(), self.brakes()),
            lambda: _ROUTE.flatmap(lambda route: self.last_room(route, busy[route])),
            lambda: self.looks().flatmap(lambda look: st.tuples(st.just(look), _again(look))),
            lambda: _two(st.builds(replace, self.doors(), route=st.just(ROUTES[1]))),
        ]
        if self.holdings:
            pairs += [lambda: self.held().flatmap(lambda held: _two(self.about(held)))] * 5
            pairs += [lambda: self.held().flatmap(lambda held: _two(self.reports(held)))]
            pairs += [lambda: self.held().flatmap(self.both_parts)]
            pairs += [lambda: self.held().flatmap(lambda held: _two(self.corrections(held)))]
        return _chosen(pairs)

    # -- applications, people

    def offers(self) -> SearchStrategy[Enter]:
        """New messages, old ones, and some twice, now and then with other words."""
        offer = st.builds(
            Offer,
            number=st.integers(max(0, self.known - 4), self.known + 8),
            route=_ROUTE,
            lane=st.sampled_from([Lane.BULK, Lane.BULK, Lane.URGENT]),
            campaign=st.sampled_from(CAMPAIGNS),
            wording=st.sampled_from(["Hello", "Hello", "Hello", "Hello", "Bye", "Sorry"]),
            valid=st.sampled_from([None, None, None, None, 0, 1, 4]),
        )
        return st.lists(offer, min_size=2, max_size=8).map(lambda offers: Enter(tuple(offers)))

    def corrections(self, holding: Holding) -> SearchStrategy[Act]:
        """An application gives us other words for some of what left, or did not."""
        offer = st.builds(
            Offer,
            number=st.sampled_from(
                [int(client_id(item).removeprefix("m")) for item in holding.package.items]
            ),
            route=st.just(holding.route),
            wording=st.sampled_from(["Hello", "Bye", "Bye", "Sorry"]),
        )
        return st.lists(offer, min_size=1, max_size=4).map(lambda offers: Enter(tuple(offers)))

    def same_offers(self) -> SearchStrategy[tuple[Act, Act]]:
        """The same messages twice, in any order; or others, that are perhaps partly the same."""

        def again(one: Enter) -> SearchStrategy[tuple[Act, Act]]:
            permuted = st.permutations(one.offers).map(lambda offers: Enter(tuple(offers)))
            return st.tuples(st.just(one), permuted | self.offers())

        return self.offers().flatmap(again)

    def last_room(self, route: str, busy: Counter[Lane]) -> SearchStrategy[tuple[Act, Act]]:
        """Two claims on a route that has room for one of a lane; bulk must leave one to the urgent."""

        def claims(lane: Lane) -> SearchStrategy[tuple[Act, Act]]:
            own = busy[lane] + 2 if lane is Lane.BULK else 0
            parallel = st.just(max(busy.total() + 1, own))
            return _two(st.builds(replace, self.claims(), route=st.just(route), parallel=parallel))

        return st.sampled_from(Lane).flatmap(claims)

    def latest(self) -> Withdraw:
        """The latest messages, and one that nobody knows yet."""
        return Withdraw(tuple(f"m{number}" for number in range(max(0, self.known - 8), self.known + 2)))

    def withdrawals(self) -> SearchStrategy[Act]:
        """Some of the latest, in any order."""
        names = st.lists(st.sampled_from(self.latest().names), min_size=1, max_size=3)
        return names.map(lambda names: Withdraw(tuple(names)))

    def stops(self) -> SearchStrategy[Act]:
        """A number on the suppression list or off it."""
        return st.builds(Stop, number=st.integers(0, 6), on=st.booleans())

    def brakes(self) -> SearchStrategy[Act]:
        """A campaign is paused or goes on."""
        return st.builds(Brake, campaign=st.sampled_from(CAMPAIGNS), on=st.booleans())

    def doors(self) -> SearchStrategy[Door]:
        """Open more often than shut, or little else would happen."""
        what = st.sampled_from(["open", "open", "open", "works", "pause", "stop"])
        return st.builds(Door, route=_ROUTE, what=what, wait=_TICKS, unresolvable=st.booleans())

    # -- dispatchers

    def claims(self) -> SearchStrategy[Taking]:
        """Small packages and large, as many at once as the route allows."""
        return st.builds(
            Taking,
            route=_ROUTE,
            lane=st.sampled_from([Lane.BULK, Lane.BULK, Lane.URGENT]),
            items=st.integers(1, 5),
            parallel=st.sampled_from([1, 2, 3, 9, 9]),
            lease=_TICKS,
        )

    def held(self) -> SearchStrategy[Holding]:
        """One of the dispatchers that were given something not too long ago."""
        return _recent(self.holdings)

    def reports(self, holding: Holding) -> SearchStrategy[Act]:
        """What he was told of his messages. A message they do not mention may be in doubt, or be left."""
        package = holding.package.id
        return st.builds(
            lambda words, look, emptied: Writing(Who.HOLDER, {package: look}, words, emptied=emptied),
            st.one_of(
                _words(holding.ids, package, _RESULTS, silent=False),
                _words(holding.ids, package, _RESULTS, silent=True),
                _same(holding.ids, package),
            ),
            _LOOKS,
            st.sampled_from(_EMPTIED),
        )

    def part_of_a_report(self, holding: Holding, ids: Sequence[int]) -> SearchStrategy[Act]:
        """What he was told of some of his messages."""
        package = holding.package.id
        return st.builds(
            lambda words, look: Writing(Who.HOLDER, {package: look}, words),
            _words(ids, package, (*_RESULTS, *[Status.IN_DOUBT] * 3), silent=True),
            _LOOKS,
        )

    def both_parts(self, holding: Holding) -> SearchStrategy[tuple[Act, Act]]:
        """One tells of the first message, another of the rest."""
        first, rest = holding.ids[:1], holding.ids[1:]
        return st.tuples(self.part_of_a_report(holding, first), self.part_of_a_report(holding, rest))

    def second_thoughts(self, holding: Holding) -> SearchStrategy[Act]:
        """What else he may do with his package: halve it, take it for a job, ask whether it is still his."""
        number = holding.package.id
        thoughts: list[SearchStrategy[Act]] = [
            st.builds(Job, package=st.just(number), look=_TICKS),
            st.builds(Renewal, package=st.just(number), lease=_TICKS),
        ]
        if len(holding.package.items) > 1:
            whole = st.just(holding.package)
            thoughts.append(st.builds(Halving, package=whole, route=st.just(holding.route), lease=_TICKS))
        return st.one_of(thoughts)

    # -- polls, rescues, receipts

    def looks(self, route: SearchStrategy[str] = _ROUTE) -> SearchStrategy[Leasing]:
        """A poll or a rescue begins."""
        return st.builds(
            Leasing,
            clock=st.sampled_from(Clock),
            route=route,
            messages=st.sampled_from([1, 4, EVERYTHING, EVERYTHING]),
            lease=_TICKS,
        )

    def lapses(self, route: SearchStrategy[str] = _ROUTE) -> SearchStrategy[Act]:
        """A rescue looks for dead dispatchers."""
        return st.builds(Lapse, route=route, look=_TICKS)

    def polled(self) -> SearchStrategy[Act]:
        """A poll writes what it was told; of jobs only once they have ended."""
        return _recent(self.polls).flatmap(_poll_writes)

    def writes(self, clock: Clock, looking: Looking) -> SearchStrategy[Act]:
        """What somebody writes who has just looked."""
        return (_poll_writes if clock is Clock.POLL else _rescue_writes)(looking)

    def rescued(self) -> SearchStrategy[Act]:
        """A rescue writes what it was told, or what the policy says."""
        return _recent(self.doubts).flatmap(_rescue_writes)

    def readings(self) -> SearchStrategy[Act]:
        """A person looks."""
        return st.builds(Reading, route=_ROUTE)

    def resolved(self) -> SearchStrategy[Act]:
        """A person decides about what was seen some time ago."""
        seen = _recent(self.read)
        return st.builds(Resolving, chunk=seen, resolution=st.sampled_from(Resolution), look=_LOOKS)

    def receipts(self, holding: Holding) -> SearchStrategy[Act]:
        """The provider tells of messages by itself: early, late, twice, out of order, nonsense."""
        number = holding.package.id
        return st.builds(
            lambda news, look: Writing(Who.OTHER, {number: look}, news=news),
            _words(holding.ids, number, (*_REPORTS, *Status), silent=True),
            _LOOKS,
        )

    def about(self, holding: Holding) -> SearchStrategy[Act]:
        """Whatever anybody may do that has to do with one package."""
        route = st.just(holding.route)
        acts: list[_Way] = [
            *[lambda: self.reports(holding)] * 3,
            *[lambda: self.second_thoughts(holding)] * 2,
            lambda: self.receipts(holding),
            lambda: self.lapses(route),
            lambda: self.looks(route),
            lambda: st.builds(replace, self.claims(), route=route),
        ]
        return _chosen([*acts, *self.late_acts()])


def _chosen(ways: Sequence[Callable[[], SearchStrategy[_Thing]]]) -> SearchStrategy[_Thing]:
    """One of these, each as often as it stands there; only that is worked out."""
    return st.integers(0, len(ways) - 1).flatmap(lambda way: ways[way]())


def _two(acts: SearchStrategy[Act]) -> SearchStrategy[tuple[Act, Act]]:
    return st.tuples(acts, acts)


def _again(look: Leasing) -> SearchStrategy[Act]:
    """Another who looks there."""
    return st.builds(replace, st.just(look), messages=st.sampled_from([1, EVERYTHING]))


def _recent(known: Sequence[_Thing]) -> SearchStrategy[_Thing]:
    """Of what somebody knows: the last that came, as often as any other not too long ago."""
    return st.sampled_from(known[-1:]) | st.sampled_from(known[-_RECENT:])


# -- words ---------------------------------------------------------------------------------------------


def _word(message: int, package: int, targets: Sequence[Status]) -> SearchStrategy[DeliveryReceipt]:
    return st.builds(
        DeliveryReceipt,
        message=st.just(message),
        package=st.just(package),
        to_status=st.sampled_from(targets),
        delay=st.sampled_from([0, 0, 0, 1, 2]),
        tried=st.booleans(),
    )


def _words(
    messages: Iterable[int], package: int, targets: Sequence[Status], *, silent: bool
) -> SearchStrategy[tuple[DeliveryReceipt, ...]]:
    """A word of each message; perhaps of none, where one may be silent."""
    each = [_word(message, package, targets) for message in messages]
    said = [st.none() | word for word in each] if silent else each
    return st.tuples(*said).map(lambda words: tuple(word for word in words if word is not None))


def _same(messages: Sequence[int], package: int) -> SearchStrategy[tuple[DeliveryReceipt, ...]]:
    """One fate for all."""
    return _word(0, package, _RESULTS).map(
        lambda word: tuple(replace(word, message=message) for message in messages)
    )


def _all_words(
    messages: Iterable[tuple[int, int]], targets: Sequence[Status]
) -> SearchStrategy[tuple[DeliveryReceipt, ...]]:
    """Words of messages in several packages."""
    parts = [_words([message], package, targets, silent=True) for message, package in messages]
    return st.tuples(*parts).map(lambda words: sum(words, ()))


def _poll_writes(looking: Looking) -> SearchStrategy[Act]:
    """What they know of what was sent, and of the messages of jobs that have ended."""
    jobs = {package.id for package in looking.leased if package.state is PackageState.JOB}
    packages = [package.id for package in looking.leased]

    def writes(done: bool) -> SearchStrategy[Act]:
        ready = [m for m in looking.messages if done or m.package_id not in jobs]
        settled = [m for m in ready if m.status is Status.SENDING]
        return st.builds(
            lambda words, news, looks: Writing(
                Who.OTHER, dict(zip(packages, looks, strict=True)), words, news, keeps=(Clock.RESCUE,)
            ),
            _all_words([(m.id, m.package_id) for m in settled], _RESULTS),
            _all_words([(m.id, m.package_id) for m in ready], _REPORTS),
            st.tuples(*[_LOOKS] * len(packages)),
        )

    return st.booleans().flatmap(writes)


def _rescue_writes(looking: Looking) -> SearchStrategy[Act]:
    packages = [package.id for package in looking.leased]
    doubtful = [(m.id, m.package_id) for m in looking.messages]

    def write(
        words: tuple[DeliveryReceipt, ...], news: tuple[DeliveryReceipt, ...], looks: tuple[Look, ...]
    ) -> Act:
        return Writing(
            Who.OTHER,
            dict(zip(packages, looks, strict=True)),
            words,
            news,
            keeps=(Clock.POLL,),
            answered=tuple(dict.fromkeys(word.package for word in words)),
        )

    return st.builds(
        write,
        _all_words(doubtful, (*_RESULTS, Status.QUEUED, Status.QUEUED)),
        _all_words(doubtful, _REPORTS),
        st.tuples(*[_LOOKS] * len(packages)),
    )
