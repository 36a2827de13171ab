"""webcom states by polling and by push, and the smaller commands: balance, schedule, time, stop list."""

from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bulk_dispatch.sandbox.journal import Journal
from bulk_dispatch.sandbox.outcomes import Mix
from bulk_dispatch.sandbox.provider import Orders
from tests.sandbox.webcom_shop import NOON, Shop, Told, abonent, id_of, request, sms, told, viber

FAILED = Mix(delivered=0, undeliverable=1, expired=0, rejected=0)
REJECTED = Mix(delivered=0, undeliverable=0, expired=0, rejected=1)


def sent(shop: Shop, message: str) -> str:
    """Its `id_sms`."""
    [line] = shop.send(message)
    assert line.text == "send"
    return id_of(line)


def state(shop: Shop, id_sms: str) -> tuple[str, dict[str, str]]:
    """Text, and the attributes but the number."""
    [line] = shop.state(id_sms)
    attributes = dict(line.attributes)
    assert attributes.pop("id_sms") == id_sms
    return line.text, attributes


def test_an_sms_is_sent_and_then_delivered() -> None:
    shop = Shop()
    id_sms = sent(shop, sms())

    assert state(shop, id_sms) == ("send", {"time": "", "sms": "send"})
    shop.now += 10
    assert state(shop, id_sms) == ("deliver", {"time": "2031-03-04 12:00:10", "sms": "deliver"})


def test_times_are_in_the_account_s_zone() -> None:
    shop = Shop(zone="Asia/Vladivostok")
    id_sms = sent(shop, sms())
    shop.now += 10

    assert state(shop, id_sms)[1]["time"] == "2031-03-04 19:00:10"


def test_a_viber_message_may_be_read_after_it_is_delivered() -> None:
    shop = Shop(read=1, link=0, unsubscribe=0)
    id_sms = sent(shop, viber())
    shop.now += 10

    assert state(shop, id_sms) == ("deliver", {"time": "2031-03-04 12:00:10", "viber": "deliver"})
    shop.now += 10
    assert state(shop, id_sms) == ("read", {"time": "2031-03-04 12:00:20", "viber": "read"})


def test_what_people_do_with_viber_messages_is_drawn() -> None:
    shop = Shop(read=0.4, link=0.2, unsubscribe=0.1)
    lines = shop.send(viber(*(abonent(one, client_id_sms=one + 1) for one in range(1000))))
    shop.now += 20

    ends = Counter(one.text for one in shop.state(*map(id_of, lines)))

    assert ends.keys() == {"deliver", "read", "link", "unsubscribe"}
    for end, expected in {"deliver": 300, "read": 400, "link": 200, "unsubscribe": 100}.items():
        assert abs(ends[end] - expected) < 60


def test_a_viber_message_may_stay_delivered() -> None:
    shop = Shop(read=0, link=0, unsubscribe=0)
    id_sms = sent(shop, viber())
    shop.now += 1000

    assert state(shop, id_sms)[0] == "deliver"


class TestCascade:
    """Viber, and SMS if that fails (sheet section 4.1)."""

    def test_the_first_may_do(self) -> None:
        shop = Shop(read=0, link=0, unsubscribe=0)
        id_sms = sent(shop, viber(fallback=True))
        shop.now += 1000

        assert state(shop, id_sms) == ("deliver", {"time": "2031-03-04 12:00:10", "viber": "deliver"})

    def test_the_first_may_fail_and_the_second_deliver(self) -> None:
        """Seen from outside the first failure is not the end: the text stays `send`."""
        shop = Shop()
        id_sms = sent(shop, viber(abonent(validity_period_viber="2031-03-04 12:00:05"), fallback=True))

        seen = []
        for at in (0, 5, 6, 16):
            shop.now = NOON + at
            seen.append(state(shop, id_sms))

        assert seen == [
            ("send", {"time": "", "viber": "send"}),
            ("send", {"time": "", "viber": "expired"}),
            ("send", {"time": "", "viber": "expired", "sms": "send"}),
            ("deliver", {"time": "2031-03-04 12:00:16", "viber": "expired", "sms": "deliver"}),
        ]

    def test_both_may_fail(self) -> None:
        shop = Shop(mix=FAILED)
        id_sms = sent(shop, viber(fallback=True))
        shop.now += 21

        assert state(shop, id_sms) == (
            "not_deliver",
            {"time": "2031-03-04 12:00:21", "viber": "not_deliver", "sms": "not_deliver"},
        )

    def test_sms_may_come_first(self) -> None:
        shop = Shop(read=0, link=0, unsubscribe=0)
        message = viber(abonent(validity_period="2031-03-04 12:00:05"), fallback=True)
        message = message.replace('1="viber" type_send_2="sms"', '1="sms" type_send_2="viber"')
        id_sms = sent(shop, message)
        shop.now += 16

        assert state(shop, id_sms) == (
            "deliver",
            {"time": "2031-03-04 12:00:16", "sms": "expired", "viber": "deliver"},
        )

    def test_only_the_whole_is_pushed(self) -> None:
        shop = Shop()
        sent(shop, viber(abonent(validity_period_viber="2031-03-04 12:00:05"), fallback=True))

        assert [news.at - NOON for news in shop.news()] == [16]


