"""What holds of every provider. A new one gets all of this by its line in PROVIDERS and its SAMPLE."""

from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.harness import (
    REPORTS,
    SETTLES,
    Outcome,
    Sample,
    assert_sound,
    decides_nothing,
    sample_of,
)
from worker.providers import PROVIDERS, dialect
from worker.providers.contract import (
    CREDENTIALS,
    MALFORMED,
    MISDIRECTED,
    SERVER_ERROR,
    THROTTLED,
    Account,
    Answered,
    Dialect,
    Failure,
    Jobs,
    Reply,
)
from worker.sms.message import Message
from worker.sms.package import Item, fitting
from worker.sms.status import Status

Read = Callable[[Reply], Outcome]

few = settings(max_examples=100, deadline=None)


def accounts() -> list[tuple[str, Account]]:
    """Every provider with every account of its sample."""
    return [(provider, account) for provider in PROVIDERS for account in sample_of(provider).accounts]


def _label(value: object) -> str:
    return value if isinstance(value, str) else ""


every_provider = pytest.mark.parametrize("provider", PROVIDERS)
every_account = pytest.mark.parametrize(("provider", "account"), accounts(), ids=_label)


def readers(sample: Sample, speaker: Dialect) -> dict[str, Read]:
    """Everything the dialect can read."""
    found: dict[str, Read] = {
        "submit": lambda reply: speaker.read_submit(sample.items, reply),
        "status": lambda reply: speaker.read_status(sample.asked, reply),
    }
    return found | ({"job": speaker.read_job} if isinstance(speaker, Jobs) else {})


def good_answers(sample: Sample) -> dict[str, bytes]:
    """An answer to each question as it should be, every message with a word."""
    answers = {
        "submit": sample.submit_answer((item, sample.takes) for item in sample.items),
        "status": sample.status_answer((item, sample.delivers) for item in sample.items),
    }
    return answers | ({"job": sample.job_answer} if sample.job_answer else {})


def assert_sound_answer(sample: Sample, account: Account, question: str, outcome: Outcome) -> None:
    allowed = SETTLES if question == "submit" else REPORTS
    references = [item.reference for item in sample.items]
    assert_sound(outcome, references, allowed, account, sample.items)


def says_no_more(outcome: Outcome, whole: Outcome) -> bool:
    """Whether an outcome decides nothing but what the whole answer decided too."""
    if isinstance(outcome, Answered) and isinstance(whole, Answered):
        return all(verdict in whole.verdicts for verdict in outcome.verdicts)
    return outcome == whole or decides_nothing(outcome)


# --- the line in the registry ----------------------------------------------------------------------------


@every_provider
def test_it_has_a_sample_and_the_sample_is_whole(provider: str) -> None:
    sample = sample_of(provider)
    assert len(sample.items) > 2
    assert all(account.secrets for account in sample.accounts)
    speaker = dialect(provider, sample.accounts[0])
    assert isinstance(speaker, Jobs) == (sample.job_answer is not None)


def test_a_provider_without_a_sample_fails() -> None:
    with pytest.raises(ModuleNotFoundError):
        sample_of("provider-of-nobody")
    with pytest.raises(AssertionError, match="must hold a SAMPLE"):
        sample_of("every-provider")


def test_no_dialect_of_that_name() -> None:
    with pytest.raises(KeyError):
        dialect("pigeon", Account("https://pigeon.example", key="secret"))


@every_provider
def test_its_tables_name_only_statuses_that_the_verb_may_enter(provider: str) -> None:
    sample = sample_of(provider)
    assert set(sample.submit_table.values()) <= SETTLES
    assert set(sample.status_table.values()) <= REPORTS


