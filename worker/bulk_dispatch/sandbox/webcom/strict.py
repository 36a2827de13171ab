"""What every document is held against, and how its elements are looked at."""

from lxml import etree

from bulk_dispatch.sandbox.webcom.texts import DocumentError


class DocumentRefused(Exception):
    """The whole document is answered with `<error>`."""

    def __init__(self, error: DocumentError) -> None:
        super().__init__(error.value)
        self.error = error


def expect(condition: bool) -> None:
    """Or else the document is no good."""
    if not condition:
        raise DocumentRefused(DocumentError.FORMAT)


def blank(text: str | None) -> bool:
    """Nothing, or nothing but blanks."""
    return not text or text.isspace()


def plain(element: etree._Element) -> str:
    """The text of an element that has nothing else."""
    expect(not len(element) and not element.attrib)
    return element.text or ""


def empty(element: etree._Element, allowed: frozenset[str]) -> dict[str, str]:
    """The attributes of an element that has nothing else, and no others than these."""
    expect(not len(element) and blank(element.text))
    given = {str(name): str(value) for name, value in element.attrib.items()}
    expect(allowed.issuperset(given))
    return given
