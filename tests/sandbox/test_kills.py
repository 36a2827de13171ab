"""kill -9 of the caller, at each point of an exchange: a real process, and what was taken under its hands."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bulk_dispatch.sandbox.client_processes import Caller, Spared
from bulk_dispatch.sandbox.server import SandboxOptions
from tests.sandbox.conftest import Another
from tests.sandbox.customer import PATIENCE, Customer, codes, msg, package
from tests.sandbox.process import started

FOUR = [msg(own) for own in range(1, 5)]
MANY = [msg(own) for own in range(1, 3001)]  # an answer larger than what a socket holds
KILLABLE = SandboxOptions(may_kill=True)

pytestmark = pytest.mark.slow

# Says what it got, so that one can see how far it came.
CALLER = """
import sys
import httpx

url, times = sys.argv[1], int(sys.argv[2])
body = sys.stdin.buffer.read()
with httpx.Client(timeout=30) as http:
    for _ in range(times):
        with http.stream("POST", url + "/api/xml.php", content=body) as response:
            print("head", flush=True)
            for part in response.iter_raw():
                print("part", len(part), flush=True)
        print("answered", flush=True)
"""


TAKEN = {
    "kill_unread": False,
    "kill_before": False,
    "kill_after": True,
    "kill_answering": True,
    "kill_answered": True,
}


def call(customer: Customer, body: bytes, times: int = 1) -> subprocess.CompletedProcess[bytes]:
    """Another process asks; how it ended, and what it said before."""
    command = [sys.executable, "-c", CALLER, str(customer.http.base_url), str(times)]
    return subprocess.run(command, input=body, capture_output=True, timeout=PATIENCE * 3, check=False)


@pytest.mark.parametrize("do", TAKEN)
@pytest.mark.parametrize("msgs", [FOUR, MANY], ids=["small", "large"])
@pytest.mark.parametrize("command", ["message", "message-async"])
def test_the_caller_is_killed(another: Another, do: str, msgs: list[str], command: str) -> None:
    customer = another(KILLABLE)
    customer.script({"do": do, "times": 1})

    ended = call(customer, package(command, "".join(msgs)))

    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert b"answered" not in ended.stdout
    assert customer.counts()["kills"] == 1
    assert customer.taken() == len(msgs) * TAKEN[do]
    assert codes(customer.send(*msgs)) == [208 if TAKEN[do] else 1] * len(msgs)


@pytest.mark.parametrize(
    ("do", "most"), [("kill_after", 0.0), ("kill_answering", 0.5), ("kill_answered", 1.0)]
)
def test_how_much_of_the_answer_it_can_have_read(another: Another, do: str, most: float) -> None:
    customer = another(KILLABLE)
    whole = len(customer.send(*FOUR).content)
    customer.script({"do": do, "times": 1})

    said = call(customer, package("message", "".join(FOUR))).stdout.decode().splitlines()

    assert sum(int(line.split()[1]) for line in said if line.startswith("part")) <= most * whole
    assert not said or most


@pytest.mark.parametrize("do", TAKEN)
def test_every_command_may_be_its_last(another: Another, do: str) -> None:
    customer = another(KILLABLE)
    job = customer.submit(*FOUR)
    customer.script({"do": do})

    for body in (package("job", job), package("status", '<msg id="1"/>')):
        assert call(customer, body).returncode == -signal.SIGKILL

    assert customer.see("faults") == [{"do": do, "seen": 2, "hits": 2}]
    assert customer.counts()["kills"] == 2


def test_a_connection_kept_alive_is_still_its_own(another: Another) -> None:
    customer = another(KILLABLE)
    customer.script({"do": "kill_after", "skip": 2, "when": {"command": "message"}})

    ended = call(customer, package("message", FOUR[0]), times=5)

    assert ended.stdout.count(b"answered") == 2
    assert (ended.returncode, customer.counts()["kills"]) == (-signal.SIGKILL, 1)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_both_families(another: Another, host: str) -> None:
    customer = another(SandboxOptions(may_kill=True, host=host))
    customer.script({"do": "kill_before", "times": 1})

    assert call(customer, package("message", FOUR[0])).returncode == -signal.SIGKILL


def test_what_was_taken_is_in_the_journal(tmp_path: Path) -> None:
    with started(tmp_path / "journal", may_kill=True) as first:
        first.customer.script({"do": "kill_after", "times": 1})
        assert call(first.customer, package("message", FOUR[0])).returncode == -signal.SIGKILL
        first.end(signal.SIGKILL)

    with started(tmp_path / "journal") as second:
        assert codes(second.customer.send(*FOUR)) == [208, 1, 1, 1]


INHERITING = """
import os, sys, time
import httpx

