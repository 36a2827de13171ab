"""AlphaSMS, XML: synchronous `message`, asynchronous `message-async` with its `job`, and `status`.

Source: AlphaSMS documentation and captured answers. Three things there are easily misread:

- A number means one thing in `<error>`, where it is about the whole request, and another in `<msg>`.
- 208 is no failure: they have had a message with this id before, so it is asked about and adopted.
- 1 means accepted, whichever question it answers; 102 alone means delivered.

Our `id` is unique in the account for ever, so whatever became doubtful can be asked for by it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import ClassVar, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from worker.providers import xml
from worker.providers.contract import (
    CREDENTIALS,
    MALFORMED,
    MONEY,
    SERVER_ERROR,
    THROTTLED,
    UNREADABLE,
    Account,
    Answered,
    Asked,
    Failure,
    JobPhase,
    JobReport,
    JobTaken,
    Reply,
    Request,
    Verdict,
    read_http,
)
from worker.sms.doubt import Doubt
from worker.sms.message import Kind, Message, MessageError, mask
from worker.sms.package import Item, Limits
from worker.sms.segments import segments
from worker.sms.status import Status

# --- constants ---------------------------------------------------------------------------------------

PATH = "/api/xml.php"
HEADERS = {"Content-Type": "text/xml; charset=utf-8"}
COMMANDS = {"sync": "message", "async": "message-async"}
TYPES = {Kind.SMS: "0", Kind.FLASH: "1", Kind.VOICE: "3"}
JOB = re.compile(r"[A-Za-z0-9_.:+/={}-]{1,64}")  # in their sample 32 hex digits
CODE = re.compile(r"[0-9]{1,3}")  # one we know or one they may add
COUNTS = {str(count): count for count in range(1, 256)}  # segments; 0 is not a number of them

# --- limits ------------------------------------------------------------------------------------------

ITEMS = {"sync": 100, "async": 1000}  # unpublished; on the careful side
OCTETS = 1_048_576  # unpublished
STATUS_ITEMS = 200  # unpublished
SENDER_MOST = 11  # characters, of letters and digits alike
SEGMENTS_MOST = 10  # a guess: they only say that too long a text is refused with 204
VOICE_TO = "+380"  # voice reaches Ukrainian landlines only
# A recipient always fits: they take 21 characters, and Message allows 16.

# --- code tables -------------------------------------------------------------------------------------


class Word(NamedTuple):
    """What a code in `<msg>` amounts to."""

    status: Status | None
    failure: Failure | None = None
    known: bool = True
    denies: bool = False  # it says that they do not have the message
    strange: bool = False


class Words(NamedTuple):
    """The codes of one question."""

    table: Mapping[str, Word]
    completed: Mapping[str, Word]  # goes before, once `date_completed` stands beside the code
    lost: Word  # what a code we do not know amounts to, and what contradictory ones do


REFUSALS = {
    "200": SERVER_ERROR,  # ERR_UNKNOWN: nobody can tell what they did before it
    "201": MALFORMED,  # ERR_FORMAT
    "202": CREDENTIALS,  # ERR_AUTHORIZATION
    "205": CREDENTIALS,  # ERR_USER_DISABLE
    "209": CREDENTIALS,  # ERR_API_DISABLE
    "210": CREDENTIALS,  # ERR_IP_DENIED
    "212": THROTTLED,  # ERR_THROTTLE
}
"""`<error>`: the request as a whole."""

DELIVERY = {
    "1": Status.SENT,  # accepted, nothing further yet
    "100": Status.SENT,  # SCHEDULED
    "101": Status.SENT,  # ENROUTE
    "102": Status.DELIVERED,
    "103": Status.EXPIRED,
    "104": Status.CANCELLED,  # DELETED
    "105": Status.UNDELIVERABLE,
    "106": Status.SENT,  # ACCEPTED; final once completed
    "107": Status.SENT,  # UNKNOWN; final once completed
    "108": Status.REJECTED,
    "109": Status.UNDELIVERABLE,  # DISCARDED
    "110": Status.SENT,  # SENDING
    "111": Status.UNDELIVERABLE,  # NOT_SUPPORTED, not billed
    "112": Status.REJECTED,  # WRONG_ALPHANAME
    "113": Status.REJECTED,  # WRONG_ALPHANAME_RETURNED
}
"""Where a message that they have stands."""

SUBMITTED = Words(
    {
        # They have it, wherever it stands; the first look at its state will tell.
        **dict.fromkeys(DELIVERY, Word(Status.SENT)),
        "200": Word(Status.IN_DOUBT),  # ERR_UNKNOWN
        "201": Word(Status.REJECTED),  # ERR_ID
        "202": Word(Status.REJECTED),  # ERR_SENDER
        "203": Word(Status.REJECTED),  # ERR_RECIPIENT
        "204": Word(Status.REJECTED),  # ERR_LENGTH
        "205": Word(Status.QUEUED, CREDENTIALS, denies=True),  # ERR_USER_DISABLE
        "206": Word(Status.QUEUED, MONEY, denies=True),  # ERR_BILLING
        "207": Word(Status.QUEUED, MONEY, denies=True),  # ERR_OVERLIMIT
        "208": Word(Status.IN_DOUBT),  # ERR_DUPLICATE: asked for by id, and adopted
        "212": Word(Status.QUEUED, THROTTLED, denies=True),  # ERR_THROTTLE
    },
    completed={},
    lost=Word(Status.IN_DOUBT, strange=True),
)
"""`<msg>` in the answer to a submit."""

REPORTED = Words(
    {
        **{code: Word(status) for code, status in DELIVERY.items()},
        "200": Word(None),  # ERR_UNKNOWN: of the question, not of the message
        "201": Word(None, known=False, denies=True),  # ERR_ID
        "202": Word(Status.REJECTED),  # refused after it was taken with a whole job, as are the next two
        "203": Word(Status.REJECTED),
        "204": Word(Status.REJECTED),
        "205": Word(Status.QUEUED, CREDENTIALS, denies=True),
        "206": Word(Status.QUEUED, MONEY, denies=True),
        "207": Word(Status.QUEUED, MONEY, denies=True),
        "208": Word(None),  # says only that the id is taken
        "211": Word(None),  # ERR_DELETE: of a cancellation
        "212": Word(None),  # asked too fast: the sending need not suffer for it
    },
    completed={
        # The codes follow the SMPP message states. There ACCEPTED means read on the subscriber's behalf: it
        # has arrived. UNKNOWN with an end to it says that nobody will ever learn more, and that is neither
        # success nor failure; it is what unconfirmed is for.
        "106": Word(Status.DELIVERED),
        "107": Word(Status.UNCONFIRMED),
    },
    lost=Word(None, strange=True),
)
"""`<msg>` in the answer to a status request."""

JOBS = {
    "WAITING": JobPhase.RUNNING,
    "RUNNING": JobPhase.RUNNING,
    "COMPLETE": JobPhase.DONE,  # says nothing of a single message
    "FAILED": JobPhase.BROKEN,  # a part of them may have been taken
    "NOTFOUND": JobPhase.GONE,
}
"""`<status>` of a job."""

ANSWERS = ("message", "message-async", "status")
"""What answers stand in. Their tables and their samples disagree on which, so any will do."""

Finder: TypeAlias = Callable[[xml.Element], int | None]
"""Which message of ours an answer is about, by reference; None for one of somebody else."""


class AlphaSmsXml:
    """The dialect for one account.

    Options: `mode` (sync or async), `package_items` (0: by mode), `package_bytes`, `status_items`, and `zone`
    of the dates that carry none. Raises ValueError for a bad option and for missing credentials.
    """

    doubt: ClassVar[Doubt] = Doubt.ASK
    job_kept = timedelta(hours=11)  # they forget after twelve: an hour before, the messages are asked for

    def __init__(self, account: Account) -> None:
        option = account.options.get
        mode = option("mode", "sync")
        if mode not in COMMANDS:
            raise ValueError(f"mode must be one of {', '.join(COMMANDS)}, got {mode!r}")
        self.limits = Limits(
            items=int(option("package_items", "0")) or ITEMS[mode],
            octets=int(option("package_bytes", "0")) or OCTETS,
        )
        self.status_items = int(option("status_items", "0")) or STATUS_ITEMS
        self._command = COMMANDS[mode]
        self._zone = _zone(option("zone", "Europe/Kyiv"))
        self._url = account.url.rstrip("/") + PATH
        self._login = _login(account)

    # --- build ---------------------------------------------------------------------------------------

    def check(self, message: Message) -> None:
        """Raise MessageError if AlphaSMS cannot carry the message."""
        if message.kind not in TYPES:
            raise MessageError("kind", message.kind.value, "is not carried by AlphaSMS")
        if len(message.sender) > SENDER_MOST:
            raise MessageError("sender", message.sender, f"must be at most {SENDER_MOST} characters")
        if (count := segments(message.text)) > SEGMENTS_MOST:
            raise MessageError("text", f"{count} segments", f"must be at most {SEGMENTS_MOST} segments")
        if message.kind is Kind.VOICE and not message.recipient.startswith(VOICE_TO):
            raise MessageError("recipient", mask(message.recipient), f"must start {VOICE_TO} for voice")

    def submit(self, items: Sequence[Item]) -> Request:
        """One `message` or `message-async` with a `<msg>` for each item."""
        return self._request(self._command, (_message(item) for item in items))

    def status(self, asked: Sequence[Asked]) -> Request:
        """One `status`, by our ids; never with theirs too."""
        return self._request("status", (("msg", {"id": str(one.reference)}, "") for one in asked))

    def job(self, job: str) -> Request:
        """One `job`, which here holds the bare id."""
        return self._request("job", job)

    def _request(self, command: str, content: "str | Iterable[xml.Node]") -> Request:
        document = xml.render(("package", self._login, [(command, {}, content)]))
        return Request(url=self._url, body=document, headers=HEADERS)

    # --- read ----------------------------------------------------------------------------------------

    def read_submit(self, items: Sequence[Item], reply: Reply) -> Answered | JobTaken | Failure:
        """A verdict for each `<msg>` of ours, else the job, else the error: what they took comes first."""
        package = _package(reply)
        if isinstance(package, Failure):
            return package
        if answers := list(package.iter("msg")):
            ours = {str(item.reference): item.reference for item in items}
            return self._joined(answers, _finder(ours, {}), SUBMITTED)
        return _job_taken(package) or _error(package) or _nothing(package)

    def read_status(self, asked: Sequence[Asked], reply: Reply) -> Answered | Failure:
        """A verdict for each `<msg>` that answers what was asked."""
        package = _package(reply)
        if isinstance(package, Failure):
            return package
        if answers := list(package.iter("msg")):
            ours = {str(one.reference): one.reference for one in asked}
            theirs = {one.provider_id: one.reference for one in asked if one.provider_id}
            return self._joined(answers, _finder(ours, theirs), REPORTED)
        return _error(package) or _nothing(package)

    def read_job(self, reply: Reply) -> JobReport | Failure:
        """The word in `<job><status>`. A `<job>` without one is no report."""
        package = _package(reply)
        if isinstance(package, Failure):
            return package
        words = {_text(element) for element in package.iterfind("job/status")}
        if len(words) != 1:
            return _error(package) or UNREADABLE.because(detail="not one job status in it")
        word = words.pop()
        if word not in JOBS:
            return UNREADABLE.because(detail="no job status we know")
        return JobReport(JOBS[word], word)

    def _joined(self, answers: Iterable[xml.Element], find: Finder, words: Words) -> Answered:
        """One verdict a message of ours. Answers that contradict each other decide nothing."""
        verdicts: dict[int, Verdict] = {}
        for answer in answers:
            reference = find(answer)
            if reference is None:
                continue
            verdict = self._verdict(reference, answer, words)
            first = verdicts.setdefault(reference, verdict)
            if first is not verdict and first != verdict:
                verdicts[reference] = Verdict(reference, words.lost.status, first.code, strange=True)
        return Answered(list(verdicts.values()))

    def _verdict(self, reference: int, answer: xml.Element, words: Words) -> Verdict:
        code, theirs = _text(answer), _theirs(answer)
        word = words.table.get(code, words.lost)
        if word.denies and theirs:
            # They cannot lack a message that they have numbered. Queued on that word, it might leave twice.
            word = words.lost
        completed = answer.get("date_completed")
        completed_at = _instant(completed[:40], self._zone) if completed else None
        if completed_at and code in words.completed:
            word = words.completed[code]
        return Verdict(
            reference,
            word.status,
            _shown(code, words.table),
            theirs,
            _count(answer) if code in DELIVERY else None,
            completed_at,
            word.known,
            word.strange,
            word.failure,
        )


def _login(account: Account) -> dict[str, str]:
    """Who we are, as attributes of `<package>`: the key, or what older accounts have."""
    if account.key:
        return {"key": account.key}
    if account.login and account.password:
        return {"login": account.login, "password": account.password}
    raise ValueError("AlphaSMS needs a key, or a login and a password")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not there, not a name, a folder of names
        raise ValueError(f"zone must be a time zone such as Europe/Kyiv, got {name!r}") from None


def _message(item: Item) -> xml.Node:
    attributes = {
        "id": str(item.reference),
        "recipient": item.recipient,
        "sender": item.sender,
        "type": TYPES[item.kind],
    }
    return "msg", attributes, item.text


def _package(reply: Reply) -> xml.Element | Failure:
    return read_http(reply) or xml.read(reply.body, "package")


def _finder(ours: Mapping[str, int], theirs: Mapping[str, int]) -> Finder:
    """Joins on our id; on theirs where an answer carries none of ours."""

    def find(answer: xml.Element) -> int | None:
        number = answer.get("id", "")
        return ours.get(number) if number.strip("0") else theirs.get(answer.get("sms_id", ""))

    return find


def _job_taken(package: xml.Element) -> JobTaken | None:
    """In this answer `<job>` holds the bare id; a report on some job has children there and no text."""
    jobs = {_text(element) for element in package.iter("job")}
    job = jobs.pop() if len(jobs) == 1 else ""
    return JobTaken(job) if JOB.fullmatch(job) else None


def _error(package: xml.Element) -> Failure | None:
    codes = {_text(element) for element in package.iter("error")}
    if len(codes) != 1:
        return UNREADABLE.because(detail="errors that differ") if codes else None
    code = codes.pop()
    return REFUSALS.get(code, UNREADABLE).because(code=_shown(code, REFUSALS))


def _nothing(package: xml.Element) -> Answered | Failure:
    """An answer that is there and empty misses every message; anything else is no answer at all."""
    if any(part.tag in ANSWERS and not len(part) and not _text(part) for part in package):
        return Answered(())
    return UNREADABLE.because(detail="neither messages nor an error in it")


def _text(element: xml.Element) -> str:
    return (element.text or "").strip()


def _shown(code: str, table: Mapping[str, object]) -> str:
    """A code as it may be kept. What is none may be anything, the text they were given included."""
    return code if code in table or CODE.fullmatch(code) else "?"


def _theirs(answer: xml.Element) -> str:
    """Their number; "0" means none, and what is no number of theirs is none either."""
    number = answer.get("sms_id", "")
    return number if number != "0" and len(number) <= 64 and number.isalnum() and number.isascii() else ""


def _count(answer: xml.Element) -> int | None:
    """Segments charged. Not to be asked of refused messages, where they send 0 or 1 as they like."""
    return COUNTS.get(answer.get("sms_count", ""))


@lru_cache(maxsize=4096)  # in one answer many share a second, and this is dearer than all the rest of reading
def _instant(moment: str, zone: ZoneInfo) -> datetime | None:
    """An instant in UTC from what may lack seconds or a zone, or name a day that never was: 31 November."""
    if moment[4:5] != "-":  # Python would read any run of digits as a date
        return None
    try:
        read = datetime.fromisoformat(moment)
        return (read if read.tzinfo else read.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
