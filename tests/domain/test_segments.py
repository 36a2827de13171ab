"""How many segments a text takes, at every edge where the count changes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulk_dispatch.domain.segments import Encoding, character_name, dear_characters, encoding, fits, segments

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


# --- against a slow count that is plainly right -------------------------------------------------------------

GSM_BASIC = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_ESCAPED = set("\f^{}\\[~]|€")
EVERY = st.characters(codec=None, exclude_categories=[])  # lone surrogates too, which no message holds
MIXED = st.sampled_from("a ’я€[^\r\n\fé😀\ud83d\ude00ç`\t")


def slowly(text: str) -> int:
    """Character by character into parts, as a person would with pencil and paper."""
    if all(c in GSM_BASIC | GSM_ESCAPED for c in text):
        widths, alone, joined = [2 if c in GSM_ESCAPED else 1 for c in text], 160, 153
    else:
        widths, alone, joined = [2 if ord(c) > 0xFFFF else 1 for c in text], 70, 67
    if sum(widths) <= alone:
        return 1
    parts = [0]
    for width in widths:
        if parts[-1] + width > joined:
            parts.append(0)
        parts[-1] += width
    return len(parts)


def long(*alphabets: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts around the ends of parts, mostly of one character: there the count changes."""
    runs = st.tuples(st.one_of(*alphabets), st.integers(1, 160)).map(lambda run: run[0] * run[1])
    return st.lists(runs, max_size=9).map("".join)


@given(st.text(EVERY, max_size=400) | st.text(MIXED, max_size=400) | long(MIXED) | long(EVERY))
@example("a" * 152 + "€" + "b" * 152)
@example("я" * 66 + "😀" + "я" * 66)
@example("\ud83d" * 67 + "\ude00")  # no pair: nobody wrote one
@example("a" * 159 + "\r\n")
def test_every_text_takes_what_a_slow_count_says(text: str) -> None:
    assert segments(text) == slowly(text)


@given(st.text(MIXED, max_size=400) | long(MIXED), st.integers(1, 12))
@example("я" * 670, 10)
@example("😀" * 330, 10)
@example("😀" * 331, 10)
@example("€" * 80, 1)
def test_whether_a_text_fits_is_told_as_its_count_says(text: str, most: int) -> None:
    assert fits(text, most) == (slowly(text) <= most)


# --- what makes a text dear ---------------------------------------------------------------------------------


@given(st.text(EVERY, max_size=100) | st.text(MIXED, max_size=100))
def test_gsm_7_is_for_texts_of_its_characters_alone(text: str) -> None:
    fitting = all(c in GSM_BASIC | GSM_ESCAPED for c in text)
    assert encoding(text) is (Encoding.GSM7 if fitting else Encoding.UCS2)


LATIN = "Your order is ready at the shop, and we keep it for a week. See you soon, good-bye!"  # 83 characters

DEAR = [
    ("a quote", LATIN.replace("good", "it’s"), "’", 1),
    ("a dash", LATIN.replace("-", "—"), "—", 1),
    ("a blank that does not break", LATIN.replace("a week", "a\u00a0week"), "\u00a0", 1),
    ("what nobody sees", LATIN.replace("shop", "sh\u200cop"), "\u200c", 1),
    ("quotes, as they come", f"“{LATIN}”…", "“”…", 1),
    ("an accent of its own", LATIN.replace("soon", "soőn"), "ő", 1),
    ("an accent apart", LATIN.replace("soon", "soo\u0301n"), "\u0301", 1),
    ("a look-alike", LATIN.replace("shop", "shоp"), "о", 1),  # from Cyrillic
    ("a smile", LATIN + "😀", "😀", 1),
    ("a tab", LATIN + "\t", "\t", 1),
    ("an accent grave alone", LATIN + "`", "`", 1),
    ("Polish", f"{LATIN} Twoje zamówienie jest już gotowe", "óż", 1),
    ("a long one", "a" * 152 + "’", "’", 2),
    ("a short one costs no more", "It’s ready", "’", 0),
    ("no letters at all", "12:00 — 13:00", "—", 0),
    ("one of many is named once", "’" * 9 + LATIN, "’", 1),
]

IN_PEACE = [
    ("GSM-7", LATIN),
    ("GSM-7, escaped", "[€]" * 60),
    ("nothing", ""),
    ("Cyrillic", "Ваше замовлення готове, чекаємо на вас"),
    ("Cyrillic, and a few letters of it", "Код: 1234"),
    ("Cyrillic with a word in Latin", "OK, код 1234"),
    ("Latin first, and then Cyrillic", f"{LATIN[:60]} Ваше замовлення готове"),
    ("Arabic", "طلبك جاهز"),
    ("Chinese", "您的订单已准备好"),
    ("more than a handful", f"{LATIN} ąćęłńóśźż"),
    ("as many strange letters as own", "ő a"),
]


@pytest.mark.parametrize(
    ("text", "named", "cost"), [case[1:] for case in DEAR], ids=[case[0] for case in DEAR]
)
def test_what_makes_a_latin_text_dear_is_named_with_its_cost(text: str, named: str, cost: int) -> None:
    assert dear_characters(text) == (tuple(named), cost)


@pytest.mark.parametrize("text", [case[1] for case in IN_PEACE], ids=[case[0] for case in IN_PEACE])
def test_a_text_that_is_not_dear_is_left_in_peace(text: str) -> None:
    assert dear_characters(text) is None


@given(st.text(MIXED, max_size=200) | long(MIXED) | st.text(EVERY, max_size=60))
def test_without_what_is_named_a_text_takes_gsm_7_and_so_many_segments_less(text: str) -> None:
    dear = dear_characters(text)
    if dear is None:
        return
    plain = "".join("x" if c in dear.characters else c for c in text)
    assert encoding(plain) is Encoding.GSM7
    assert 0 <= dear.segments == segments(text) - segments(plain)


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("’", "U+2019 RIGHT SINGLE QUOTATION MARK"),
        ("\u200c", "U+200C ZERO WIDTH NON-JOINER"),
        ("😀", "U+1F600 GRINNING FACE"),
        ("\t", "U+0009 CONTROL CHARACTER"),
        ("\ue000", "U+E000 PRIVATE USE"),
        ("\ud800", "U+D800 LONE SURROGATE"),
        ("\uffff", "U+FFFF UNASSIGNED"),
    ],
)
def test_a_character_is_shown_as_people_can_look_it_up(character: str, name: str) -> None:
    assert character_name(character) == name
