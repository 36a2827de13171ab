"""`message-async` and `job`: everything is taken, but known only as the job gets to it."""

import re

import pytest

from bulk_dispatch.sandbox.alphasms.account import Job
from bulk_dispatch.sandbox.server import SandboxOptions, Timings
from tests.sandbox.conftest import Another
from tests.sandbox.customer import Customer, codes, eventually, msg, package, xml

ENDS = {"COMPLETE", "FAILED", "NOTFOUND"}
SAMPLE = """<package key="sandbox-key"><message-async>
  <msg id="700101" recipient="+380931110101" sender="ShopNews" type="0">A</msg>
  <msg id="700102" recipient="+380931110102" sender="ShopNews" type="0">B</msg>
</message-async></package>"""


def ended(customer: Customer, job: str) -> tuple[int, str]:
    """Wait for the job's end."""
    return eventually(lambda: customer.job(job), lambda seen: seen[1] in ENDS)


def test_the_sample_of_the_sheet_answers_with_a_number(customer: Customer) -> None:
    response = customer.post(SAMPLE)

    job = xml(response).findtext("./message-async/job") or ""
    assert re.fullmatch("[0-9a-f]{32}", job)
    assert codes(response) == []  # no reports
    assert ended(customer, job) == (100, "COMPLETE")
    assert all(code != 201 for code in codes(customer.status(700101, 700102)))


@pytest.mark.parametrize(
    ("now", "seen"),
    [
        (0, (0, "WAITING")),
        (2, (0, "RUNNING")),
        (7, (50, "RUNNING")),
        (12, (100, "COMPLETE")),
        (72, (100, "COMPLETE")),
        (73, (0, "NOTFOUND")),
    ],
)
def test_a_job_is_read_off_the_clock(now: float, seen: tuple[int, str]) -> None:
    job = Job("a", running_at=2, full_at=12, ends_at=12, end="COMPLETE")

    assert job.look(now, kept=60) == seen


def test_a_job_fails_where_it_stopped() -> None:
    job = Job("a", running_at=2, full_at=12, ends_at=6, end="FAILED")

    assert [job.look(now, kept=60) for now in (4, 6, 9)] == [(20, "RUNNING"), (40, "FAILED"), (40, "FAILED")]


def test_messages_become_known_one_after_the_other(another: Another) -> None:
    customer = another(SandboxOptions(timings=Timings(job=1000)))

    job = customer.submit(*(msg(own) for own in range(1, 5)))

    assert customer.job(job) == (0, "WAITING")
    assert codes(customer.status(1, 2, 3, 4)) == [201] * 4
    assert customer.counts()["by_state"] == {"queued": 4}
    shown = [customer.see(f"messages/{own}") for own in range(1, 5)]
    assert [one["known_at"] - one["taken_at"] for one in shown] == pytest.approx([400, 600, 800, 1000])
    assert [one["code"] for one in shown] == [None] * 4


def test_a_message_waiting_in_a_job_has_used_its_id(another: Another) -> None:
    customer = another(SandboxOptions(timings=Timings(job=3600)))
    customer.submit(msg(1))

    assert codes(customer.status(1)) == [201]
    assert codes(customer.send(msg(1))) == [208]
    assert customer.counts()["twice"] == 0


def test_refusals_in_a_job_show_in_status_only(customer: Customer) -> None:
    job = customer.submit(msg(1), msg(2, recipient="+38093"), msg(3, text=""), msg(4, sender="x"))
    ended(customer, job)

    assert codes(customer.status(2, 3, 4)) == [203, 204, 202]
    assert b'<msg id="2" sms_id="0"' in customer.status(2).content
    assert customer.counts()["refused"] == 3
    assert codes(customer.send(msg(2))) == [1]
    assert customer.code(2) != 203


def test_repeats_in_a_job_are_silently_not_sent_again(customer: Customer) -> None:
    customer.send(msg(1))

    job = customer.submit(msg(1), msg(2), msg(2))

    assert ended(customer, job) == (100, "COMPLETE")
    counts = customer.counts()
    assert (counts["taken"], counts["repeats_refused"]) == (2, 2)


def test_an_unknown_job_is_not_found(customer: Customer) -> None:
    assert customer.job("c41d07aa5be2496f8d13f0927be6a55e") == (0, "NOTFOUND")


@pytest.mark.parametrize(("share", "taken"), [(0, 0), (0.5, 2), (0.75, 3), (1, 4)])
def test_a_job_may_fail_with_a_part_sent(customer: Customer, share: float, taken: int) -> None:
    customer.script({"do": "job_failed", "share": share, "times": 1})

    job = customer.submit(*(msg(own) for own in range(1, 5)))

    assert ended(customer, job) == (int(100 * share), "FAILED")
    known = [code != 201 for code in codes(customer.status(1, 2, 3, 4))]
    assert known == [own <= taken for own in range(1, 5)]
    assert customer.taken() == taken
    again = customer.send(*(msg(own) for own in range(1, 5)))
    assert codes(again) == [208] * taken + [1] * (4 - taken)


@pytest.mark.parametrize(("share", "taken"), [(0, 0), (0.5, 1), (1, 2)])
def test_a_job_may_be_forgotten(customer: Customer, share: float, taken: int) -> None:
    customer.script({"do": "job_notfound", "share": share, "when": {"command": "message-async"}})

    job = customer.submit(msg(1), msg(2))

    assert customer.job(job) == (0, "NOTFOUND")
    customer.script()
    assert customer.job(job) == (0, "NOTFOUND")
    assert customer.taken() == taken
    eventually(lambda: codes(customer.status(1, 2)).count(201), lambda unknown: unknown == 2 - taken)


def test_a_job_may_be_found_only_later(customer: Customer) -> None:
    job = customer.submit(msg(1))
    customer.script({"do": "job_notfound", "when": {"command": "job"}, "times": 2})

    assert [customer.job(job)[1] for _ in range(2)] == ["NOTFOUND", "NOTFOUND"]
    assert ended(customer, job) == (100, "COMPLETE")


def test_a_code_forced_in_a_job_shows_in_status(customer: Customer) -> None:
    customer.script({"do": "message_code", "code": 206, "when": {"command": "message-async"}})

    job = customer.submit(msg(1), msg(2))

    assert ended(customer, job) == (100, "COMPLETE")
    assert codes(customer.status(1, 2)) == [206, 206]
    assert customer.taken() == 0


def test_job_answers_have_the_documented_shape(customer: Customer) -> None:
    job = customer.submit(msg(1))
    ended(customer, job)

    response = customer.post(package("job", f"\n  {job}\n"))

    assert (
        b"<package><job><progress>100</progress><status>COMPLETE</status></job></package>" in response.content
    )
