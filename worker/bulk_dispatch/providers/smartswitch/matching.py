"""Which message each element of SMARTSwitch's answer is about.

Source: the public SMARTSwitch wiki. An element may name a message by our id, by its number, or by its place
alone.
"""

from collections.abc import Collection, Mapping, Sequence

from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.providers.formats import json_api

TYPE = "message"  # of an element in `data`; the page about receipts of suppliers has another


def matched(
    items: Sequence[OutboundMessage], elements: Sequence[json_api.Object]
) -> list[OutboundMessage | None]:
    """The item that each element is about: by our id, else by a number that stands once in the call, else by
    position if no element tells, each fits its place, and the counts agree. None for what is left over."""
    ours = {str(item.reference): item for item in items}
    numbers = {_digits(item.recipient): item for item in items}
    once = numbers if len(numbers) == len(items) else {}
    found = [_named(element, ours, numbers, once) for element in elements]
    if any(found) or len(elements) != len(items):
        return found
    in_place = all(_fits(element, item, ours) for item, element in zip(items, elements, strict=True))
    return list(items) if in_place else found


def _named(
    element: json_api.Object,
    ours: Mapping[str, OutboundMessage],
    numbers: Collection[str],
    once: Mapping[str, OutboundMessage],
) -> OutboundMessage | None:
    """The item that an element names, if it does not contradict itself: with two of our ids, or with one
    beside the number of another message of the call, nobody can tell which is meant."""
    ids, number = _ids(element, ours), _number(element)
    if not _is_answer(element) or len(ids) > 1:
        return None
    if not ids:
        return once.get(number)
    item = ours[ids.pop()]
    return item if number not in numbers or number == _digits(item.recipient) else None


def _fits(element: json_api.Object, item: OutboundMessage, ours: Collection[str]) -> bool:
    """Whether an element may be the answer to the item in its place: it names no id of ours, nor another
    number."""
    return (
        _is_answer(element) and not _ids(element, ours) and _number(element) in ("", _digits(item.recipient))
    )


def _ids(element: json_api.Object, ours: Collection[str]) -> set[str]:
    """Those of our ids that stand in an element."""
    places = (json_api.part(element, "meta"), json_api.part(element, "attributes"), element)
    return {own for place in places if (own := json_api.word(place.get("request_id"))) in ours}


def _is_answer(element: json_api.Object) -> bool:
    return json_api.word(element.get("type", TYPE)) == TYPE


def _number(element: json_api.Object) -> str:
    return _digits(json_api.word(json_api.part(element, "attributes").get("destination_number")))


def _digits(number: str) -> str:
    return number.removeprefix("+")
