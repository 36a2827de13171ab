"""What holds of every provider. A new one gets all of this by its line in PROVIDERS and its SAMPLE."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bulk_dispatch.domain.content import KINDS, Kind, Sms
from bulk_dispatch.domain.doubt_policy import POLICIES, DoubtPolicy
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.package import OutboundMessage, fitting
from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers import PROVIDERS, dialect
from bulk_dispatch.providers.failures import (
    CREDENTIALS,
    MALFORMED,
    MISDIRECTED,
    SERVER_ERROR,
    THROTTLED,
    UNREADABLE,
    Failure,
)
from bulk_dispatch.providers.interface import Account, Answered, Dialect, Receipts, Reply, Schedules, Statuses
from tests.providers.bodies import NONSENSE, SPLINTERS
from tests.providers.harness import NOW, Sample, reply_of, sample_of
from tests.providers.mutate import mutated
from tests.providers.questions import OTHERS, Question, calls, first_calls, pushes, questions
from tests.providers.rules import (
    ENDS,
    REPORTS,
    SETTLES,
    assert_request,
    decides_nothing,
    personal,
    says_no_more,
    shown,
)
from tests.providers.seeds import SEEDS, Target, targets

more = settings(max_examples=3 * settings().max_examples)


def accounts() -> list[tuple[str, Account]]:
    """Every provider with every account of its sample."""
    return [(provider, account) for provider in PROVIDERS for account in sample_of(provider).accounts]


def _label(value: object) -> str:
    return value if isinstance(value, str) else ""


every_provider = pytest.mark.parametrize("provider", PROVIDERS)
every_account = pytest.mark.parametrize(("provider", "account"), accounts(), ids=_label)


def of(provider: str) -> tuple[Sample, Account, Dialect]:
    """A provider's sample, with the first of its accounts."""
    sample = sample_of(provider)
    account = sample.accounts[0]
    return sample, account, dialect(provider, account)


def readers(sample: Sample, speaker: Dialect) -> dict[str, Question]:
    """Everything the dialect can read, asked for or pushed."""
    return questions(sample, speaker) | pushes(sample, speaker)


# --- the line in the registry ----------------------------------------------------------------------------


@every_provider
def test_it_has_a_sample_and_the_sample_is_whole(provider: str) -> None:
    sample, _, speaker = of(provider)
    assert len(sample.items) > 2
    assert len({item.reference for item in sample.items}) == len(sample.items)
    assert all(account.secrets for account in sample.accounts)
    assert isinstance(speaker, Statuses) == (sample.status_answer is not None) == bool(sample.delivers)
    assert isinstance(speaker, Receipts) == bool(sample.pushes)
    assert set(sample.answers) == {name for name, kind in OTHERS.items() if isinstance(speaker, kind[0])}


def test_a_provider_without_a_sample_fails() -> None:
    with pytest.raises(ModuleNotFoundError):
        sample_of("provider-of-nobody")
    with pytest.raises(AssertionError, match="must hold a SAMPLE"):
        sample_of("every-provider")


def test_no_dialect_of_that_name() -> None:
    with pytest.raises(KeyError):
        dialect("pigeon", Account("https://pigeon.example", key="secret"))


@every_provider
def test_its_tables_name_only_statuses_that_the_event_type_may_enter(provider: str) -> None:
    sample = sample_of(provider)
    assert set(sample.submit_table.values()) <= SETTLES
    assert set(sample.status_table.values()) <= REPORTS
    assert set(sample.receipt_table.values()) <= ENDS | {Status.SENT, None}


@every_account
def test_its_way_out_of_doubt_is_one_it_has(provider: str, account: Account) -> None:
    speaker = dialect(provider, account)
    assert speaker.doubt in (DoubtPolicy.ASK, DoubtPolicy.REPEAT, *POLICIES)
    if speaker.doubt is DoubtPolicy.ASK:
        assert isinstance(speaker, Statuses)
        assert speaker.by_reference


@every_account
def test_its_limits_can_be_kept(provider: str, account: Account) -> None:
    limits = dialect(provider, account).limits
    assert limits.items > 0
    assert limits.octets > 0
    assert 0 <= limits.call <= limits.items
    assert limits.in_flight >= 1
    assert limits.shortest <= limits.longest


