"""The drawings of these pages, as SVG: boxes that stand where a table puts them, and arrows between them.

A page shows a drawing by an ordinary image link, so it is seen in the repository, on a code host and on the
built site alike, with nothing fetched from elsewhere. `generate.py` writes the files.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from html import escape
from typing import NamedTuple

from bulk_dispatch.domain.status import FINAL, EventType, Status, transitions_of

INK, PAPER, LIGHT = "#1c2330", "#ffffff", "#eef2f8"
DASHES = ' stroke-dasharray="6 4"'
COLOURS = {
    EventType.ENQUEUE: "#5b6577",
    EventType.CLAIM: "#1f6feb",
    EventType.CANCEL: "#a85408",
    EventType.SETTLE: "#15803d",
    EventType.REPORT: "#7c3aed",
    EventType.READ: "#0e7490",
    EventType.COLLIDE: "#c81e3a",
}


class Side(Enum):
    """A side of a box, and the direction in which an arrow leaves it."""

    LEFT = (-1, 0)
    RIGHT = (1, 0)
    TOP = (0, -1)
    BOTTOM = (0, 1)


class Point(NamedTuple):
    """In pixels, from the upper left corner."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Box:
    """A box by its centre. `double`: with a second line around it."""

    lines: tuple[str, ...]
    at: Point
    width: float = 112
    height: float = 36
    double: bool = False

    def port(self, side: Side, share: float) -> Point:
        """The point of a side that is a share of its length away from its upper or left end."""
        x, y = side.value
        along = share - 0.5
        return Point(
            self.at.x + (x * self.width / 2 or along * self.width * 0.86),
            self.at.y + (y * self.height / 2 or along * self.height),
        )


@dataclass(frozen=True, slots=True)
class Arrow:
    """From a side of one box to a side of another. `title` is shown when pointed at, `label` beside it."""

    source: str
    leaves: Side
    target: str
    enters: Side
    title: str
    colour: str = INK
    dashed: bool = False
    label: tuple[str, ...] = ()
    label_at: Point | None = None


def statuses() -> str:
    """Every status, and every transition as an arrow in the colour of its event."""
    arrows = [
        _transition(event_type, source, target)
        for event_type in EventType
        for source, target in transitions_of(event_type)
    ]
    return _drawing(960, 500, "The statuses of a message", STATUS_BOXES, arrows, _legend(90, 466))


def way() -> str:
    """The way of a message from the application to the provider, and back."""
    return _drawing(970, 280, "The way of a message", WAY_BOXES, WAY_ARROWS)


# -- the statuses

START = "start"
_MIDDLE, _BELOW = 190, 390
STATUS_PLACES: Mapping[Status, Point] = {
    Status.QUEUED: Point(150, _MIDDLE),
    Status.SENDING: Point(370, _MIDDLE),
    Status.IN_DOUBT: Point(540, 80),
    Status.SENT: Point(690, _MIDDLE),
    Status.UNCONFIRMED: Point(880, _MIDDLE),
    Status.SUPPRESSED: Point(80, _BELOW),
    Status.CANCELLED: Point(213, _BELOW),
    Status.FAILED: Point(346, _BELOW),
    Status.REJECTED: Point(480, _BELOW),
    Status.EXPIRED: Point(613, _BELOW),
    Status.UNDELIVERABLE: Point(746, _BELOW),
    Status.DELIVERED: Point(880, _BELOW),
}
STATUS_BOXES: Mapping[str, Box] = {
    START: Box(("new",), Point(32, _MIDDLE), width=44, height=28),
    **{status: Box((status,), place, double=status in FINAL) for status, place in STATUS_PLACES.items()},
}
SIDES: Mapping[tuple[str, str], tuple[Side, Side]] = {
    (START, Status.QUEUED): (Side.RIGHT, Side.LEFT),
    (Status.QUEUED, Status.SENDING): (Side.RIGHT, Side.LEFT),
    (Status.SENDING, Status.QUEUED): (Side.TOP, Side.TOP),
    (Status.SENDING, Status.IN_DOUBT): (Side.TOP, Side.LEFT),
    (Status.SENDING, Status.SENT): (Side.RIGHT, Side.LEFT),
    (Status.IN_DOUBT, Status.QUEUED): (Side.TOP, Side.TOP),
    (Status.IN_DOUBT, Status.SENT): (Side.RIGHT, Side.TOP),
    (Status.IN_DOUBT, Status.IN_DOUBT): (Side.TOP, Side.RIGHT),
    (Status.SENT, Status.IN_DOUBT): (Side.TOP, Side.RIGHT),
    (Status.SENT, Status.UNCONFIRMED): (Side.RIGHT, Side.LEFT),
    (Status.DELIVERED, Status.DELIVERED): (Side.BOTTOM, Side.BOTTOM),
}
"""Where arrows leave and enter; all others go down, from a status to its end."""