@pytest.mark.parametrize(
    ("mix", "options", "end"),
    [
        (FAILED, {}, "not_deliver"),
        (REJECTED, {}, "not_deliver"),
        (Mix(delivered=0, undeliverable=0, expired=1, rejected=0), {}, "expired"),
        (Mix(delivered=1, undeliverable=0, expired=0, rejected=0), {"partly": 1.0}, "partly_deliver"),
    ],
)
@pytest.mark.parametrize("message", [sms(), viber()])
def test_the_mix_decides_the_end(mix: Mix, options: dict[str, Any], end: str, message: str) -> None:
    shop = Shop(mix=mix, **options)
    id_sms = sent(shop, message)
    shop.now += 10

    assert state(shop, id_sms)[0] == end
    assert shop.provider.account.by_state("webcom-xml", shop.now) == {end: 1}


@pytest.mark.parametrize(
    ("message", "ends_at"),
    [
        (sms(abonent(validity_period="2031-03-04 12:00:04")), 4),
        (sms(abonent(validity_period="2031-03-04 11:00")), 0),  # over before it began
        (viber(abonent(validity_period_viber="2031-03-04 12:00:04")), 4),
        (sms(abonent(validity_period="2031-03-04 12:00", time_send="2031-03-04 12:01")), 60),
    ],
)
def test_a_message_expires_with_its_validity(message: str, ends_at: int) -> None:
    shop = Shop()
    id_sms = sent(shop, message)
    shop.now += ends_at

    assert state(shop, id_sms)[0] == "expired"


def test_a_longer_validity_changes_nothing() -> None:
    shop = Shop()
    id_sms = sent(
        shop, sms(abonent(validity_period="2031-03-04 12:01", validity_period_viber="2031-03-04 12:00"))
    )
    shop.now += 10

    assert state(shop, id_sms)[0] == "deliver"


@pytest.mark.parametrize(
    ("language", "text"), [("english", "There is no such message"), ("russian", "Такого сообщения нет")]
)
def test_an_unknown_number_gets_a_free_text(language: str, text: str) -> None:
    shop = Shop(language=language)

    assert shop.state("1", "99999999999999999999") == [
        Told("state", {"id_sms": one, "time": ""}, text) for one in ("1", "99999999999999999999")
    ]


def test_the_sample_question_gets_the_sample_answer() -> None:
    shop = Shop(read=1, link=0, unsubscribe=0)
    read = sent(shop, viber())
    shop.now += 20
    new = sent(shop, viber(abonent(1, "380931110002")))

    reply = shop.post(
        "/xml/state.php",
        request(f"<get_state><id_sms>{read}</id_sms><id_sms>{new}</id_sms></get_state>"),
    )

    assert reply.body.decode() == (
        '<?xml version="1.0" encoding="utf-8"?>\n<response>'
        f'<state id_sms="{read}" time="2031-03-04 12:00:20" viber="read">read</state>'
        f'<state id_sms="{new}" time="" viber="send">send</state></response>'
    )


def test_newer_releases_tell_parts_and_price() -> None:
    shop = Shop(newer=True, price=1.5)
    id_sms = sent(shop, sms(text="x" * 161))

    assert state(shop, id_sms)[1] == {"time": "", "sms": "send", "num_parts": "2", "price": "1.5"}


def test_the_script_may_hide_states() -> None:
    shop = Shop()
    id_sms = sent(shop, sms())
    asked = request(f"<get_state><id_sms>{id_sms}</id_sms></get_state>")

    reply = shop.post("/xml/state.php", asked, orders=Orders(code="Try later"))

    assert told(reply) == [Told("state", {"id_sms": id_sms, "time": ""}, "Try later")]


