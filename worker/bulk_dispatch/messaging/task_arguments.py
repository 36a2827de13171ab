"""What `bulk_dispatch.enqueue` is given, by whatever sends it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def offered(args: Sequence[Any], fields: Mapping[str, Any]) -> Iterator[Any]:
    """What a task hands over, one by one: objects, lists of them, a list `messages`, or the fields of one."""
    own = {name: value for name, value in fields.items() if name != "messages"}
    for one in (*args, fields.get("messages", []), *([own] if own else [])):
        if isinstance(one, list):
            yield from one
        else:
            yield one