@every_account
def test_the_route_says_how_much_goes_at_once(provider: str, account: Account) -> None:
    usual = dialect(provider, account).limits
    sized = dialect(
        provider, replace(account, package_items=3, package_bytes=5_000, in_flight=2, status_items=7)
    )
    assert sized.limits.items == 3
    assert (
        sized.limits.octets <= 5_000 or sized.limits.octets == usual.octets
    )  # one a call: how long is known
    assert sized.limits.in_flight == (2 if sized.limits.call else 1)
    if isinstance(sized, Statuses):
        assert sized.status_items in (7, 1)


@every_account
def test_an_empty_option_is_as_if_it_were_not_there(provider: str, account: Account) -> None:
    usual = dialect(provider, replace(account, options={}))
    empty = dialect(provider, replace(account, options=dict.fromkeys(PROVIDERS[provider].options, "")))
    items = first_calls(sample_of(provider), usual)
    assert [usual.submit(call) for call in items.values()] == [empty.submit(call) for call in items.values()]


@every_account
def test_without_credentials_it_does_not_start(provider: str, account: Account) -> None:
    bare = replace(account, key="", login="", password="", token="")
    with pytest.raises(ValueError, match=r"key|login|password|token"):
        dialect(provider, bare)


# --- what it carries -------------------------------------------------------------------------------------


def message_of(item: OutboundMessage) -> Message:
    """The message that an item was made of."""
    return Message(
        client_id="c",
        recipient=item.recipient,
        sender=item.sender,
        content=item.content,
        send_at=item.send_at,
        valid_until=item.valid_until,
        viber_valid_until=item.viber_valid_until,
    )


@every_account
def test_it_carries_its_sample(provider: str, account: Account) -> None:
    speaker = dialect(provider, account)
    for item in sample_of(provider).items:
        speaker.check(message_of(item))
        assert isinstance(speaker.apart(item.kind), str)


@every_provider
def test_its_sample_holds_every_kind_that_it_carries(provider: str) -> None:
    _, _, speaker = of(provider)
    carried = set()
    for kind in Kind:
        for sample in map(sample_of, PROVIDERS):
            for item in sample.items:
                if item.kind is kind and _is_carried(speaker, item):
                    carried.add(kind)
    assert {item.kind for item in sample_of(provider).items} == carried


def _is_carried(speaker: Dialect, item: OutboundMessage) -> bool:
    try:
        speaker.check(message_of(item._replace(recipient="+380441110001", viber_valid_until=None)))
    except ValueError:
        return False
    return True


@every_provider
def test_what_it_refuses_it_refuses_for_a_reason_that_shows_nothing(provider: str) -> None:
    _, _, speaker = of(provider)
    for sample in map(sample_of, PROVIDERS):
        for item in sample.items:
            try:
                speaker.check(message_of(item))
            except ValueError as problem:
                assert not [word for word in personal(item) if word in str(problem)]  # noqa: PT017


# --- good answers ----------------------------------------------------------------------------------------


@every_account
def test_the_sample_reads_as_it_says(provider: str, account: Account) -> None:
    sample = sample_of(provider)
    speaker = dialect(provider, account)
    for items in calls(sample, speaker):
        answer = sample.submit_answer((item, sample.takes) for item in items)
        taken = speaker.read_submit(items, Reply(200, answer))
        assert isinstance(taken, Answered)
        assert [(v.reference, v.status) for v in taken.reports] == [
            (item.reference, Status.SENT) for item in items
        ]
    for name, question in readers(sample, speaker).items():
        outcome = question.sound(Reply(200, question.good), account)
        assert not isinstance(outcome, Failure), name
        if name == "status":
            assert isinstance(outcome, Answered)
            assert [(v.reference, v.status) for v in outcome.reports] == [
                (item.reference, Status.DELIVERED) for item in question.items
            ]


@every_provider
def test_what_it_was_given_as_their_number_is_what_it_asks_by(provider: str) -> None:
    sample, _, speaker = of(provider)
    for items in calls(sample, speaker):
        answer = sample.submit_answer((item, sample.takes) for item in items)
        taken = speaker.read_submit(items, Reply(200, answer))
        assert isinstance(taken, Answered)
        if not isinstance(speaker, Statuses) or not speaker.by_reference:
            assert [v.provider_message_id for v in taken.reports] == [
                sample.provider_message_id(item) for item in items
            ]


# --- HTTP ------------------------------------------------------------------------------------------------

