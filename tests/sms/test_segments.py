"""How many segments a text takes, at every edge where the count changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sms.segments import segments

CASES = [
    ("", 1),
    # GSM-7: 160 alone, then 153 a part.
    ("a", 1),
    ("a" * 160, 1),
    ("a" * 161, 2),
    ("a" * 306, 2),
    ("a" * 307, 3),
    ("a" * 459, 3),
    ("a" * 460, 4),
    ("\n\r @£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà" * 3, 1),
    # The extension table: two septets each.
    ("€" * 80, 1),
    ("€" * 81, 2),
    ("^{}\\[~]|€" * 8 + "a" * 16, 1),
    ("^{}\\[~]|€" * 8 + "a" * 17, 2),
    ("a" * 158 + "€", 1),
    ("a" * 159 + "€", 2),
    # 153 a part, and an escape is never cut from its character: it leaves a septet empty.
    ("€" * 152, 2),
    ("€" * 153, 3),
    ("a" * 152 + "€" + "a" * 151, 2),
    ("a" * 152 + "€" + "a" * 152, 3),
    ("a" * 151 + "€" + "a" * 153, 2),
    ("a" * 151 + "€" + "a" * 154, 3),
    # UCS-2: 70 alone, then 67 a part.
    ("я", 1),
    ("я" * 70, 1),
    ("я" * 71, 2),
    ("я" * 134, 2),
    ("я" * 135, 3),
    ("я" * 201, 3),
    ("я" * 202, 4),
    # One character outside GSM-7 makes the whole text UCS-2, the extension included.
    ("a" * 69 + "я", 1),
    ("a" * 70 + "я", 2),
    ("€" * 69 + "я", 1),
    ("€" * 70 + "я", 2),
    ("ç" * 70, 1),  # the capital is in the table, this is not
    ("ç" * 71, 2),
    ("’" * 71, 2),
    # Surrogate pairs: two units each, never cut in half.
    ("😀" * 35, 1),
    ("😀" * 36, 2),
    ("я" * 68 + "😀", 1),
    ("я" * 69 + "😀", 2),
    ("😀" * 66, 2),
    ("😀" * 67, 3),
    ("я" * 66 + "😀" + "я" * 65, 2),
    ("я" * 66 + "😀" + "я" * 66, 3),
    ("я" * 65 + "😀" + "я" * 67, 2),
    ("я" * 65 + "😀" + "я" * 68, 3),
]


@pytest.mark.parametrize(
    ("text", "count"), CASES, ids=lambda v: f"{v[:3]}x{len(v)}" if v != "" and isinstance(v, str) else str(v)
)
def test_segments(text: str, count: int) -> None:
    assert segments(text) == count


@given(text=st.text(max_size=400), more=st.text(max_size=40))
def test_a_longer_text_never_takes_fewer(text: str, more: str) -> None:
    assert 1 <= segments(text) <= segments(text + more)


@given(st.text(max_size=700))
def test_no_text_takes_more_than_all_ucs_2_would(text: str) -> None:
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    assert segments(text) <= 1 + units // 66  # a part is full up to its last unit
