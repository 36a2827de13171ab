"""Many children's output as one stream of lines, each with its child's name in front."""

import threading
from collections.abc import Callable, Iterable

Sink = Callable[[str], None]  # takes one line, without its end
COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)  # ANSI; red stays free for errors


class Lines:
    """Writes whole lines into a sink, one at a time, whichever thread they come from."""

    def __init__(self, sink: Sink, names: Iterable[str], colour: bool, lost: Callable[[], None]) -> None:
        """`lost` is called once, when the sink fails; what comes later is dropped, so that nobody blocks."""
        self._sink = sink
        self._prefixes = dict(_prefixes(tuple(names), colour))
        self._lost = lost
        self._writing = threading.Lock()
        self._broken = False

    def tell(self, name: str, line: str) -> None:
        """One line of `name`."""
        with self._writing:
            if self._broken:
                return
            try:
                self._sink(self._prefixes[name] + line)
                return
            except OSError:  # `worker up | head`, a closed terminal
                self._broken = True
        self._lost()


def _prefixes(names: tuple[str, ...], colour: bool) -> Iterable[tuple[str, str]]:
    width = max(map(len, names), default=0)
    for at, name in enumerate(names):
        plain = f"{name:<{width}} | "
        yield name, f"\x1b[{COLOURS[at % len(COLOURS)]}m{plain}\x1b[0m" if colour else plain
