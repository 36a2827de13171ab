"""Messages that name a route which no worker knew: set aside, by that name."""

from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple, cast

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.intake import scripts
from bulk_dispatch.intake.connection import IntakeConnection
from bulk_dispatch.intake.entries import Entry, instant_of, read_entry
from bulk_dispatch.intake.keys import Unrouted, stream_of, unrouted_of, waiting_of


class SetAside(NamedTuple):
    """What waits in such a place."""

    place: Unrouted
    messages: int
    since: datetime  # the oldest, by Redis's clock


class UnroutedCommands(IntakeConnection):
    """What is asked of the places where such messages wait."""

    def unrouted_routes(self, lane: Lane) -> set[str]:
        """The routes for which messages of a lane were set aside."""
        with self._explained():
            return {str(route) for route in cast("set[Any]", self.client.smembers(unrouted_of(lane)))}

    def unrouted(self) -> list[SetAside]:
        """All that was set aside, by lane and route."""
        places = [Unrouted(lane, route) for lane in Lane for route in sorted(self.unrouted_routes(lane))]
        with self._explained(), self.client.pipeline(transaction=False) as looks:  # see _EVEN_IF_FULL
            for place in places:
                looks.get(waiting_of(place))
                looks.xrange(stream_of(place), count=1)
            counts = looks.execute()
        return [
            SetAside(place, int(count or 0), instant_of(oldest[0][0]))
            for place, count, oldest in zip(places, counts[::2], counts[1::2], strict=True)
            if oldest
        ]

    def set_aside(self) -> int:
        """How many messages were set aside, in all."""
        return sum(one.messages for one in self.unrouted())

    def overdue(self, place: Unrouted, wait: timedelta, entries: int) -> list[Entry]:
        """The oldest entries that have waited there for so long, those in hand included."""
        with self._explained():
            seconds, _ = self.client.time()
            until = int((seconds - wait.total_seconds()) * 1000)
            found = cast("list[Any]", self.client.xrange(stream_of(place), max=until, count=entries))
        return [read_entry(place.lane, id_, [*chain(*fields.items())], 0) for id_, fields in found]

    def tidy(self, place: Unrouted) -> None:
        """Forget a place if nothing waits there any more."""
        with self._explained():
            self._run(
                scripts.TIDY, [stream_of(place), waiting_of(place), unrouted_of(place.lane)], [place.route]
            )