def _transition(event_type: EventType, source: Status | None, target: Status) -> Arrow:
    start = source or START
    leaves, enters = SIDES.get((start, target), (Side.BOTTOM, Side.TOP))
    title = f"{start} → {target}: {event_type}"
    return Arrow(
        start, leaves, target, enters, title, COLOURS[event_type], dashed=event_type is EventType.COLLIDE
    )


def _legend(x: float, y: float) -> str:
    shown = []
    for number, (event_type, colour) in enumerate(COLOURS.items()):
        at = x + number * 118
        dash = DASHES if event_type is EventType.COLLIDE else ""
        shown.append(
            f'<path d="M{at} {y}h26" stroke="{colour}" stroke-width="2"{dash}/>'
            f'<text x="{at + 33}" y="{y + 4}" fill="{colour}">{event_type}</text>'
        )
    return "\n".join(shown)


# -- the way of a message

_LINE = 170
WAY_BOXES = {
    "app": Box(("application",), Point(80, _LINE), 120, 56),
    "intake": Box(("intake", "Redis streams"), Point(310, _LINE), 130, 56),
    "ledger": Box(("ledger", "PostgreSQL"), Point(540, _LINE), 130, 56),
    "provider": Box(("provider",), Point(890, _LINE), 120, 56),
}
WAY_ARROWS = (
    Arrow("app", Side.RIGHT, "intake", Side.LEFT, "enqueue",
          label=("enqueue",), label_at=Point(190, 155)),
    Arrow("intake", Side.RIGHT, "ledger", Side.LEFT, "ingest",
          label=("ingest",), label_at=Point(422, 155)),
    Arrow("app", Side.TOP, "ledger", Side.TOP, "enqueue in the application's own transaction", dashed=True,
          label=("or in the application's own transaction",), label_at=Point(310, 30)),
    Arrow("ledger", Side.RIGHT, "provider", Side.LEFT, "dispatch", COLOURS[EventType.CLAIM],
          label=("dispatch: claim, send, settle",), label_at=Point(714, 155)),
    Arrow("provider", Side.TOP, "ledger", Side.TOP, "receipts", COLOURS[EventType.REPORT],
          label=("receipts, pushed to worker web",), label_at=Point(720, 50)),
    Arrow("ledger", Side.BOTTOM, "provider", Side.BOTTOM, "poll and rescue", COLOURS[EventType.SETTLE],
          label=("poll: ask for states", "rescue: ask about what is in doubt"), label_at=Point(714, 250)),
)  # fmt: skip


# -- drawing


def _drawing(
    width: int, height: int, title: str, boxes: Mapping[str, Box], arrows: Sequence[Arrow], more: str = ""
) -> str:
    colours = dict.fromkeys(arrow.colour for arrow in arrows)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="14" fill="none">'
    )
    parts = [
        head,
        f"<title>{escape(title)}</title>",
        f"<defs>{''.join(map(_head, colours))}</defs>",
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
        *_lines(boxes, arrows),
        *map(_box, boxes.values()),
        *map(_label, arrows),
        more,
        "</svg>\n",
    ]
    return "\n".join(filter(None, parts))