HTTP = {
    429: THROTTLED,
    401: CREDENTIALS,
    403: CREDENTIALS,
    404: MISDIRECTED,
    405: MISDIRECTED,
    400: MALFORMED,
    413: MALFORMED,
    500: SERVER_ERROR,
    502: SERVER_ERROR,
    503: SERVER_ERROR,
    504: SERVER_ERROR,
    202: SERVER_ERROR,
    204: SERVER_ERROR,
    302: SERVER_ERROR,
    408: SERVER_ERROR,
    599: SERVER_ERROR,
}


@every_provider
@pytest.mark.parametrize(("http", "failure"), HTTP.items(), ids=str)
def test_an_http_status_means_the_same_unless_the_body_decides(
    provider: str, http: int, failure: Failure
) -> None:
    sample, account, speaker = of(provider)
    for name, question in questions(sample, speaker).items():
        expected = failure.doubted() if sample.wary and name.startswith("submit") else failure
        for body in (b"", b"<html/>", b"Bad Gateway"):
            outcome = question.sound(Reply(http, body), account)
            assert isinstance(outcome, Failure)
            assert outcome.because() == expected
        outcome = question.sound(Reply(http, question.good), account)
        refused = isinstance(outcome, Failure) and outcome.because() == expected
        if http in sample.body_decides:
            whole = question.read(Reply(200, question.good))
            assert refused or decides_nothing(outcome) or outcome == whole
        else:
            assert refused


# --- bodies that say nothing -----------------------------------------------------------------------------


@every_account
@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_decides_nothing(provider: str, account: Account, body: bytes) -> None:
    sample = sample_of(provider)
    for name, question in readers(sample, dialect(provider, account)).items():
        outcome = question.sound(Reply(200, body), account)
        assert decides_nothing(outcome), name


@every_provider
def test_a_doctype_spoils_even_a_good_answer(provider: str) -> None:
    sample, _, speaker = of(provider)
    for question in readers(sample, speaker).values():
        good = question.good
        if not good.startswith(b"<"):
            continue
        document = good[good.find(b"?>") + 2 :] if good.startswith(b"<?") else good
        for doctype in (b"<!DOCTYPE %s>", b'<!DOCTYPE %s [<!ENTITY one "1">]>'):
            root = document.strip(b"\n <").split(b">")[0].split()[0].rstrip(b"/")
            assert decides_nothing(question.read(Reply(200, doctype % root + document)))


# --- good answers, damaged -------------------------------------------------------------------------------


@every_provider
@pytest.mark.slow
def test_cut_anywhere_an_answer_says_no_more_than_it_did_whole(provider: str) -> None:
    sample, account, speaker = of(provider)
    for name, question, whole in _answers(sample, speaker):
        outcome = question.read(Reply(200, whole))
        for length in range(len(whole.rstrip())):
            for reply, framed in (
                (Reply(200, whole[:length], ended=False), True),  # of a connection that lost its end
                (Reply(200, whole[:length]), sample.framed),  # of a provider that lost it itself
                (Reply(200, whole[length:]), sample.framed),
            ):
                heard = question.sound(reply, account)
                assert says_no_more(heard, outcome, framed), f"{name} cut at {length}"


def _answers(sample: Sample, speaker: Dialect) -> Iterable[tuple[str, Question, bytes]]:
    """Every good answer, and one that takes and refuses in turn."""
    for name, question in readers(sample, speaker).items():
        yield name, question, question.good
    words = (sample.takes, sample.refuses)
    for family, items in first_calls(sample, speaker).items():
        mixed = sample.submit_answer((item, words[place % 2]) for place, item in enumerate(items))
        yield f"mixed {family}", questions(sample, speaker)[f"submit {family}".strip()], mixed


def joined(provider: str) -> tuple[Sample, Dialect, Sequence[Sequence[OutboundMessage]]]:
    """The calls of a provider whose answers name the messages they are about."""
    sample, _, speaker = of(provider)
    many = [items for items in calls(sample, speaker) if len(items) > 1]
    assert bool(many) == sample.named, "answers name their messages, unless each answer is about one"
    return sample, speaker, many


@every_provider
def test_order_does_not_matter(provider: str) -> None:
    sample, speaker, many = joined(provider)
    for items in many:
        words = [(item, sample.takes) for item in items]
        forward = speaker.read_submit(items, Reply(200, sample.submit_answer(words)))
        backward = speaker.read_submit(items, Reply(200, sample.submit_answer(words[::-1])))
        assert isinstance(forward, Answered)
        assert isinstance(backward, Answered)
        assert _by_reference(forward) == _by_reference(backward)