@every_provider
def test_the_sample_reads_as_it_says(provider: str) -> None:
    sample = sample_of(provider)
    speaker = dialect(provider, sample.accounts[0])
    answers = good_answers(sample)

    taken = speaker.read_submit(sample.items, Reply(200, answers["submit"]))
    assert isinstance(taken, Answered)
    assert [(v.reference, v.status) for v in taken.verdicts] == [
        (item.reference, Status.SENT) for item in sample.items
    ]
    ended = speaker.read_status(sample.asked, Reply(200, answers["status"]))
    assert isinstance(ended, Answered)
    assert {v.status for v in ended.verdicts} == {Status.DELIVERED}


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
def test_an_http_status_means_the_same_whatever_the_body(provider: str, http: int, failure: Failure) -> None:
    sample = sample_of(provider)
    speaker = dialect(provider, sample.accounts[0])
    for question, read in readers(sample, speaker).items():
        for body in (b"", b"<html/>", good_answers(sample)[question]):
            outcome = read(Reply(http, body))
            assert isinstance(outcome, Failure)
            assert outcome.because() == failure


# --- bodies that say nothing -----------------------------------------------------------------------------

NONSENSE = {
    "empty": b"",
    "a byte order mark": b"\xef\xbb\xbf",
    "a megabyte of blanks": b" \t\r\n" * 262_144,
    "ten megabytes of blanks": b" " * 10_485_760,
    "ten megabytes of text": b"<package>" + b"1" * 10_485_760 + b"</package>",
    "NUL bytes": b"\x00" * 100,
    "every byte": bytes(range(256)),
    "plain text": b"OK",
    "a number": b"1",
    "JSON": b'{"success": true}',
    "HTML": b"<html><head><title>502</title></head><body>Bad Gateway</body></html>",
    "HTML with a doctype": b"<!DOCTYPE html>\n<html><body><p>Please log in<br></body></html>",
    "an unclosed root": b"<package>",
    "two roots": b"<package/><package/>",
    "another root": b"<envelope><message/></envelope>",
    "a hundred thousand levels": b"<package>" * 100_000 + b"</package>" * 100_000,
    "a thousand levels": b"<package>" + b"<a>" * 1_000 + b"</a>" * 1_000 + b"</package>",
    "an unknown encoding": b'<?xml version="1.0" encoding="klingon"?><packet/>',
    "a wrong encoding": b'<?xml version="1.0" encoding="utf-8"?><package>\xff\xfe\xcf</package>',
    "half of UTF-16": "<package/>".encode("utf-16")[:-1],
    "UTF-16 by name only": b'<?xml version="1.0" encoding="utf-16"?><packet/>',
    "an entity nobody declared": b"<package>&nbsp;</package>",
    "a doctype with an entity": b'<!DOCTYPE package [<!ENTITY x "1">]><package><error>&x;</error></package>',
    "a doctype in UTF-16": '<!DOCTYPE package [<!ENTITY x "1">]><package/>'.encode("utf-16"),
    "a doctype in UTF-7": (
        b'<?xml version="1.0" encoding="utf-7"?>+ADw-!DOCTYPE package+AD4-+ADw-package/+AD4-'
    ),
    "a doctype alone": b"<!DOCTYPE package><package/>",
    "a file": b'<!DOCTYPE package [<!ENTITY x SYSTEM "file:///etc/passwd">]><package>&x;</package>',
    "a file by parameter": (
        b'<!DOCTYPE package [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><package>1</package>'
    ),
    "an address": b'<!DOCTYPE package SYSTEM "http://203.0.113.1/package.dtd"><package/>',
    "a billion laughs": (
        b'<!DOCTYPE package [<!ENTITY a "' + b"ha" * 500 + b'">'
        b'<!ENTITY b "' + b"&a;" * 100 + b'"><!ENTITY c "' + b"&b;" * 100 + b'"><!ENTITY d "' + b"&c;" * 100
        + b'">]><package key="&d;">&d;</package>'
    ),
}  # fmt: skip


@every_account
@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_decides_nothing(provider: str, account: Account, body: bytes) -> None:
    sample = sample_of(provider)
    for question, read in readers(sample, dialect(provider, account)).items():
        outcome = read(Reply(200, body))
        assert decides_nothing(outcome)
        assert_sound_answer(sample, account, question, outcome)


