"""What was taken outlives kill -9."""

import signal
from pathlib import Path

import pytest

from bulk_dispatch.sandbox.journal import Journal
from bulk_dispatch.sandbox.server import SandboxOptions, running
from tests.sandbox.conftest import Another
from tests.sandbox.customer import Customer, codes, eventually, lines, msg
from tests.sandbox.process import started

KEPT = ("taken", "twice", "repeats_refused", "refused", "jobs", "largest_package")


@pytest.mark.slow
def test_everything_taken_is_still_known_after_kill_9(tmp_path: Path) -> None:
    journal = tmp_path / "room" / "journal"
    with started(journal) as first:
        customer = first.customer
        sent = lines(customer.send(msg(1, text="same"), msg(2, recipient="?"), msg(3, text="same")))
        customer.send(msg(3))
        job = customer.submit(msg(4), msg(5, text=""))
        eventually(lambda: customer.job(job)[1], lambda status: status == "COMPLETE")
        before = _memory(customer)
        first.end(signal.SIGKILL)

    with started(journal) as second:
        customer = second.customer
        assert _memory(customer) == before
        assert codes(customer.send(msg(1), msg(3), msg(4), msg(6))) == [208, 208, 208, 1]
        assert customer.job(job) == (100, "COMPLETE")
        (again, _), (refused_in_job, code) = lines(customer.status(3, 5))
        assert again["sms_id"] == sent[2][0]["sms_id"]
        assert (refused_in_job["sms_id"], code) == ("0", 204)
        assert int(customer.see("messages/6")["sms_id"]) == int(customer.see("messages/4")["sms_id"]) + 1


@pytest.mark.slow
def test_a_message_taken_without_an_answer_survives(tmp_path: Path) -> None:
    with started(tmp_path / "journal") as first:
        first.customer.script({"do": "slow", "seconds": 60})
        waiting = first.in_background(lambda: first.customer.send(msg(1)))
        eventually(first.customer.taken, lambda taken: taken == 1)
        first.end(signal.SIGKILL)
        waiting.join()

    with started(tmp_path / "journal") as second:
        assert codes(second.customer.send(msg(1))) == [208]


@pytest.mark.slow
def test_a_line_cut_off_by_the_kill_is_dropped_and_writing_goes_on(another: Another, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with started(path) as first:
        first.customer.send(msg(1))
        first.customer.send(msg(2))
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])

    with started(path) as second:
        assert codes(second.customer.send(msg(1), msg(2))) == [208, 1]

    customer = another(SandboxOptions(journal=path))
    assert codes(customer.send(msg(1), msg(2), msg(3))) == [208, 208, 1]


def test_a_reset_empties_the_journal(another: Another, tmp_path: Path) -> None:
    customer = another(SandboxOptions(journal=tmp_path / "journal"))
    customer.send(msg(1))

    customer.http.post("/sandbox/reset")

    assert (tmp_path / "journal").read_bytes() == b""
    assert codes(customer.send(msg(1))) == [1]


def test_the_journal_holds_no_texts_and_one_line_a_package(another: Another, tmp_path: Path) -> None:
    customer = another(SandboxOptions(journal=tmp_path / "journal"))

    customer.send(*(msg(own, text="my secret") for own in range(1, 101)))
    customer.status(1)

    written = (tmp_path / "journal").read_text()
    assert written.count("\n") == 1
    assert "secret" not in written


def test_a_file_that_is_no_journal_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text('["alphasms","alphasms-xml",0,[],0,0,[],null]\nrecipient,text\n')

    with (
        pytest.raises(RuntimeError, match="line 2: not written by a sandbox"),
        running(SandboxOptions(journal=path)),
    ):
        pass

    assert path.read_text().endswith("recipient,text\n")


def test_one_journal_serves_one_sandbox(tmp_path: Path) -> None:
    held = Journal(tmp_path / "journal")

    with pytest.raises(RuntimeError, match="used by another sandbox"):
        Journal(tmp_path / "journal")

    held.close()
    Journal(tmp_path / "journal").close()


def _memory(customer: Customer) -> object:
    counts = customer.counts()
    return {name: counts[name] for name in KEPT}, customer.see("deliveries"), _settled(customer)


def _settled(customer: Customer) -> object:
    """All states, once they no longer move."""
    states = eventually(lambda: customer.counts()["by_state"], lambda now: set(now) == {"delivered"})
    return states, codes(customer.status(1, 2, 3, 4, 5))