def _by_reference(answered: Answered) -> list[tuple[int, Status | None]]:
    return sorted((report.reference, report.status) for report in answered.reports)


@every_provider
def test_what_is_missing_gets_no_report(provider: str) -> None:
    sample, speaker, many = joined(provider)
    for items in many:
        for count in range(len(items)):
            some = items[:count]
            answer = sample.submit_answer((item, sample.takes) for item in some)
            outcome = speaker.read_submit(items, Reply(200, answer))
            if not count and outcome == UNREADABLE.because(detail=getattr(outcome, "detail", "")):
                continue  # an answer about nothing may be no answer
            assert isinstance(outcome, Answered)
            assert {v.reference for v in outcome.reports} == {item.reference for item in some}


@every_provider
def test_what_we_did_not_send_is_not_ours(provider: str) -> None:
    sample, speaker, many = joined(provider)
    for ours, *theirs in many:
        body = sample.submit_answer((item, sample.refuses) for item in (*theirs, ours))
        outcome = speaker.read_submit([ours], Reply(200, body))
        assert isinstance(outcome, Answered)
        assert [v.reference for v in outcome.reports] == [ours.reference]


@every_provider
def test_said_twice_is_said_once_unless_it_contradicts_itself(provider: str) -> None:
    sample, speaker, many = joined(provider)

    def read(items: Sequence[OutboundMessage], *words: str) -> list[Status | None]:
        body = sample.submit_answer((item, word) for word in words for item in items)
        outcome = speaker.read_submit(items, Reply(200, body))
        assert isinstance(outcome, Answered)
        assert len(outcome.reports) == len(items)
        return list({report.status for report in outcome.reports})

    refused = sample.submit_table.get(sample.refuses, Status.REJECTED)
    for items in many:
        assert read(items, sample.takes, sample.takes) == [Status.SENT]
        assert read(items, sample.refuses, sample.refuses) == [refused]
        for words in product((sample.takes, sample.refuses), repeat=3):
            if len(set(words)) == 2:
                assert read(items, *words) == [Status.IN_DOUBT]


# --- requests --------------------------------------------------------------------------------------------


@every_account
def test_no_secret_can_be_printed(provider: str, account: Account) -> None:
    sample = sample_of(provider)
    speaker = dialect(provider, account)
    requests = [speaker.submit(items) for items in calls(sample, speaker)]
    requests += [question.request for question in questions(sample, speaker).values() if question.request]
    for request in requests:
        assert_request(request, account, provider, secrets_in_url=sample.secrets_in_url)
        sent = request.body.decode() + request.url + " ".join(request.headers.values())
        assert shown(account.secrets, sent), "the secret is used, not lost"
    values = (account, speaker, *requests, *sample.items, *sample.asked(), *sample.pushes)
    printed = " ".join(repr(value) + str(value) for value in values)
    assert not shown(account.secrets, printed)
    assert not [word for item in sample.items for word in personal(item) if word in printed]


def text_of(item: OutboundMessage) -> str:
    """What is read first of it; a content without a text has none."""
    return getattr(item.content, "text", "")


@every_account
def test_the_sample_travels_whole(provider: str, account: Account) -> None:
    sample = sample_of(provider)
    speaker = dialect(provider, account)
    for items in calls(sample, speaker):
        assert sample.texts(speaker.submit(items)) == [sample.spelled(text_of(item)) for item in items]


# Unpaired surrogates cannot be in a str that was ever decoded; Message refuses the rest of what these leave.
any_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


def acceptable(text: str) -> bool:
    """Whether a Message may hold this text."""
    try:
        Sms(text)
    except ValueError:
        return False
    return True


@every_provider
@given(texts=st.lists(any_text.filter(acceptable), min_size=1, max_size=5))
def test_every_text_a_message_may_hold_arrives_as_it_was(provider: str, texts: list[str]) -> None:
    sample, _, speaker = of(provider)
    first = sample.items[0]
    assert first.kind is Kind.SMS, "the first of a sample is an ordinary text"
    items = [
        first._replace(id=place, reference=place + 1, content=Sms(text)) for place, text in enumerate(texts)
    ]
    size = speaker.limits.call or len(items)
    for start in range(0, len(items), size):
        call = items[start : start + size]
        assume(len(call) <= speaker.limits.items)
        assert sample.texts(speaker.submit(call)) == [sample.spelled(text_of(item)) for item in call]