@every_provider
def test_a_doctype_spoils_even_a_good_answer(provider: str) -> None:
    sample = sample_of(provider)
    speaker = dialect(provider, sample.accounts[0])
    for question, read in readers(sample, speaker).items():
        good = good_answers(sample)[question]
        doctype = b'<!DOCTYPE package [<!ENTITY one "1">]>'
        bodies = [doctype + good[good.find(b"<package") :], good.replace(b"?>", b"?>" + doctype)]
        for body in bodies:
            assert body == good or decides_nothing(read(Reply(200, body)))


# --- good answers, damaged -------------------------------------------------------------------------------


@every_provider
def test_cut_anywhere_an_answer_says_no_more_than_it_did_whole(provider: str) -> None:
    sample = sample_of(provider)
    speaker = dialect(provider, sample.accounts[0])
    words = (sample.takes, sample.refuses)
    mixed = [(item, words[place % 2]) for place, item in enumerate(sample.items)]
    answers = good_answers(sample) | {"refused": sample.submit_answer(mixed)}
    read = readers(sample, speaker)
    for question, whole in answers.items():
        ask = read.get(question, read["submit"])
        outcome = ask(Reply(200, whole))
        for length in range(len(whole.rstrip())):
            assert says_no_more(ask(Reply(200, whole[:length])), outcome), f"{question} cut after {length}"
            # And a connection that lost its beginning instead.
            assert says_no_more(ask(Reply(200, whole[length:])), outcome), f"{question} cut before {length}"


@every_provider
def test_order_does_not_matter(provider: str) -> None:
    sample = sample_of(provider)
    speaker = dialect(provider, sample.accounts[0])
    words = [(item, sample.takes) for item in sample.items]
    forward = speaker.read_submit(sample.items, Reply(200, sample.submit_answer(words)))
    backward = speaker.read_submit(sample.items, Reply(200, sample.submit_answer(words[::-1])))
    assert isinstance(forward, Answered)
    assert isinstance(backward, Answered)
    assert list(forward.verdicts) == list(backward.verdicts)[::-1]


@every_provider
def test_what_is_missing_gets_no_verdict(provider: str) -> None:
    sample = sample_of(provider)
    speaker = dialect(provider, sample.accounts[0])
    for count in range(len(sample.items)):
        some = sample.items[:count]
        outcome = speaker.read_submit(
            sample.items, Reply(200, sample.submit_answer((item, sample.takes) for item in some))
        )
        assert isinstance(outcome, Answered)
        assert {v.reference for v in outcome.verdicts} == {item.reference for item in some}


@every_provider
def test_what_we_did_not_send_is_not_ours(provider: str) -> None:
    sample = sample_of(provider)
    speaker = dialect(provider, sample.accounts[0])
    ours, *theirs = sample.items
    body = sample.submit_answer((item, sample.refuses) for item in (*theirs, ours))
    outcome = speaker.read_submit([ours], Reply(200, body))
    assert isinstance(outcome, Answered)
    assert [v.reference for v in outcome.verdicts] == [ours.reference]


@every_provider
def test_said_twice_is_said_once_unless_it_contradicts_itself(provider: str) -> None:
    sample = sample_of(provider)
    speaker = dialect(provider, sample.accounts[0])

    def read(*words: str) -> list[Status | None]:
        body = sample.submit_answer((item, word) for word in words for item in sample.items)
        outcome = speaker.read_submit(sample.items, Reply(200, body))
        assert isinstance(outcome, Answered)
        assert len(outcome.verdicts) == len(sample.items)
        return list({verdict.status for verdict in outcome.verdicts})

    assert read(sample.takes, sample.takes) == [Status.SENT]
    assert read(sample.refuses, sample.refuses) == [Status.REJECTED]
    for words in product((sample.takes, sample.refuses), repeat=3):
        if len(set(words)) == 2:
            assert read(*words) == [Status.IN_DOUBT]


# --- requests --------------------------------------------------------------------------------------------


