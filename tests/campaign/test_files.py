"""What a file may be, and how its rows are read: kinds of files, headings, quotes, JSON."""

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulk_dispatch.campaign.heading import Wanted
from bulk_dispatch.campaign.rows import Row, Rows
from bulk_dispatch.campaign.source import UnreadableError, lines_of
from bulk_dispatch.domain.validation import MessageError

FIELDS = ("client_id", "recipient", "sender", "text", "kind", "route", "send_at")
WANTED = Wanted(FIELDS, ("client_id", "recipient"), ("url", "name"), {})
ANNA = {"client_id": "a", "recipient": "+380931110001", "text": "Hello"}
BO = {"client_id": "b", "recipient": "+380931110002", "text": "Hello"}


def read(content: bytes | str, wanted: Wanted = WANTED) -> tuple[list[Row], dict[str, int]]:
    raw = content.encode() if isinstance(content, str) else content
    with lines_of(io.BytesIO(raw)) as (lines, utf8):
        rows = Rows(lines, wanted, utf8=utf8)
        return list(rows), dict(rows.left_out)


def values(content: bytes | str, wanted: Wanted = WANTED) -> list[Any]:
    return [row.values for row in read(content, wanted)[0]]


# -- what kind of file it is


def packed(**members: bytes) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return whole.getvalue()


KINDS = {
    "an Excel workbook (xlsx): save it as CSV": packed(xl__workbook_dot_xml=b"<workbook/>"),
    "an OpenDocument spreadsheet (ods): save it as CSV": packed(
        mimetype=b"application/vnd.oasis.opendocument.spreadsheet", content_dot_xml=b"<x/>"
    ),
    "a Word document": packed(word__document_dot_xml=b"<x/>"),
    "a zip archive: unpack": packed(list_dot_csv=b"client_id,recipient,text\n"),
    "a broken zip archive": b"PK\x03\x04 and then nothing",
    "a workbook of an old Excel (xls)": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "packed with gzip: unpack it first": gzip.compress(b"client_id,recipient,text\n"),
    "packed with zstd": b"\x28\xb5\x2f\xfd\x04\x00",
    "packed with bzip2": b"BZh91AY&SY",
    "a PDF": b"%PDF-1.7\n",
    "Parquet": b"PAR1\x15\x04",
    "an SQLite database": b"SQLite format 3\x00",
    "text in UTF-16: save it in UTF-8": "client_id,recipient\n".encode("utf-16"),
    "text in UTF-16 without its mark": "client_id,recipient\n".encode("utf-16-le"),
    "text in UTF-32": "client_id,recipient\n".encode("utf-32"),
    "HTML or XML": b"<html><table><tr><td>client_id</td></tr></table></html>",
    "line 3 holds a zero byte": b"client_id,recipient,text\na,+380931110001,Hi\nb,\x00,Hi\n",
}


def test_a_locked_archive_is_not_called_broken() -> None:
    whole = bytearray(packed(mimetype=b"application/vnd.oasis.opendocument.spreadsheet"))
    whole[6] |= 1  # "encrypted", before the member and in the table at the end
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UnreadableError, match="a zip archive that is locked, or packed in a rare way"):
        read(bytes(whole))


@pytest.mark.parametrize("said", KINDS)
def test_what_is_no_text_is_named_for_what_it_is(said: str) -> None:
    with pytest.raises(UnreadableError) as problem:
        read(KINDS[said])
    assert said in str(problem.value)


@pytest.mark.parametrize(
    ("encoding", "named"),
    [("cp1251", "Windows-1251"), ("koi8_u", "koi8_u"), ("cp866", "cp866"), ("cp1252", "text of another")],
)
def test_an_older_encoding_is_named_with_its_first_line(encoding: str, named: str) -> None:
    text = (
        "client_id;recipient;text\n1;+380931110001;Hello\n" + "2;+380931110002;Ваше замовлення готове\n" * 5
    )
    if encoding == "cp866":
        text = text.replace("і", "и")
    if encoding == "cp1252":
        text = "client_id;recipient;text\n\n" + "2;+380931110002;Grüße aus Köln, für Sie\n" * 5
    with pytest.raises(UnreadableError, match=rf"line 3 is not UTF-8, the file looks like {named}"):
        read(text.encode(encoding))


