"""What webcom's gateway says to messages that were sent: `<information>`, one for each.

Source: vendor documentation.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers.formats import xml
from bulk_dispatch.providers.formats.numbers import SEGMENTS
from bulk_dispatch.providers.formats.unknown_words import kept
from bulk_dispatch.providers.interface import Verdict, joined
from bulk_dispatch.providers.webcom.error_texts import ADMISSIONS, find, text_of, theirs


def admissions(
    items: Sequence[OutboundMessage], answers: Iterable[xml.Element], secrets: Sequence[str] = ()
) -> list[Verdict]:
    """A verdict for each `<information>` of ours. `secrets` must not be kept of their words."""
    ours = {str(place): item for place, item in enumerate(items, 1)}
    read = ((_whose(answer, ours), answer) for answer in answers)
    verdicts = joined((_admission(one, answer, secrets) for one, answer in read if one), Status.IN_DOUBT)
    return _numbered_once(verdicts)


def _whose(answer: xml.Element, ours: Mapping[str, OutboundMessage]) -> OutboundMessage | None:
    """Our message. Should an answer name its reference, that must be the same."""
    item = ours.get(answer.get("number_sms", "").strip())
    named = answer.get("client_id_sms")
    return item if item and named in (None, str(item.reference)) else None


def _admission(item: OutboundMessage, answer: xml.Element, secrets: Sequence[str]) -> Verdict:
    """What `<information>` says. An id means taken, whatever the text; `send` without one is no sense. A text
    without an id refuses, be it known to us or not: taken ones have an id."""
    reference = item.reference
    raw, text = answer.get("id_sms", "").strip(), text_of(answer)
    provider_id = theirs(raw)
    code, meaning = (
        ("send", None) if text.casefold().rstrip(".") == "send" else find(text, ADMISSIONS) or ("?", None)
    )
    failure, used = (meaning.failure, meaning.used) if meaning else (None, False)
    if provider_id:
        expected = code == "send" or (meaning is not None and meaning.status is Status.SENT)
        return Verdict(
            reference,
            Status.SENT,
            code=code,
            provider_id=provider_id,
            segments=SEGMENTS.get(answer.get("parts", "").strip()),
            strange=not expected,
            failure=failure,
            used=used,
        )
    if not text or code == "send" or raw.strip("0"):
        return Verdict(reference, Status.IN_DOUBT, code=code, strange=True)
    if meaning is None:  # kept in their words; a person is to look at it
        words = kept(text, (*secrets, *item.content.as_dict().values()))
        return Verdict(reference, Status.REJECTED, code=words, strange=True)
    return Verdict(
        reference,
        meaning.status,
        code=code,
        strange=meaning.strange,
        failure=failure,
        suppress=meaning.suppress,
        used=used,
    )


def _numbered_once(verdicts: list[Verdict]) -> list[Verdict]:
    """A number of theirs that two messages were given tells of neither."""
    count = Counter(verdict.provider_id for verdict in verdicts if verdict.provider_id)
    return [
        Verdict(verdict.reference, Status.IN_DOUBT, code=verdict.code, strange=True)
        if count[verdict.provider_id] > 1
        else verdict
        for verdict in verdicts
    ]