@every_account
@pytest.mark.parametrize("text", ["a" * 160, "я" * 70, "😀" * 35, "<" * 160, '"' * 300, "x"])
def test_a_package_that_fits_is_not_larger_than_the_limit(provider: str, account: Account, text: str) -> None:
    sample = sample_of(provider)
    first = sample.items[0]
    speaker = dialect(provider, account)
    many = [first._replace(id=n, reference=10**12 + n, content=Sms(text)) for n in range(5_000)]
    package = fitting(many, speaker.limits)
    assert 0 < len(package) <= speaker.limits.items
    request = speaker.submit(package[: speaker.limits.call or None])
    assert len(request.body) <= speaker.limits.octets


@every_account
def test_a_message_held_by_the_provider_says_when_it_leaves(provider: str, account: Account) -> None:
    sample = sample_of(provider)
    speaker = dialect(provider, account)
    item = sample.items[0]._replace(send_at=None)
    later = item._replace(send_at=NOW)
    assert (speaker.submit([item]) != speaker.submit([later])) == isinstance(speaker, Schedules)


# --- receipts --------------------------------------------------------------------------------------------


@every_provider
def test_every_receipt_is_acknowledged_whatever_it_says(provider: str) -> None:
    sample, account, speaker = of(provider)
    if not isinstance(speaker, Receipts):
        assert not sample.receipt_table
        return
    for push in sample.pushes:
        receipts = speaker.read_receipts(push)
        assert not isinstance(receipts, Failure)
        assert receipts
        for some in (receipts, [*receipts, *receipts], []):
            answer = speaker.acknowledge(some)
            assert not shown(account.secrets, answer.body.decode())
            assert answer.media_type


# --- fuzz ------------------------------------------------------------------------------------------------


@every_account
@given(body=st.binary(max_size=300))
def test_random_bytes_decide_nothing(provider: str, account: Account, body: bytes) -> None:
    sample = sample_of(provider)
    for question in readers(sample, dialect(provider, account)).values():
        assert decides_nothing(question.sound(reply_of(body), account))


@st.composite
def mutations(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes, a few times overwritten, cut, repeated or swapped."""
    body = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 30)))
        match draw(st.sampled_from(("overwrite", "cut", "repeat", "apply", "tail"))):
            case "overwrite":
                body[start:end] = draw(st.binary(max_size=8) | st.sampled_from(SPLINTERS))
            case "cut":
                del body[start:end]
            case "repeat":
                body[start:start] = body[start:end]
            case "move":
                part = body[start:end]
                del body[start:end]
                at = draw(st.integers(0, len(body)))
                body[at:at] = part
            case _:
                del body[end:]
    return bytes(body)


@every_provider
@more
@given(data=st.data())
def test_a_damaged_answer_is_read_or_refused_but_never_raises(provider: str, data: st.DataObject) -> None:
    sample, account, speaker = of(provider)
    asked = readers(sample, speaker)
    whole = asked[data.draw(st.sampled_from(sorted(asked)))].good
    reply = Reply(data.draw(st.sampled_from((200, 400, 500))), data.draw(mutations(whole)))
    for question in asked.values():  # the answer to another question is damage too
        question.sound(reply, account)


def test_every_kind_is_carried_by_somebody() -> None:
    carried = Counter(item.kind for provider in PROVIDERS for item in sample_of(provider).items)
    assert len(PROVIDERS) < 4 or set(carried) == set(KINDS)


@every_provider
@more
@given(seed=st.integers(0, 2**32))
def test_an_answer_of_good_form_and_any_content_is_held_to_the_rules(provider: str, seed: int) -> None:
    sample, account, speaker = of(provider)
    asked = readers(sample, speaker)
    body = mutated(Random(seed), [question.good for question in asked.values()])
    for question in asked.values():
        question.sound(Reply(200, body), account)


@pytest.mark.parametrize("target", targets(), ids=str)
def test_what_a_fuzzer_kept_is_read_or_refused(target: Target) -> None:
    for path in target.kept():
        target.feed(path.read_bytes())


def test_no_reader_has_lost_what_was_kept_for_it() -> None:
    assert set(SEEDS.glob("*/*")) <= {target.folder for target in targets()}