with httpx.Client(timeout=30) as http:
    http.get(sys.argv[1] + "/sandbox/health")
    heir = os.fork()
    if not heir:
        time.sleep(60)
    print(heir, flush=True)
    http.post(sys.argv[1] + "/api/xml.php", content=sys.argv[2])
"""


def test_who_inherited_the_connection_lives(another: Another) -> None:
    customer = another(KILLABLE)
    customer.script({"do": "kill_before"})
    command = [
        sys.executable,
        "-c",
        INHERITING,
        str(customer.http.base_url),
        package("message", FOUR[0]).decode(),
    ]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        heir = int(caller.stdout.readline())
        try:
            assert caller.wait(PATIENCE) == -signal.SIGKILL
            assert "sleeping" in Path(f"/proc/{heir}/status").read_text()
        finally:
            os.kill(heir, signal.SIGKILL)


def test_the_sandbox_spares_its_own_process_and_takes_nothing(another: Another) -> None:
    customer = another(KILLABLE)
    for do in TAKEN:
        customer.script({"do": do})

        response = customer.send(*FOUR)

        assert (response.status_code, response.text) == (
            500,
            "the caller is spared: it is the sandbox itself, or has started it",
        )
    customer.script()
    assert (customer.taken(), customer.counts()["kills"]) == (0, 0)


def test_it_spares_who_started_it() -> None:
    with started(may_kill=True) as sandbox:
        sandbox.customer.script({"do": "kill_after"})

        assert sandbox.customer.send(*FOUR).status_code == 500


def test_a_caller_from_elsewhere_is_spared() -> None:
    """No test machine is sure to have another address, so the connection is an imagined one."""
    with pytest.raises(Spared, match="loopback"):
        Caller.of(_From("192.0.2.1"))
    with pytest.raises(Spared, match="no process"):
        Caller.of(_From("127.0.0.1"))


class _From(asyncio.Transport):
    def __init__(self, host: str) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": (host, 1)})


@pytest.mark.parametrize("do", TAKEN)
def test_without_the_option_such_a_rule_is_refused(customer: Customer, do: str) -> None:
    response = customer.http.post("/sandbox/faults", json=[{"do": "slow"}, {"do": do}])

    assert response.status_code == 400
    assert response.json() == {"error": f"rule 2: {do} takes a sandbox started with --may-kill (may_kill)"}
    assert customer.see("faults") == []


@pytest.mark.parametrize("when", [{"command": "message"}, {"recipient": "+380931110001"}])
def test_an_unread_request_is_of_no_command(another: Another, when: dict[str, str]) -> None:
    response = another(KILLABLE).http.post("/sandbox/faults", json=[{"do": "kill_unread", "when": when}])

    assert response.status_code == 400
    assert response.json()["error"].startswith("rule 1: kill_unread has no meaning for ")


def test_an_unread_request_is_counted_as_such(another: Another) -> None:
    customer = another(KILLABLE)
    customer.script({"do": "kill_unread", "when": {"command": "*"}, "times": 1, "skip": 1})
    customer.send(FOUR[0])

    call(customer, b"<never looked at")

    assert customer.counts()["requests"] == {"message": 1, "unread": 1}
    assert customer.see("faults")[0]["hits"] == 1


def test_a_reset_counts_kills_anew(another: Another) -> None:
    customer = another(KILLABLE)
    customer.script({"do": "kill_before"})
    call(customer, package("message", FOUR[0]))

    customer.http.post("/sandbox/reset")

    assert customer.counts()["kills"] == 0