def test_one_line_of_another_encoding_spoils_itself_alone() -> None:
    good = "a,+380931110001,Вітаємо\n".encode()
    bad = "b,+380931110002,Вітаємо\n".encode("cp1251")

    rows, _ = read(b"client_id,recipient,text\n" + good + bad + good)

    assert [row.line for row in rows if isinstance(row.values, MessageError)] == [3]


# -- headings


@pytest.mark.parametrize(
    "heading",
    [
        "client_id,recipient,text", "client_id;recipient;text", "client_id\trecipient\ttext",
        "client_id|recipient|text", "Client ID,RECIPIENT,Text", " client_id , recipient , text ",
        "\ufeffclient_id,recipient,text", '"client_id","recipient","text"', "client-id,recipient,text,,",
    ],
)  # fmt: skip
def test_a_heading_may_be_written_in_many_ways(heading: str) -> None:
    delimiter = next(sign for sign in ";\t|," if sign in heading)
    assert values(f"\n{heading}\n" + delimiter.join(ANNA.values()) + "\n") == [ANNA]


@pytest.mark.parametrize("line", ["sep=;", "SEP=;\r", "sep=\t", '"sep=;"'])
def test_the_delimiter_may_be_told(line: str) -> None:
    sign = line.strip('"\r')[-1]
    assert values(f"{line}\n{sign.join(ANNA)}\n{sign.join(ANNA.values())}\n") == [ANNA]


def test_columns_that_nobody_asked_for_are_left_out_and_told() -> None:
    rows, left_out = read("client_id,name,recipient,city,text,\na,Anna,+380931110001,Lviv,Hello,\n")
    assert [row.values for row in rows] == [ANNA]
    assert left_out == {"name": 1, "city": 1}


def test_where_rows_tell_their_kind_the_fields_of_every_kind_count() -> None:
    rows, left_out = read("client_id,recipient,kind,url,name\na,+380931110001,wap,https://x.example,\n")
    assert rows[0].values == {
        "client_id": "a",
        "recipient": "+380931110001",
        "kind": "wap",
        "url": "https://x.example",
        "name": "",
    }
    assert not left_out


def test_people_say_what_a_column_is_called() -> None:
    named = Wanted(FIELDS, WANTED.required, (), {"телефон": "recipient", "order_no": "client_id"})
    assert values("Order No;Телефон;text\na;+380931110001;Hello\n", named) == [ANNA]


HEADINGS = {
    "client_id,phone,text\n": "line 1: no column is called recipient, there are: client_id, phone, text. "
    "Say which it is: --column recipient=phone",
    "\n\nid,recipient,text\n": "line 3: no column is called client_id",
    "a,+380931110001,Hello\n": "no column is called client_id, there are: a, …, Hello",
    "client_id,recipient,text,Text\n": "two columns are text",
    "client_id:recipient:text\n": "the heading is one column",
    'client_id,recipient,"text\n(of all)"\n': "line 1: the heading must stand on one line",
}


@pytest.mark.parametrize("content", HEADINGS)
def test_a_strange_heading_is_named(content: str) -> None:
    with pytest.raises(UnreadableError) as problem:
        read(content)
    assert HEADINGS[content] in str(problem.value)
    assert "+380931110001" not in str(problem.value)


def test_what_people_name_comes_before_a_column_of_that_name() -> None:
    named = Wanted(FIELDS, WANTED.required, (), {"phone": "recipient"})
    rows, left_out = read("client_id,recipient,phone,text\na,+380671110009,+380931110001,Hello\n", named)
    assert [row.values for row in rows] == [ANNA]
    assert left_out == {"recipient": 1}