class TestPush:
    """What the gateway POSTs, and what it makes of the answer (sheet section 4.2)."""

    def test_several_states_in_one_document(self) -> None:
        shop = Shop(read=1, link=0, unsubscribe=0)
        [by_sms, by_viber] = map(id_of, shop.send(sms(), viber(abonent(2))))
        assert shop.provider.receipts is not None

        push = shop.provider.receipts.push(shop.news())

        assert push.media_type == "text/xml; charset=utf-8"
        assert push.body.decode() == (
            '<?xml version="1.0" encoding="utf-8"?>\n<response>'
            f'<state id_sms="{by_sms}" time="2031-03-04 12:00:10" sms="deliver">deliver</state>'
            f'<state id_sms="{by_viber}" time="2031-03-04 12:00:10" viber="deliver">deliver</state>'
            f'<state id_sms="{by_viber}" time="2031-03-04 12:00:20" viber="read">read</state></response>'
        )

    def test_the_sample_of_the_sheet(self) -> None:
        shop = Shop()
        message = viber(abonent(validity_period_viber="2031-03-04 12:00:05"), fallback=True)
        id_sms = sent(shop, message)
        assert shop.provider.receipts is not None

        push = shop.provider.receipts.push(shop.news())

        attributes = f'id_sms="{id_sms}" time="2031-03-04 12:00:16" sms="deliver" viber="expired"'
        assert f"<state {attributes}>deliver</state>" in push.body.decode()

    def test_the_root_may_be_another(self) -> None:
        shop = Shop(push_root="request", untidy=True)
        shop.send(sms())
        assert shop.provider.receipts is not None

        root = ET.fromstring(shop.provider.receipts.push(shop.news()).body)

        assert (root.tag, root.text, root[0].text) == ("request", ".", " deliver ")

    @pytest.mark.parametrize(
        ("status", "answer", "taken"),
        [
            (200, '<?xml version="1.0" encoding="utf-8"?><response><id_sms>{0}</id_sms></response>', [0]),
            (200, "<response>\n <id_sms> {1} </id_sms>\n <id_sms>{0}</id_sms>\n</response>", [0, 1]),
            (200, "<response><id_sms>5</id_sms><id_sms>{1}</id_sms></response>", [1]),
            (200, "<response/>", []),
            (200, "<request><id_sms>{0}</id_sms></request>", []),
            (200, "<response><id>{0}</id></response>", []),
            (200, "{0}", []),
            (200, "", []),
            (202, "<response><id_sms>{0}</id_sms></response>", []),
            (500, "<response><id_sms>{0}</id_sms></response>", []),
        ],
    )
    def test_only_what_is_listed_was_taken(self, status: int, answer: str, taken: list[int]) -> None:
        shop = Shop()
        ids = [id_of(one) for one in shop.send(sms(abonent(1), abonent(2)))]
        receipts = shop.provider.receipts
        assert receipts is not None

        acknowledged = receipts.acknowledged(status, answer.format(*ids).encode(), shop.news())

        assert set(acknowledged) == {int(ids[place]) for place in taken}

    def test_each_is_tried_five_times(self) -> None:
        receipts = Shop(push_items=7).provider.receipts
        assert receipts is not None

        assert (receipts.attempts, receipts.most) == (5, 7)

    def test_strangers_are_pushed_like_friends(self) -> None:
        receipts = Shop().provider.receipts
        assert receipts is not None

        root = ET.fromstring(receipts.push(receipts.strangers(2, NOON)).body)

        assert [one.text for one in root] == ["deliver", "deliver"]
        assert len({one.get("id_sms") for one in root}) == 2

    def test_its_url_can_be_set_and_read(self) -> None:
        shop = Shop()
        assert shop.ask("get_state", '<get_state type="get"/>')[0].text == ""

        shop.ask("get_state", '<get_state type="set">https://shop.example/push/a-b</get_state>')

        assert shop.ask("get_state", '<get_state type="get"/>')[0].text == "https://shop.example/push/a-b"
        assert shop.provider.account.push_urls == {"webcom-xml": "https://shop.example/push/a-b"}


