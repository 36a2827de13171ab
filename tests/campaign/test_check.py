"""What the check of a file counts, leaves out and refuses."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bulk_dispatch.campaign.check import Check, Refusal, Rules
from bulk_dispatch.campaign.rows import Row
from bulk_dispatch.domain.message import Foreseen, Message, Said
from bulk_dispatch.domain.segments import Encoding

TEXT = "Your order is ready"


def row(line: int, client_id: str, recipient: str = "+380931110001", text: str = TEXT, **more: str) -> Row:
    return Row(line, {"client_id": client_id, "recipient": recipient, "text": text, **more})


def make(values: Mapping[str, Any], region: str) -> Message:
    return Message.from_dict({"sender": "Shop", "route": "alpha", **values}, region)


AS_IT_IS = Rules()


class Checked:
    """A check that was run over rows."""

    def __init__(self, rows: Sequence[Row], rules: Rules = AS_IT_IS, **more: Any) -> None:
        self.refused: list[Refusal] = []
        check = Check(make, self.refused.append, rules, **more)
        self.ids = [message.client_id for message in check.messages(rows)]
        self.recipients = [message.recipient for message in Check(make, lambda _: None, rules).messages(rows)]
        self.report = check.report


def test_one_person_gets_one_text_once_however_the_number_is_written() -> None:
    rows = [row(2, "a"), row(3, "b", "+380 (93) 111-00-01"), row(4, "c", text="Another text"), row(5, "d")]

    checked = Checked(rows)
    assert checked.ids == ["a", "c"]
    assert (checked.report.repeats, checked.report.repeated, checked.report.refused) == (2, 1, 0)
    assert Checked(rows, Rules(allow_repeats=True)).ids == ["a", "b", "c", "d"]


def test_an_id_that_stands_twice_with_another_text_is_refused() -> None:
    rows = [row(2, "a"), row(3, "a", text="Another"), row(4, " a\u200b", text="A third"), row(5, "a")]

    checked = Checked(rows)

    assert checked.ids == ["a"]
    assert [(one.line, one.field) for one in checked.refused] == [(3, "client_id"), (4, "client_id")]
    assert "is the id of a row before" in str(checked.refused[0])
    assert (checked.report.again, checked.report.repeats) == (1, 0)  # the same row once more


@pytest.mark.parametrize("client_id", ["18.0", "18.00", "18,0", "18.0 "])
def test_an_id_that_software_made_a_decimal_is_refused_unless_it_is_insisted_on(client_id: str) -> None:
    assert "would be two messages" in str(Checked([row(2, client_id)]).refused[0])
    assert Checked([row(2, client_id)], Rules(literal=True)).ids == [client_id.strip()]


def test_ids_that_end_in_a_zero_go_where_not_all_are_whole_numbers() -> None:
    assert Checked([row(2, "1.0"), row(3, "1.1", text="Another")]).ids == ["1.0", "1.1"]


@pytest.mark.parametrize("client_id", ["v1.10", "1.5", "18", "a.0"])
def test_an_id_that_merely_ends_in_a_zero_goes(client_id: str) -> None:
    assert Checked([row(2, client_id)]).ids == [client_id]


def test_what_the_ledger_has_is_told_and_repeats_nothing() -> None:
    def foresee(messages: Sequence[Message]) -> Foreseen:
        places = {message.client_id: place for place, message in enumerate(messages)}
        return Foreseen(
            known=frozenset({places["a"]}),
            corrections=frozenset({places["b"]}),
            conflicts=frozenset({places["c"]}),
        )

    rows = [row(2, "a"), row(3, "b", text="B"), row(4, "c", text="C"), row(5, "d", text="D"), row(6, "e")]

    checked = Checked(rows, foresee=foresee)

    report = checked.report
    assert checked.ids == ["a", "b", "c", "d"]  # e says what a has said
    assert (report.known, report.corrections, report.conflicts, report.new) == (1, 1, 1, 2)
    assert report.repeats == 1


def test_what_the_campaign_has_said_to_somebody_is_not_said_again() -> None:
    before = {"spring": [Said("sms", "+380931110001", "Another", {"text": TEXT})], "autumn": []}
    rows = [
        row(2, "a", campaign="spring"),
        row(3, "b", "+380931110002", campaign="spring"),
        row(4, "c", "+380931110003", campaign="autumn"),
    ]

    assert Checked(rows, before=before.get).ids == ["b", "c"]


def test_a_correction_says_again_what_nobody_got() -> None:
    before = {"spring": [Said("sms", "+380931110001", "Wrong", {"text": TEXT})]}

    def foresee(messages: Sequence[Message]) -> Foreseen:
        return Foreseen(corrections=frozenset(range(len(messages))))

    assert Checked([row(2, "a", campaign="spring")], foresee=foresee, before=before.get).ids == ["a"]


def test_numbers_that_are_merely_possible_go_and_are_counted() -> None:
    rows = [row(2, "a", "+16215550100"), row(3, "b")]

    assert (Checked(rows).ids, Checked(rows).report.not_valid) == (["a", "b"], 1)
    strict = Checked(rows, Rules(only_valid=True))
    assert strict.ids == ["b"]
    assert "is not known to be given out" in str(strict.refused[0])
    assert "6215550100" not in str(strict.refused[0])


def test_a_number_that_lacks_its_plus_is_read_as_those_beside_it() -> None:
    beside = [row(2, "a"), row(3, "b", "380 93 111 00 02"), row(4, "c", "931110003")]
    alone = [row(2, "b", "380 93 111 00 02")]

    assert Checked(beside).recipients == ["+380931110001", "+380931110002"]
    assert Checked(alone).recipients == []
    assert Checked(alone, Rules(region=lambda _: "UA")).recipients == ["+380931110002"]


def test_segments_are_counted_by_encoding_and_dear_characters_named() -> None:
    rows = [
        row(2, "a", text="x" * 161),
        row(3, "b", text="Замовлення"),
        row(4, "c", text="It\u2019s ready " + "at the shop " * 7),
        row(5, "d", text="It\u2019s"),
    ]

    report = Checked(rows).report

    assert report.counted == {Encoding.GSM7: [1, 2], Encoding.UCS2: [3, 4]}
    assert report.segments == 6
    assert (report.dear["\u2019"], report.dear_segments) == (2, 1)


def test_empty_cells_are_filled_in_by_whoever_makes_the_message() -> None:
    checked = Checked([Row(2, {"client_id": "a", "recipient": "+380931110001", "text": TEXT, "sender": ""})])
    assert checked.ids == ["a"]


def test_refusals_are_kept_in_the_order_of_rows_with_what_was_wrong() -> None:
    rows = [row(2, "a", "12"), row(3, "b", text="Hello {name}"), row(4, "c")]

    checked = Checked(rows)

    assert checked.ids == ["c"]
    assert [(one.line, one.field) for one in checked.refused] == [(2, "recipient"), (3, "text")]
    assert checked.report.rows == 3
