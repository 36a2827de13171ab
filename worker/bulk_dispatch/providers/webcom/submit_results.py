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
from bulk_dispatch.providers.interface import StatusReport, joined
from bulk_dispatch.providers.webcom.error_texts import ADMISSIONS, find, text_of, theirs


def admissions(
    items: Sequence[OutboundMessage], answers: Iterable[xml.Element], secrets: Sequence[str] = ()
) -> list[StatusReport]:
    """A status report for each `<information>` of ours. `secrets` must not be kept of their words."""
    ours = {str(place): item for place, item in enumerate(items, 1)}
    read = ((_whose(answer, ours), answer) for answer in answers)
    reports = joined((_admission(one, answer, secrets) for one, answer in read if one), Status.IN_DOUBT)
    return _numbered_once(reports)


def _whose(answer: xml.Element, ours: Mapping[str, OutboundMessage]) -> OutboundMessage | None:
    """Our message. Should an answer name its reference, that must be the same."""
    item = ours.get(answer.get("number_sms", "").strip())
    named = answer.get("client_id_sms")
    return item if item and named in (None, str(item.reference)) else None


def _admission(item: OutboundMessage, answer: xml.Element, secrets: Sequence[str]) -> StatusReport:
    """What `<information>` says. An id means taken, whatever the text; `send` without one is no sense. A text
    without an id refuses, be it known to us or not: taken ones have an id."""
    reference = item.reference
    raw, text = answer.get("id_sms", "").strip(), text_of(answer)
    provider_message_id = theirs(raw)
    code, meaning = (
        ("send", None) if text.casefold().rstrip(".") == "send" else find(text, ADMISSIONS) or ("?", None)
    )
    failure, used = (meaning.failure, meaning.used) if meaning else (None, False)
    if provider_message_id:
        expected = code == "send" or (meaning is not None and meaning.status is Status.SENT)
        return StatusReport(
            reference,
            Status.SENT,
            code=code,
            provider_message_id=provider_message_id,
            segments=SEGMENTS.get(answer.get("parts", "").strip()),
            strange=not expected,
            failure=failure,
            used=used,
        )
    if not text or code == "send" or raw.strip("0"):
        return StatusReport(reference, Status.IN_DOUBT, code=code, strange=True)
    if meaning is None:  # kept in their words; a person is to look at it
        words = kept(text, (*secrets, *item.content.as_dict().values()))
        return StatusReport(reference, Status.REJECTED, code=words, strange=True)
    return StatusReport(
        reference,
        meaning.status,
        code=code,
        strange=meaning.strange,
        failure=failure,
        suppress=meaning.suppress,
        used=used,
    )


def _numbered_once(reports: list[StatusReport]) -> list[StatusReport]:
    """A number of theirs that two messages were given tells of neither."""
    count = Counter(report.provider_message_id for report in reports if report.provider_message_id)
    return [
        StatusReport(report.reference, Status.IN_DOUBT, code=report.code, strange=True)
        if count[report.provider_message_id] > 1
        else report
        for report in reports
    ]