def test_a_cell_under_no_name_is_told_for_it_may_have_moved() -> None:
    for line in ("a,+380931110001,Hello, dear,", "a,+380931110001,Hello,, dear"):
        [error] = values(f"client_id,recipient,text,,\n{line}\n")
        assert "has a cell in a column without a name: is a quote missing?" in str(error)


def test_marks_that_nobody_sees_are_no_part_of_a_name() -> None:
    assert values("client_id,recipient,\u200btext\na,+380931110001,Hello\n") == [ANNA]
    assert values("clientId,Recipient,TEXT\na,+380931110001,Hello\n") == [ANNA]


def test_a_column_that_people_name_must_be_there() -> None:
    named = Wanted(FIELDS, ("client_id",), (), {"phone": "recipient"})
    with pytest.raises(UnreadableError, match="--column recipient: there is no column of the name given"):
        read("client_id,text\na,Hello\n", named)


# -- rows of a table


def test_rows_of_nothing_are_none_and_lines_are_counted_as_people_see_them() -> None:
    rows, _ = read('client_id,recipient,text\n\n,,\n a ,x,"two\nlines"\n ,  ,\nb,y,z\n')
    assert [(row.line, row.values["client_id"]) for row in rows if isinstance(row.values, dict)] == [
        (4, " a "),
        (7, "b"),
    ]


def test_cells_may_be_missing_and_empty_ones_be_too_many() -> None:
    assert values("client_id,recipient,text\na,x\nb,y,z,,\nc,y,z,surplus\n")[:2] == [
        {"client_id": "a", "recipient": "x"},
        {"client_id": "b", "recipient": "y", "text": "z"},
    ]
    error = values("client_id,recipient,text\nc,y,z,surplus\n")[0]
    assert "at most 3 cells, got 4" in str(error)


SWALLOWED = {
    "never closed": 'client_id,recipient,text\na,+380931110001,"Hi\nb,+380931110002,Hi\n',
    "closed by another row's": 'client_id,recipient,text\na,+380931110001,"Hi\n'
    'b,+380931110002,Hi\nc,+380931110003,Bye"\nd,+380931110004,Hi\n',
    "stopped by a quote": 'client_id,recipient,text\na,+380931110001,"Hi\nb,+380931110002,"Hi"\n',
    "in the id": 'client_id,recipient,text\n"a,+380931110001,Hi\nb,+380931110002,Hi\nc",+380931110003,Hi\n',
}


@pytest.mark.parametrize("content", SWALLOWED.values(), ids=SWALLOWED)
def test_a_stray_quote_that_swallows_rows_stops_the_file_by_its_line(content: str) -> None:
    with pytest.raises(UnreadableError, match="line 2: a quote opens a cell there"):
        read(content)


def test_a_text_of_several_lines_is_no_swallowed_row() -> None:
    for text in (
        "Dear Anna,\ncall us, Mon-Fri, 0931110001, or write\nbye, 5, 7",
        "Our phones:\n044 123 45 67, 050 123 45 67",
        "Two shops:\nKyiv, 044 123 45 67, daily, at all hours",
    ):
        quoted = f'client_id,recipient,text\na,+380931110001,"{text}"\n'
        assert values(quoted) == [{**ANNA, "text": text}]


def test_people_may_insist_that_a_cell_is_a_text() -> None:
    text = "Hi\nb,+380931110002,Hi"
    quoted = io.BytesIO(f'client_id,recipient,text\na,+380931110001,"{text}"\n'.encode())
    with lines_of(quoted) as (lines, _):
        rows = list(Rows(lines, WANTED, literal=True))
    assert [row.values for row in rows] == [{**ANNA, "text": text}]


# -- JSON


def test_json_lines_and_an_array_say_the_same() -> None:
    lines = "\n".join(map(json.dumps, (ANNA, BO)))
    for content in (lines, f"\n{lines}\n\n", json.dumps([ANNA, BO]), json.dumps([ANNA, BO], indent=2)):
        assert values(content) == [ANNA, BO]


def test_numbers_are_kept_as_they_are_written() -> None:
    content = '{"client_id": 18, "recipient": 380931110001.0, "text": NaN, "Sender": 7e3}\n'
    assert values(content) == [
        {"client_id": "18", "recipient": "380931110001.0", "text": "NaN", "sender": "7e3"}
    ]


