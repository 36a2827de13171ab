"""What people are told of messages before these leave: how many, what they cost, what may not be meant."""

from collections.abc import Iterator, Sequence
from typing import Any

from bulk_dispatch.campaign.check import Report
from bulk_dispatch.cli.output import many
from bulk_dispatch.domain.segments import character_name

SHOWN = 10  # characters, columns


def totals(report: Report) -> Iterator[str]:
    """How much there is, and what it will be billed as."""
    for encoding, (messages, segments) in report.counted.items():
        if messages:
            yield f"{encoding}: {many(messages, 'message')}, {many(segments, 'segment')}"
    for character, messages in report.dear.most_common(SHOWN):
        yield f"{character_name(character)} makes {many(messages, 'Latin text')} UCS-2"
    if report.dear_segments:
        yield f"these characters cost {many(report.dear_segments, 'segment')}; plain ones cost none"


def cautions(report: Report, left_out: Sequence[str] = (), *, allow_repeats: bool = False) -> Iterator[str]:
    """What may not be meant."""
    if left_out:
        yield f"columns left out: {', '.join(left_out[:SHOWN])}"
    if report.beside:
        yield f"{many(report.beside, 'number')} without a plus read like the others of the file"
    if report.again:
        yield f"{many(report.again, 'row')} that stand there once more, id and all: left out"
    if report.repeats:
        done = "sent all the same" if allow_repeats else "left out; --allow-repeats sends them"
        yield f"{many(report.repeats, 'row')} with number and text of a row before: {done}"
    if report.repeated:
        yield f"{many(report.repeated, 'message')} to a number that gets another text too"
    if report.not_valid:
        yield f"{many(report.not_valid, 'number')} in no range known to be in use: sent; --only-valid refuses"
    if report.known:
        yield f"{many(report.known, 'message')} known already, {report.new:,} new"
    if report.corrections:
        yield f"{many(report.corrections, 'message')} in the stead of one that nobody got"
    if report.conflicts:
        yield f"{many(report.conflicts, 'message')} with the id of another: never sent"


def as_plain(report: Report) -> dict[str, Any]:
    """The same for programs."""
    return {
        "rows": report.rows,
        "messages": report.messages,
        "segments": {
            encoding.value: {"messages": messages, "segments": segments}
            for encoding, (messages, segments) in report.counted.items()
        },
        "dear": {character_name(one): count for one, count in report.dear.most_common(SHOWN)},
        "dear_segments": report.dear_segments,
        "read_beside": report.beside,
        "again": report.again,
        "repeats": report.repeats,
        "repeated": report.repeated,
        "not_valid": report.not_valid,
        "known": report.known,
        "corrections": report.corrections,
        "conflicts": report.conflicts,
        "new": report.new,
    }
