"""JSON:API documents out (sheet section 2)."""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bulk_dispatch.sandbox.smartswitch.codes import CallError

TITLES: Mapping[str, str] = {
    CallError.AUTHENTICATION: "Authentication error",
    CallError.PARAMETERS: "Invalid parameters",
    CallError.SIZE: "Too large",
}


class Element(NamedTuple):
    """One recipient of an answer. `request_id` is empty where none is given back."""

    id: str
    destination_number: str
    segments: int
    status: str
    request_id: str

    def resource(self, request_id_in: str) -> dict[str, object]:
        """Members in the order of the samples."""
        echo = {"request_id": self.request_id} if self.request_id else {}
        attributes: dict[str, object] = {
            "destination_number": self.destination_number,
            "segments": self.segments,
            "status": self.status,
        }
        if request_id_in == "attributes":
            attributes.update(echo)
        resource: dict[str, object] = {"type": "message", "id": self.id, "attributes": attributes}
        if echo and request_id_in == "meta":
            resource["meta"] = echo
        if request_id_in == "top":
            resource.update(echo)
        return resource


def data(elements: Iterable[Element], several: bool, request_id_in: str) -> bytes:
    """The whole answer: an object for one recipient, an array for several [seed]."""
    resources = [one.resource(request_id_in) for one in elements]
    return _json({"data": resources if several or len(resources) != 1 else resources[0]})


def errors(code: str, detail: str) -> bytes:
    """The failure of a whole call [seed]."""
    return _json({"errors": [{"code": code, "title": TITLES.get(code, "Error"), "detail": detail}]})


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