def _head(colour: str) -> str:
    return (
        f'<marker id="{_name(colour)}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
    )


def _name(colour: str) -> str:
    return f"head-{colour.lstrip('#')}"


def _lines(boxes: Mapping[str, Box], arrows: Sequence[Arrow]) -> Iterable[str]:
    ports = _ports(boxes, arrows)
    for arrow, (begin, end) in zip(arrows, ports, strict=True):
        dash = DASHES if arrow.dashed else ""
        yield (
            f'<path d="{_curve(begin, arrow.leaves, end, arrow.enters)}" stroke="{arrow.colour}" '
            f'stroke-width="1.6"{dash} marker-end="url(#{_name(arrow.colour)})">'
            f"<title>{escape(arrow.title)}</title></path>"
        )


def _ports(boxes: Mapping[str, Box], arrows: Sequence[Arrow]) -> list[tuple[Point, Point]]:
    """Where each arrow begins and ends. Those that touch one side of a box are spread over it in the order of
    where they come from or go to, so that few of them cross."""
    sides: dict[tuple[str, Side], list[tuple[float, int, int]]] = defaultdict(list)
    for number, arrow in enumerate(arrows):
        ends = ((arrow.source, arrow.leaves, arrow.target), (arrow.target, arrow.enters, arrow.source))
        for end, (name, side, other) in enumerate(ends):
            place = boxes[other].at
            sides[name, side].append((place.x if side in (Side.TOP, Side.BOTTOM) else place.y, number, end))
    found = {
        (number, end): boxes[name].port(side, (rank + 1) / (len(touching) + 1))
        for (name, side), touching in sides.items()
        for rank, (_, number, end) in enumerate(sorted(touching))
    }
    return [(found[number, 0], found[number, 1]) for number in range(len(arrows))]


def _curve(begin: Point, leaves: Side, end: Point, enters: Side) -> str:
    reach = max(34.0, 0.38 * max(abs(begin.x - end.x) * (leaves is not Side.BOTTOM), abs(begin.y - end.y)))
    if leaves is enters is Side.TOP:
        reach = max(40.0, min(120.0, 0.3 * abs(begin.x - end.x)))
    first = Point(begin.x + leaves.value[0] * reach, begin.y + leaves.value[1] * reach)
    second = Point(end.x + enters.value[0] * reach, end.y + enters.value[1] * reach)
    return f"M{_at(begin)}C{_at(first)} {_at(second)} {_at(end)}"


def _at(point: Point) -> str:
    return f"{point.x:.0f},{point.y:.0f}"


def _box(box: Box) -> str:
    frames = [_frame(box, 0, LIGHT), *[_frame(box, 3, "none")] * box.double]
    return "\n".join([*frames, *_text(box.lines, box.at, INK)])


def _frame(box: Box, within: float, fill: str) -> str:
    width, height = box.width - 2 * within, box.height - 2 * within
    return (
        f'<rect x="{box.at.x - width / 2:.0f}" y="{box.at.y - height / 2:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" rx="{6 - within / 2:g}" fill="{fill}" stroke="{INK}"/>'
    )


def _label(arrow: Arrow) -> str:
    return "\n".join(_text(arrow.label, arrow.label_at, arrow.colour)) if arrow.label_at else ""


def _text(lines: Sequence[str], at: Point, colour: str) -> list[str]:
    top = at.y + 5 - 9 * (len(lines) - 1)
    return [
        f'<text x="{at.x:.0f}" y="{top + 18 * number:.0f}" text-anchor="middle" fill="{colour}">'
        f"{escape(line)}</text>"
        for number, line in enumerate(lines)
    ]
