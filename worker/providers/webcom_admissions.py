"""What webcom's gateway says to messages that were sent: `<information>`, one for each.

Source: vendor documentation.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from worker.providers import xml
from worker.providers.contract import Verdict, joined
from worker.providers.figures import SEGMENTS
from worker.providers.webcom_texts import ADMISSIONS, find, text_of, theirs
from worker.sms.package import Item
from worker.sms.status import Status


def admissions(items: Sequence[Item], answers: Iterable[xml.Element]) -> list[Verdict]:
    """A verdict for each `<information>` of ours."""
    ours = {str(place): item.reference for place, item in enumerate(items, 1)}
    read = ((_whose(answer, ours), answer) for answer in answers)
    verdicts = joined((_admission(one, answer) for one, answer in read if one), Status.IN_DOUBT)
    return _numbered_once(verdicts)


def _whose(answer: xml.Element, ours: Mapping[str, int]) -> int | None:
    """Our reference. Should an answer name that, it must be the same."""
    reference = ours.get(answer.get("number_sms", "").strip())
    return reference if answer.get("client_id_sms", str(reference)) == str(reference) else None


def _admission(reference: int, answer: xml.Element) -> Verdict:
    """What `<information>` says. An id means taken, whatever the text; `send` without one is no sense."""
    raw, text = answer.get("id_sms", "").strip(), text_of(answer)
    provider_id = theirs(raw)
    code, meaning = (
        ("send", None) if text.casefold().rstrip(".") == "send" else find(text, ADMISSIONS) or ("?", None)
    )
    failure = meaning.failure if meaning else None
    if provider_id:
        expected = code == "send" or (meaning is not None and meaning.status is Status.SENT)
        parts = SEGMENTS.get(answer.get("parts", "").strip())
        return Verdict(
            reference, Status.SENT, code, provider_id, parts, strange=not expected, failure=failure
        )
    if not text or code == "send" or raw.strip("0"):
        return Verdict(reference, Status.IN_DOUBT, code, strange=True)
    if meaning is None:  # a guess: refused; a person is to look at it
        return Verdict(reference, Status.REJECTED, code, strange=True)
    return Verdict(
        reference, meaning.status, code, strange=meaning.strange, failure=failure, suppress=meaning.suppress
    )


def _numbered_once(verdicts: list[Verdict]) -> list[Verdict]:
    """A number of theirs that two messages were given tells of neither."""
    count = Counter(verdict.provider_id for verdict in verdicts if verdict.provider_id)
    return [
        Verdict(verdict.reference, Status.IN_DOUBT, verdict.code, strange=True)
        if count[verdict.provider_id] > 1
        else verdict
        for verdict in verdicts
    ]
