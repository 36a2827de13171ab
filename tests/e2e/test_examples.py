"""Every example runs as its first lines say, on a whole installation, and what it sends is taken once."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from bulk_dispatch.domain.status import Status
from tests.e2e.conftest import Install, Installation
from tests.guards.page import blocks, links
from tests.guards.repository import ROOT, text
from tests.ports import held_ports
from tests.terminal import Terminal, bare_environment
from tests.waiting import eventually

pytestmark = pytest.mark.slow

COMMAND = re.compile(r"^    \$ (.*)$", re.MULTILINE)
UNAIDED = ("beat", "poll", "urgent")
"""Processes that an example does without: a message then leaves only if the example wakes the worker."""


def commands(path: str) -> list[str]:
    """What an example's own page says to type."""
    return COMMAND.findall(text(path))


def terminal(installation: Installation, **more: str) -> Terminal:
    """A shell in the checkout, as after `source .worker/env.sh`."""
    return Terminal({**bare_environment(), **installation.settings.environment(), **more}, ROOT)


def typed(shell: Terminal, line: str) -> str:
    """Type a line that ends by itself; what it says."""
    ran = shell.enter(line)
    assert ran.returncode == 0, f"{line}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


@contextmanager
def serving(shell: Terminal, line: str, log: Path) -> Iterator[str]:
    """What a line serves that runs until Ctrl-C, on a port of the test's; its base URL."""
    assert " 8000" in line
    with held_ports(1) as [port], log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line.replace(' 8000', f' {port}')}"],
            cwd=shell.folder, env=shell.env, stdout=output, stderr=output,
        )  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        try:
            eventually(lambda: process.poll() is not None or answers(url))
            assert process.poll() is None, log.read_text()
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


def answers(url: str) -> bool:
    """Whether somebody answers there, whatever it is."""
    try:
        return bool(httpx.get(url, timeout=2).status_code)
    except httpx.TransportError:
        return False


def assert_taken_once(installation: Installation, producer: str, *client_ids: str) -> None:
    """Each of these messages was taken by the provider, once, and no other was."""
    for client_id in client_ids:
        eventually(lambda name=client_id: has_left(installation, name, producer), within=30)  # type: ignore[misc]
    counts = installation.counts()
    assert (counts["taken"], counts["twice"]) == (len(client_ids), 0)
    books = installation.books()
    assert (books.total, books.balanced, books.conflicts) == (len(client_ids), True, 0)


def has_left(installation: Installation, client_id: str, producer: str) -> bool:
    found = installation.dispatcher.status(client_id, producer)
    return found is not None and found.provider_message_id is not None


def test_fastapi(install: Install, tmp_path: Path) -> None:
    installation = install(alpha={"mode": "sync"}, without=UNAIDED)
    [command] = commands("examples/fastapi_app.py")
    with (
        serving(terminal(installation), command, tmp_path / "log") as url,
        httpx.Client(base_url=url, timeout=60) as shop,
    ):
        order = {"phone": "+380931110001"}

        placed = [shop.put("/orders/18", json=order).status_code for _ in range(2)]
        assert placed == [201, 201]  # the second is a duplicate
        assert_taken_once(installation, "shop", "order-18")

        reminded = shop.post("/orders/18/reminders/1")
        assert reminded.status_code == 202
        assert_taken_once(installation, "shop", "order-18", "order-18-reminder-1")

        assert shop.get("/messages/order-18").json()["status"] == Status.SENT
        assert shop.get("/messages/order-19").status_code == 404
        assert shop.put("/orders/18", json={"phone": "+380931110002"}).status_code == 409
        assert shop.put("/orders/19", json={"phone": "12"}).status_code == 422
        assert shop.post("/orders/19/reminders/1").status_code == 404


def test_django(install: Install, tmp_path: Path) -> None:
    installation = install(alpha={"mode": "sync"}, without=UNAIDED)
    shell = terminal(installation, SHOP_DATABASE=str(tmp_path / "shop.sqlite3"))
    migrate, serve, catch_up = commands("examples/django_project/manage.py")
    typed(shell, migrate)
    with serving(shell, serve, tmp_path / "log") as url:
        order = {"phone": "+380931110021"}

        placed = [httpx.post(f"{url}/orders/21/", data=order, timeout=60).status_code for _ in range(2)]

        assert placed == [201, 201]
        assert httpx.post(f"{url}/orders/22/", data={"phone": "12"}, timeout=60).status_code == 422
        assert_taken_once(installation, "django-shop", "order-21")

    assert "1 messages" in typed(shell, catch_up)
    eventually(lambda: installation.books().duplicates == 2)
    assert_taken_once(installation, "django-shop", "order-21")


def test_django_hands_over_later_what_it_could_not(install: Install, tmp_path: Path) -> None:
    installation = install(alpha={"mode": "sync"}, without=UNAIDED)
    database = {"SHOP_DATABASE": str(tmp_path / "shop.sqlite3")}
    away = dict.fromkeys(("WORKER_REDIS_URL", "WORKER_BROKER_URL"), "redis://127.0.0.1:9/0")
    migrate, serve, catch_up = commands("examples/django_project/manage.py")
    typed(terminal(installation, **database), migrate)
    with serving(terminal(installation, **database, **away), serve, tmp_path / "log") as url:
        placed = httpx.post(f"{url}/orders/21/", data={"phone": "+380931110021"}, timeout=60)
        assert placed.status_code == 201
    assert "not handed over" in (tmp_path / "log").read_text()

    typed(terminal(installation, **database), catch_up)

    assert_taken_once(installation, "django-shop", "order-21")


def test_a_script_with_a_file(install: Install) -> None:
    installation = install(alpha={"mode": "sync"})
    [command] = commands("examples/send_orders.py")

    said = [typed(terminal(installation), command) for _ in range(2)]

    assert all("3 messages handed over" in one for one in said)
    assert "sent" not in said[0].splitlines()[-1]  # it waited until each had its end
    eventually(lambda: installation.books().duplicates == 3)
    assert_taken_once(installation, "orders-script", "order-31", "order-32", "order-33")


def test_celery_without_this_package(install: Install, tmp_path: Path) -> None:
    installation = install(alpha={"mode": "sync"}, without=("beat", "poll"))
    [command] = commands("examples/celery_send_task.py")
    hidden = tmp_path / "bulk_dispatch.py"  # stands before ours: to import it is an error
    hidden.write_text("raise ImportError('this example must not need us')", "utf-8")

    typed(terminal(installation, PYTHONPATH=str(tmp_path)), command)

    assert_taken_once(installation, "celery-shop", "order-41", "order-42")


def test_the_page_names_every_example() -> None:
    page = text("examples/README.md")
    assert set(links(page)) == {name for name in files() if COMMAND.search(text(f"examples/{name}"))}
    assert [line for block in blocks(page) for line in block.body.splitlines()] == [
        ". .venv/bin/activate",
        "source .worker/env.sh",
    ]


def files() -> list[str]:
    """The Python files of the examples."""
    return [str(path.relative_to(ROOT / "examples")) for path in (ROOT / "examples").rglob("*.py")]
