"""A customer of the make-believe provider, who writes documents by hand."""

import time
from collections.abc import Callable
from typing import Any, TypeVar
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

import httpx

from bulk_dispatch.sandbox.options import SandboxOptions

T = TypeVar("T")
KEY = SandboxOptions().key
PATIENCE = 10.0  # seconds before a test gives up waiting


def msg(own: object, recipient: str = "+380931110001", text: str = "Hello", **more: str) -> str:
    """One `<msg>` to send; `sender` and `type` have defaults too."""
    attributes = {"id": str(own), "recipient": recipient, "sender": "ShopNews", "type": "0", **more}
    return f"<msg {_attributes(attributes)}>{escape(text)}</msg>"


def asked(**by: object) -> str:
    """One `<msg>` asked about: id=... or sms_id=..."""
    return f"<msg {_attributes({name: str(value) for name, value in by.items()})}/>"


def package(command: str, inner: str, key: str = KEY) -> bytes:
    """A whole document."""
    return f'<package key="{key}"><{command}>{inner}</{command}></package>'.encode()


class Customer:
    """An account at a running sandbox."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False, verify=False)

    def post(self, body: bytes | str) -> httpx.Response:
        return self.http.post("/api/xml.php", content=body)

    def send(self, *msgs: str, command: str = "message") -> httpx.Response:
        return self.post(package(command, "".join(msgs)))

    def submit(self, *msgs: str) -> str:
        """As a job; its number."""
        return xml(self.send(*msgs, command="message-async")).findtext("./message-async/job") or ""

    def status(self, *own_ids: object) -> httpx.Response:
        return self.post(package("status", "".join(asked(id=own) for own in own_ids)))

    def code(self, own_id: object) -> int:
        """What `status` says of one message."""
        return codes(self.status(own_id))[0]

    def job(self, job_id: str) -> tuple[int, str]:
        """Progress and status."""
        job = xml(self.post(package("job", job_id))).find("job")
        assert job is not None
        return int(job.findtext("progress") or -1), job.findtext("status") or ""

    def script(self, *rules: dict[str, Any]) -> None:
        response = self.http.post("/sandbox/faults", json=list(rules))
        assert response.status_code == 200, response.text

    def see(self, what: str) -> Any:
        """GET /sandbox/..."""
        return self.http.get(f"/sandbox/{what}").raise_for_status().json()

    def counts(self) -> Any:
        return self.see("counts")

    def taken(self) -> int:
        return int(self.counts()["taken"])


def xml(response: httpx.Response) -> ET.Element:
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"  # as the sheet says
    return ET.fromstring(response.content)


def lines(response: httpx.Response) -> list[tuple[dict[str, str], int]]:
    """Attributes and code of each `<msg>`, in order."""
    return [(one.attrib, int(one.text or -1)) for one in xml(response).iter("msg")]


def codes(response: httpx.Response) -> list[int]:
    return [code for _, code in lines(response)]


def ids(response: httpx.Response) -> list[str]:
    return [attributes["id"] for attributes, _ in lines(response)]


def error(response: httpx.Response) -> int | None:
    """The code of a request refused as a whole."""
    text = xml(response).findtext("error")
    return None if text is None else int(text)


def eventually(look: Callable[[], T], good: Callable[[T], bool]) -> T:
    """Look until it is good; fails with what was seen last."""
    deadline = time.monotonic() + PATIENCE
    while not good(seen := look()):
        assert time.monotonic() < deadline, f"still {seen!r}"
        time.sleep(0.01)
    return seen


def _attributes(given: dict[str, str]) -> str:
    return " ".join(f"{name}={quoteattr(value)}" for name, value in given.items())