def test_strange_keys_are_left_out_and_told() -> None:
    rows, left_out = read(json.dumps({**ANNA, "name": "Anna", "+380931110009": "x", "city": None}) + "\n")
    assert [row.values for row in rows] == [ANNA]
    assert left_out == {"name": 1, "…": 1}


def test_a_key_that_stands_twice_leaves_it_open_which_is_meant() -> None:
    for content in (
        '{"recipient": "+380931110001", "recipient": "+380671110002"}\n',
        '{"Recipient": "+380931110001", "recipient": "+380671110002"}\n',
    ):
        assert "twice" in str(values(content)[0])


@pytest.mark.parametrize("first", ["\u00a0\n", "\v\n", ",,,\n", ";;\n", "\ufeff\n"])
def test_lines_of_nothing_may_stand_above_the_heading(first: str) -> None:
    assert values(first + "client_id,recipient,text\na,+380931110001,Hello\n") == [ANNA]


def test_a_cell_without_end_is_named() -> None:
    with pytest.raises(UnreadableError, match="line 3: a cell holds more than 131,072 characters"):
        read(f"client_id,recipient,text\na,x,Hi\nb,y,{'z' * 200_000}\n")


def test_objects_of_an_array_have_the_lines_they_begin_at() -> None:
    rows, _ = read('[\n{"client_id": "a"},\n\n{"client_id":\n"b"}, 5\n]\n')
    assert [row.line for row in rows] == [2, 4, 5]
    assert "must be a JSON object" in str(rows[2].values)


BROKEN = {
    '[{"client_id": "a"}, {"client_id": ': "line 1: is no JSON",
    '[{"client_id": "a"}\n{"client_id": "b"}]': "line 2: the JSON array is cut off, or goes on otherwise",
    '[{"client_id": "a"}\n': "line 2: the JSON array is cut off",
    '[{"client_id": "a"}]\n[]': "line 2: something follows",
    "[" * 100_000: "nested too deep",
}


@pytest.mark.parametrize("content", BROKEN, ids=lambda content: content[:40])
def test_an_array_that_cannot_be_read_on_is_told_by_its_line(content: str) -> None:
    with pytest.raises(UnreadableError) as problem:
        read(content)
    assert BROKEN[content] in str(problem.value)


@pytest.mark.slow
def test_an_array_of_many_is_read_piece_by_piece() -> None:
    def lines() -> Iterator[str]:
        yield "[\n"
        for number in range(50_000):
            yield f'{{"client_id": "{number}", "recipient": "+38093{number:07d}"}},\n'
        yield '{"client_id": "last"}]\n'

    count, last = 0, None
    for row in Rows(lines(), WANTED):
        count, last = count + 1, row
    assert (count, last) == (50_001, Row(50_002, {"client_id": "last"}))


def test_an_empty_file_has_no_rows() -> None:
    assert values("") == values("\n \n") == []


def test_a_json_line_that_is_none_spoils_itself_alone() -> None:
    deep = '{"client_id": ' + "[" * 100_000 + "]" * 100_000 + "}"
    found = values("\n".join([json.dumps(ANNA), "{nonsense", deep, "[1]", json.dumps(BO)]))
    assert [str(one).partition(",")[0] for one in found[1:4]] == [
        "row: must be JSON",
        "row: must be JSON",
        "row: must be a JSON object",
    ]
    assert (found[0], found[4]) == (ANNA, BO)


def test_a_file_is_read_from_the_disk_by_its_content(tmp_path: Path) -> None:
    from bulk_dispatch.campaign.source import opened

    path = tmp_path / "list.xlsx"
    path.write_text("client_id,recipient,text\na,+380931110001,Hello\n", "utf-8")
    with opened(str(path)) as stream, lines_of(stream) as (lines, utf8):
        assert utf8
        assert [row.values for row in Rows(lines, WANTED)] == [ANNA]
