"""What is kept of words that nobody knows: theirs, and nothing of what they quote."""

import pytest

from bulk_dispatch.providers.formats.unknown_words import kept

CASES = [
    ("Ваш код 12, Олена", "Заборонений текст: ВАШ КОД 12, ОЛЕНА", "Заборонений текст: …"),
    ("Play Casino now, win big", "STOP: PLAY CASINO NOW, WIN BIG", "STOP: …"),
    ("Play Casino now,\nwin  big", "Stop: play casino\tnow, win big", "Stop: …"),
    ("Hello Anna kod 123", "kod 123: Hello Anna", "kod …: … …"),
    ("Hello Anna kod 123", "Anna says hello, 123 times", "… says …, … times"),
    ("Мар'яна, чекаємо", "Не для МАР'ЯНА", "Не для …"),
    ("Олена", "ОЛЕНА is on the list", "… is on the list"),
    ("Straße 5", "STRASSE is blocked", "… is blocked"),
    ("Your order is ready", "The moon is in the wrong house", "The moon is in the wrong house"),
    ("Not a word of it", "Not enough money", "Not enough money"),
    ("1234", "1234", "?"),
]


@pytest.mark.parametrize(("text", "said", "left"), CASES, ids=[said for _, said, _ in CASES])
def test_of_a_text_nothing_is_kept_however_it_is_quoted(text: str, said: str, left: str) -> None:
    assert kept(said, [text]) == left


def test_a_secret_is_not_kept_in_other_capitals_either() -> None:
    assert kept("Wrong pass SHOP-password", ["shop-password"]) == "Wrong pass …"