@every_account
def test_no_secret_can_be_printed(provider: str, account: Account) -> None:
    sample = sample_of(provider)
    speaker = dialect(provider, account)
    requests = [speaker.submit(sample.items), speaker.status(sample.asked)]
    if isinstance(speaker, Jobs):
        requests.append(speaker.job("abc"))
    printed = " ".join(repr(value) + str(value) for value in (account, speaker, *requests, *sample.items))
    assert not [secret for secret in account.secrets if secret in printed]
    assert not [item.text for item in sample.items if item.text in printed]
    assert not [item.recipient for item in sample.items if item.recipient in printed]
    sent = b"".join(request.body + request.url.encode() for request in requests)
    assert any(secret.encode() in sent for secret in account.secrets), "the secret is used, not lost"


@every_account
def test_the_sample_travels_whole(provider: str, account: Account) -> None:
    sample = sample_of(provider)
    request = dialect(provider, account).submit(sample.items)
    assert sample.texts(request) == [item.text for item in sample.items]


# Unpaired surrogates cannot be in a str that was ever decoded; Message refuses the rest of what these leave.
any_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


def acceptable(text: str) -> bool:
    """Whether a Message may hold this text."""
    try:
        Message(client_id="c", recipient="+380931110001", sender="s", text=text)
    except ValueError:
        return False
    return True


@every_provider
@few
@given(texts=st.lists(any_text.filter(acceptable), min_size=1, max_size=5))
def test_every_text_a_message_may_hold_arrives_as_it_was(provider: str, texts: list[str]) -> None:
    sample = sample_of(provider)
    first = sample.items[0]
    items = [
        Item(place, place + 1, first.kind, first.recipient, first.sender, text)
        for place, text in enumerate(texts)
    ]
    assert sample.texts(dialect(provider, sample.accounts[0]).submit(items)) == texts


@every_account
@pytest.mark.parametrize("text", ["a" * 160, "я" * 70, "😀" * 35, "<" * 160, '"' * 300, "x"])
def test_a_package_that_fits_is_not_larger_than_the_limit(provider: str, account: Account, text: str) -> None:
    sample = sample_of(provider)
    first = sample.items[0]
    speaker = dialect(provider, account)
    many = [Item(n, 10**12 + n, first.kind, first.recipient, first.sender, text) for n in range(5_000)]
    package = fitting(many, speaker.limits)
    assert 0 < len(package) <= speaker.limits.items
    assert len(speaker.submit(package).body) <= speaker.limits.octets


# --- fuzz ------------------------------------------------------------------------------------------------


@every_account
@few
@given(body=st.binary(max_size=300))
def test_random_bytes_decide_nothing(provider: str, account: Account, body: bytes) -> None:
    sample = sample_of(provider)
    for question, read in readers(sample, dialect(provider, account)).items():
        outcome = read(Reply(200, body))
        assert decides_nothing(outcome)
        assert_sound_answer(sample, account, question, outcome)


@st.composite
def mutations(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes, a few times overwritten, cut, repeated or swapped."""
    body = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 30)))
        match draw(st.sampled_from(("overwrite", "cut", "repeat", "move", "tail"))):
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


SPLINTERS = (
    b"<",
    b">",
    b"</msg>",
    b"<msg>",
    b"<error>212</error>",
    b"<job>x</job>",
    b"</package>",
    b"&lt;",
    b"&x;",
    b"&#0;",
    b"<![CDATA[",
    b"]]>",
    b"<!--",
    b'"',
    b"0",
    b"203",
    b"\x00",
    b"\xff",
    b'<?xml version="1.0" encoding="koi8-r"?>',
    b"<!DOCTYPE package>",
)


@every_provider
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_answer_is_read_or_refused_but_never_raises(provider: str, data: st.DataObject) -> None:
    sample = sample_of(provider)
    account = sample.accounts[0]
    read = readers(sample, dialect(provider, account))
    answers = good_answers(sample)
    body = data.draw(mutations(answers[data.draw(st.sampled_from(sorted(answers)))]))
    for question, reader in read.items():  # the answer to another question is damage too
        assert_sound_answer(sample, account, question, reader(Reply(200, body)))
