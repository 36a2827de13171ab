"""States of messages as webcom's gateway tells them: asked for in XML, pushed in XML or JSON.

Source: vendor documentation; the root `request` of a push is that of other gateways on the same platform.
"""

from typing import NamedTuple

from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.providers.formats import json_api, xml
from bulk_dispatch.providers.webcom.error_texts import ENDS, STATES, rooted, text_of, theirs


class State(NamedTuple):
    """A state as it came. What is missing or unfit is empty."""

    id: str
    word: str
    time: str = ""
    sms: str = ""
    viber: str = ""
    parts: str = ""


def stands(state: State) -> tuple[Status | None, bool]:
    """Where the message stands, and whether that may be the end of its first channel only.

    Viber comes first. Once it has failed, SMS decides; where SMS has not ended, or nothing is said of it, the
    end may not be the end. A channel that delivered beside a failure of the whole decides nothing.
    """
    whole = STATES.get(state.word)
    if whole is None or whole is Status.DELIVERED:
        return whole, False
    viber_failed = state.viber in ENDS and STATES[state.viber] is not Status.DELIVERED
    if viber_failed and state.sms in ENDS:
        return STATES[state.sms], False
    if whole is Status.SENT:
        return whole, False
    if Status.DELIVERED in (STATES.get(state.sms), STATES.get(state.viber)):
        return None, False
    return whole, state.sms not in ENDS


def state_of(element: xml.Element) -> State:
    """A `<state>`."""
    get = element.get
    return State(
        id=theirs(get("id_sms")),
        word=text_of(element),
        time=get("time", ""),
        sms=get("sms", "").strip(),
        viber=get("viber", "").strip(),
        parts=get("num_parts", "").strip(),
    )


def pushed(body: bytes) -> list[State] | Failure:
    """What a push holds: each `<state>` in a response or a request, or each object of a JSON array."""
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return _pushed_json(body)
    # In their sample a full stop follows the root.
    document = rooted(body.rstrip(b" \t\r\n."), "response", "request")
    return document if isinstance(document, Failure) else [state_of(one) for one in document.iter("state")]


def _pushed_json(body: bytes) -> list[State] | Failure:
    found = json_api.load(body)
    return found if isinstance(found, Failure) else [_json_state(one) for one in json_api.objects(found)]


def _json_state(state: json_api.Object) -> State:
    """Ids are texts in samples; a number will do."""
    said = {name: json_api.word(state.get(name)) for name in ("id_sms", "state", "time", "sms", "viber")}
    return State(
        id=theirs(said["id_sms"]),
        word=said["state"],
        time=said["time"],
        sms=said["sms"],
        viber=said["viber"],
    )