class TestSchedule:
    """`time_send`, the list, and deleting (sheet section 7)."""

    LATER = sms(
        abonent(1, client_id_sms=7, time_send="2031-03-04 13:00", validity_period="2031-03-05 09:00:00"),
        abonent(2, "380931110002", time_send="2031-03-04 13:00:30"),
        text="one\\ntwo &amp; &quot;three&quot;",
        inner="<name_delivery>March</name_delivery>",
    )

    def test_a_scheduled_message_waits(self) -> None:
        shop = Shop()
        first, _ = map(id_of, shop.send(self.LATER))
        assert shop.provider.account.by_state("webcom-xml", shop.now) == {"scheduled": 2}
        assert state(shop, first) == ("send", {"time": "", "sms": "send"})

        shop.now += 3600 + 10

        assert state(shop, first) == ("deliver", {"time": "2031-03-04 13:00:10", "sms": "deliver"})

    def test_a_time_that_has_passed_means_now(self) -> None:
        shop = Shop()
        id_sms = sent(shop, sms(abonent(time_send="2031-03-04 11:00")))
        shop.now += 10

        assert state(shop, id_sms)[0] == "deliver"

    def test_the_list_tells_all_of_it(self) -> None:
        shop = Shop()
        first, *_ = map(id_of, shop.send(self.LATER, sms(abonent(3))))

        [phones] = ET.fromstring(shop.post("/xml/list_scheduled.php", request('<scheduled page="1"/>')).body)

        assert (phones.tag, phones.attrib) == ("phones", {"page": "1", "num_pages": "1"})
        assert [one.get("phone") for one in phones] == ["380931110001", "380931110002"]
        assert phones[0].attrib == {
            "id_sms": first,
            "time_put_turn": "2031-03-04 12:00:00",
            "originator": "ShopNews",
            "phone": "380931110001",
            "type_sms": "sms",
            "text_sms": 'one\\ntwo & "three"',
            "count_sms": "1",
            "name_delivery": "March",
            "time_send": "2031-03-04 13:00:00",
            "validity_period": "2031-03-05 09:00:00",
        }

    def test_it_has_pages(self) -> None:
        shop = Shop(page_items=2)
        shop.send(sms(*(abonent(one, f"38093111000{one}", time_send="2031-03-04 13:00") for one in range(5))))

        pages = [
            ET.fromstring(shop.post("/xml/list_scheduled.php", request(f'<scheduled page="{page}"/>')).body)[
                0
            ]
            for page in (1, 2, 3, 4)
        ]

        assert [[str(one.get("phone"))[-1] for one in page] for page in pages] == [
            ["0", "1"], ["2", "3"], ["4"], [],
        ]  # fmt: skip
        assert {page.get("num_pages") for page in pages} == {"3"}

    def test_what_was_sent_leaves_the_list(self) -> None:
        shop = Shop()
        shop.send(self.LATER)
        shop.now += 3600

        [phones] = ET.fromstring(shop.post("/xml/list_scheduled.php", request('<scheduled page="1"/>')).body)

        assert [one.get("phone") for one in phones] == ["380931110002"]

    def test_only_what_is_scheduled_can_be_deleted(self) -> None:
        shop = Shop()
        first, second, now = map(id_of, shop.send(self.LATER, sms(abonent(3))))
        shop.now += 3600  # the first has just gone out

        assert self._delete(shop, first, second, second, now, "5") == [
            Told("scheduled", {"id_sms": first}, "not_found"),
            Told("scheduled", {"id_sms": second}, "delete"),
            Told("scheduled", {"id_sms": second}, "not_found"),
            Told("scheduled", {"id_sms": now}, "not_found"),
            Told("scheduled", {"id_sms": "5"}, "not_found"),
        ]
        assert self._delete(shop, second)[0].text == "not_found"

    def test_what_was_deleted_is_not_sent(self) -> None:
        shop = Shop(money=100)
        first, _ = map(id_of, shop.send(self.LATER))
        self._delete(shop, first)
        shop.now += 3700

        assert state(shop, first)[0] == "There is no such message"
        assert [str(news.record.number) for news in shop.news()] != [first]
        assert shop.ask("balance")[0].text == "99"
        account = shop.provider.account
        assert account.by_state("webcom-xml", shop.now) == {"deleted": 1, "deliver": 1}

    def test_its_client_id_stays_used(self) -> None:
        shop = Shop()
        first, _ = map(id_of, shop.send(self.LATER))
        self._delete(shop, first)

        [again] = shop.send(sms(abonent(client_id_sms=7)))

        assert id_of(again) == first

    def _delete(self, shop: Shop, *ids: str) -> list[Told]:
        schedule = "".join(f'<schedule id_sms="{one}"/>' for one in ids)
        return shop.ask("scheduled", f"<delete_schedule>{schedule}</delete_schedule>")


class TestAccount:
    """Balance, time, stop list, senders."""

    def test_the_balance_counts_each_destination_by_itself(self) -> None:
        money, *counts = Shop(money=150, price=1.5).ask("balance")

        assert money == Told("money", {}, "150")
        assert [(one.tag, one.text) for one in counts] == [("sms", "100")] * 2
        assert len({one.attributes["area"] for one in counts}) == 2

    def test_a_newer_release_tells_the_currency(self) -> None:
        money, sms_count, *_ = Shop(money=150.25, price=0, newer=True).ask("balance")

        assert (set(money.attributes), money.text) == ({"currency"}, "150.25")
        assert sms_count.attributes.keys() == {"area", "price"}

    @pytest.mark.parametrize(
        ("shape", "zone", "time"),
        [
            ("full", "Europe/Moscow", "2031-03-04 12:00:00"),
            ("clock", "Europe/Moscow", "12:00:00"),
            ("clock", "Europe/Kyiv", "11:00:00"),
        ],
    )
    def test_the_time_is_the_account_s(self, shape: str, zone: str, time: str) -> None:
        assert Shop(time_shape=shape, zone=zone).ask("time") == [Told("time", {}, time)]

    def test_the_stop_list_can_be_read_and_changed(self) -> None:
        shop = Shop(stop_list=frozenset({"380931110001"}))
        add = '<add_stop><phone phone="380931110003"/><phone phone="380931110002"/></add_stop>'
        delete = '<delete_stop><phone phone="380931110001"/><phone phone="380931119999"/></delete_stop>'

        assert [(one.attributes["phone"][-1], one.text) for one in shop.ask("stop", add + delete)] == [
            ("3", "add"), ("2", "add"), ("1", "delete"), ("9", "not_found"),
        ]  # fmt: skip
        assert [one.text for one in shop.ask("list_stop")] == ["380931110002", "380931110003"]
        assert shop.report(sms()) == "send"
        assert shop.report(sms(abonent(phone="380931110002"))) == "Phone number is on the stop list"

    def test_senders_are_listed(self) -> None:
        shop = Shop(senders=frozenset({"B", "A"}), unmoderated=frozenset({"C"}))

        root = ET.fromstring(shop.post("/xml/originator.php", request("")).body)

        assert root.findtext("any_originator") == "FALSE"
        assert [(one.text, one.get("state")) for one in root.iter("originator")] == [
            ("A", "completed"), ("B", "completed"), ("C", "order"),
        ]  # fmt: skip
        assert Shop().ask("originator")[0].text == "TRUE"


def test_the_journal_brings_everything_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    shop = Shop(journal=journal, money=5, no_money=17)
    late = abonent(client_id_sms=7, time_send="2031-03-04 13:00")
    scheduled = sent(shop, sms(late))
    gone = sent(shop, sms(abonent(client_id_sms=8, time_send="2031-03-04 13:00")))
    cascade = sent(shop, viber(abonent(validity_period_viber="2031-03-04 12:00:05"), fallback=True))
    shop.ask("scheduled", f'<delete_schedule><schedule id_sms="{gone}"/></delete_schedule>')
    shop.ask("stop", '<add_stop><phone phone="380931110002"/></add_stop>')
    shop.ask("get_state", '<get_state type="set">https://shop.example/push</get_state>')
    [waiting] = map(id_of, shop.send(sms(text="x" * 600)))  # 4 parts
    journal.close()

    journal = Journal(tmp_path / "journal")
    again = Shop(journal=journal, money=5, no_money=17)
    for name, *entry in journal.entries():
        assert name == "webcom"
        again.provider.account.revive(entry)

    again.now += 16
    assert [id_of(one) for one in again.send(sms(late))] == [scheduled]
    assert state(again, cascade)[1] == {"time": "2031-03-04 12:00:16", "viber": "expired", "sms": "deliver"}
    assert state(again, gone)[0] == "There is no such message"
    [phones] = ET.fromstring(again.post("/xml/list_scheduled.php", request('<scheduled page="1"/>')).body)
    assert [one.get("id_sms") for one in phones] == [scheduled]
    assert [one.text for one in again.ask("list_stop")] == ["380931110002"]
    assert again.provider.account.push_urls == {"webcom-xml": "https://shop.example/push"}
    assert again.ask("balance")[0].text == "3"
    again.provider.top_up(1, again.now)
    again.now += 10
    assert state(again, waiting)[0] == "deliver"
    journal.close()
