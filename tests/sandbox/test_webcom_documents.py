"""What webcom does not read: whole documents, refused with `<error>`."""

import pytest

from tests.sandbox.webcom_shop import LOGIN, TOKEN, Shop, abonent, error, request, sms, viber

FORMAT = (400, "Incorrect XML document format")
STRANGER = (400, "Incorrect login or password")
NO_DATA = (400, "POST data is missing")
GOOD = request(sms())

BAD: dict[str, str | bytes] = {
    "not XML": "phone=380931110001",
    "cut short": GOOD[:-5],
    "a bare ampersand": GOOD.replace("See", "You & me, see"),
    "a line break": GOOD.replace("<request>", "<request>\n"),
    "a line break behind the document": GOOD + "\n",
    "a carriage return": GOOD.replace("<request>", "<request>\r"),
    "a line break in a text": request(sms(text="See you\nat ten")),
    "a line break by its number": request(sms(text="See you&#10;at ten")),
    "a line break by its hexadecimal number": request(sms(text="See you&#x0A;at ten")),
    "a typographic quote": GOOD.replace('number_sms="1"', "number_sms=”1”"),
    "a full stop between elements": GOOD.replace("</text>", "</text>."),
    "a full stop behind a recipient": GOOD.replace("/></message>", "/>.</message>"),
    "an ellipsis between messages": request(sms() + "…" + sms(abonent(2))),
    "a Cyrillic closing tag": GOOD.replace("</message>", "</мessage>"),
    "not UTF-8": request(sms(text="Привіт")).encode("cp1251"),
    "another encoding": GOOD.replace("utf-8", "windows-1251"),
    "UTF-16": GOOD.encode("utf-16"),
    "a document type": GOOD.replace("<request>", "<!DOCTYPE request><request>"),
    "an entity": GOOD.replace("<request>", '<!DOCTYPE request [<!ENTITY a "b">]><request>'),
    "another root": GOOD.replace("request>", "package>"),
    "an attribute at the root": GOOD.replace("<request>", '<request version="2">'),
    # credentials
    "both kinds of credentials": request(sms(), LOGIN + TOKEN),
    "a token twice": request(sms(), TOKEN + TOKEN),
    "security twice": request(f"{sms()}<security>{TOKEN}</security>"),
    "security in the middle": (f"<request>{sms()}<security>{TOKEN}</security>{sms(abonent(2))}</request>"),
    "credentials of another name": request(sms(), '<key value="sandbox-key"/>'),
    "a token as text": request(sms(), "<token>sandbox-key</token>"),
    # messages
    "no messages": request(""),
    "another element": request("<msg/>"),
    "another element beside": request(sms() + "<get_state/>"),
    "nobody to send to": request('<message type_send_1="sms"><sender>A</sender><text>B</text></message>'),
    "no channel": GOOD.replace('type_send_1="sms" ', ""),
    "an unknown channel": GOOD.replace('type_send_1="sms"', 'type_send_1="pigeon"'),
    "a fallback to itself": GOOD.replace('type_send_1="sms"', 'type_send_1="sms" type_send_2="sms"'),
    "an unknown fallback": GOOD.replace('type_send_1="sms"', 'type_send_1="sms" type_send_2=""'),
    "an unknown kind": request(sms(kind="voice")),
    "an unknown attribute": GOOD.replace("<message ", '<message priority="1" '),
    "an unknown element": request(sms(inner="<priority>1</priority>")),
    "an element twice": request(sms(inner="<text>Again</text>")),
    "an attribute on an element": GOOD.replace("<text>", '<text lang="uk">'),
    "a child of an element": request(sms(text="<b>See</b>")),
    "Viber's words in an SMS": request(sms(inner="<text_viber>Hi</text_viber>")),
    "SMS words in Viber": request(viber(inner="<text>Hi</text>")),
    "a link in a plain SMS": request(sms(inner="<url>https://shop.example</url>")),
    "a card in a WAP-push": request(sms(kind="wappush", inner="<name>Ann</name>")),
    "another phone of a card": request(sms(kind="vcard", inner='<name>Ann</name><phone home="1"/>')),
    "another part of an address": request(sms(kind="vcard", inner='<name>Ann</name><address planet="3"/>')),
    "words in an address": request(sms(kind="vcard", inner="<name>Ann</name><address>Kyiv</address>")),
    "translite of two": request(sms(inner="<translite>2</translite>")),
    "1001 characters by Viber": request(
        viber().replace("Order 18 is ready", "x" * 1001),
    ),
    "a caption of 20 characters": request(
        viber(inner=f"<button_viber>{'x' * 20}</button_viber><action_viber>https://s.example</action_viber>")
    ),
    "a link without a button": request(viber(inner="<action_viber>https://s.example</action_viber>")),
    "a picture without a button": request(viber(inner="<image_viber>https://s.example/1.png</image_viber>")),
    # recipients
    "an unknown attribute of a recipient": request(sms(abonent(name="Ann"))),
    "words in a recipient": GOOD.replace("/></message>", ">Ann</abonent></message>"),
    "number_sms of letters": request(sms(abonent().replace('number_sms="1"', 'number_sms="one"'))),
    "number_sms that is empty": request(sms(abonent().replace('number_sms="1"', 'number_sms=""'))),
    "number_sms with leading noughts": request(sms(abonent().replace('number_sms="1"', 'number_sms="01"'))),
    "number_sms twice in a message": request(sms(abonent(1), abonent(1, "380931110002"))),
    "number_sms begun anew": request(sms(abonent(1)) + sms(abonent(1, "380931110002"))),
    "client_id_sms of letters": request(sms(abonent(client_id_sms="a1"))),
    "client_id_sms below nought": request(sms(abonent(client_id_sms=-1))),
    "client_id_sms that is empty": request(sms(abonent(client_id_sms=""))),
    "client_id_sms beyond 63 bits": request(sms(abonent(client_id_sms=2**63))),
    "a time with a T": request(sms(abonent(time_send="2031-03-04T12:30"))),
    "a time with a zone": request(sms(abonent(time_send="2031-03-04 12:30+03:00"))),
    "a day without a time": request(sms(abonent(time_send="2031-03-04"))),
    "the 31 November": request(sms(abonent(time_send="2031-11-31 10:00"))),
    "the year 0": request(sms(abonent(time_send="0000-11-30 10:00"))),
    "an empty validity": request(sms(abonent(validity_period=""))),
    "a validity in words": request(sms(abonent(validity_period_viber="tomorrow"))),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_document_is_refused_as_a_whole(name: str) -> None:
    shop = Shop()

    assert error(shop.post("/xml", BAD[name])) == FORMAT
    assert shop.taken() == 0


@pytest.mark.parametrize("address", ["/xml", "/xml/"])
@pytest.mark.parametrize("security", [TOKEN, LOGIN])
def test_security_comes_first_or_last(address: str, security: str) -> None:
    first = request(sms(abonent(client_id_sms=1)), security)
    last = f"<request>{sms(abonent(client_id_sms=2))}<security>{security}</security></request>"
    shop = Shop()

    assert [shop.post(address, one).status for one in (first, last)] == [200, 200]
    assert shop.taken() == 2


@pytest.mark.parametrize(
    "security",
    [
        '<token value="guess"/>',
        '<token value=""/>',
        "<token/>",
        '<login value="sandbox"/>',
        '<login value="sandbox"/><password value="guess"/>',
        '<login value="guess"/><password value="sandbox-password"/>',
        "",
    ],
)
def test_strangers_are_refused(security: str) -> None:
    assert error(Shop().post("/xml", request(sms(), security))) == STRANGER


def test_no_security_is_no_login() -> None:
    assert error(Shop().post("/xml", f"<request>{sms()}</request>")) == STRANGER


@pytest.mark.parametrize(
    "content_type",
    [
        "text/xml; charset=utf-8;",
        "text/xml;charset=UTF-8",
        'text/xml; charset="utf-8"',
        "Text/XML; Charset=utf-8",
    ],
)
def test_the_content_type_may_be_written_as_the_pages_print_it(content_type: str) -> None:
    assert Shop().post("/xml", GOOD, {"content-type": content_type}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/xml"},
        {"content-type": "application/xml; charset=utf-8"},
        {"content-type": "text/xml; charset=windows-1251"},
        {"content-type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_post_of_another_type_has_no_data(headers: dict[str, str]) -> None:
    assert error(Shop().post("/xml", GOOD, headers)) == NO_DATA


def test_an_empty_post_has_no_data() -> None:
    assert error(Shop().post("/xml", b"")) == NO_DATA


def test_an_older_installation_answers_errors_with_200() -> None:
    assert error(Shop(error_status=200).post("/xml", b"")) == (200, NO_DATA[1])


def test_errors_come_in_russian_too() -> None:
    shop = Shop(language="russian")

    assert error(shop.post("/xml", b""))[1] == "POST данные отсутствуют"
    assert error(shop.post("/xml", "<"))[1] == "Неправильный формат XML документа"
    assert error(shop.post("/xml", request(sms(), "")))[1] == "Неправильный логин или пароль"


FINE = {
    "no declaration": GOOD.partition("?>")[2],
    "a comment": GOOD.replace("<request>", "<request><!-- to a good customer -->"),
    "blanks between elements": GOOD.replace("><", "> <").replace("?> <", "?><"),
    "number_sms missing": request(sms(abonent().replace(' number_sms="1"', ""))),
    "the greatest client id": request(sms(abonent(client_id_sms=2**63 - 1))),
    "an empty time_send": request(sms(abonent(time_send=""))),
    "times without seconds": request(
        sms(abonent(time_send="2031-03-04 12:30", validity_period="2031-03-05 09:00"))
    ),
    "times with seconds": request(sms(abonent(time_send="2031-03-04 12:30:10"))),
    "1000 characters by Viber": request(viber().replace("Order 18 is ready", "x" * 1000)),
    "a campaign": request(sms(inner="<name_delivery>March</name_delivery>")),
    "flash": request(sms(kind="flashsms")),
    "silence without a text": request(sms(kind="silence", text="")),
    "WAP-push": request(sms(kind="wappush", inner="<url>https://shop.example/?a=1&amp;b=2</url>")),
    "a Viber sender in Cyrillic": request(viber().replace("ShopVib", "Магазин")),
    "a picture with a button": request(
        viber(
            inner="<image_viber>https://s.example/1.png</image_viber><button_viber>Open</button_viber>"
            "<action_viber>https://s.example</action_viber>"
        )
    ),
    "a whole business card": request(
        sms(
            kind="vcard",
            text="",
            inner='<url>https://s.example</url><name>Ann</name><phone cell="1" work="2" fax="3"/>'
            "<email>ann@shop.example</email><position>Head</position><organization>Shop</organization>"
            '<address post_office_box="1" street="2" city="3" region="4" postal_code="5" country="6"/>'
            "<additional>Mondays</additional>",
        )
    ),
}


@pytest.mark.parametrize("name", FINE)
def test_what_the_sheet_allows_is_taken(name: str) -> None:
    shop = Shop()

    reply = shop.post("/xml", FINE[name])

    assert (reply.status, shop.taken()) == (200, 1), reply.body.decode()


OTHERS = {
    "nothing asked": ("state", "<get_state/>"),
    "two questions": ("state", "<get_state><id_sms>1</id_sms></get_state>" * 2),
    "an empty id": ("state", "<get_state><id_sms/></get_state>"),
    "an id of letters": ("state", "<get_state><id_sms>abc</id_sms></get_state>"),
    "asked by client id": ("state", "<get_state><client_id_sms>1</client_id_sms></get_state>"),
    "asked by attribute": ("state", '<get_state id_sms="1"/>'),
    "a message for a question": ("state", sms()),
    "something beside the balance": ("balance", "<balance/>"),
    "no page": ("list_scheduled", ""),
    "a page without a number": ("list_scheduled", "<scheduled/>"),
    "page nought": ("list_scheduled", '<scheduled page="0"/>'),
    "nothing deleted": ("scheduled", "<delete_schedule/>"),
    "deleted by text": ("scheduled", "<delete_schedule><schedule>1</schedule></delete_schedule>"),
    "deleted without a number": ("scheduled", "<delete_schedule><schedule/></delete_schedule>"),
    "something beside the time": ("time", "<time/>"),
    "something beside the stop list": ("list_stop", '<stop page="1"/>'),
    "nothing stopped": ("stop", "<add_stop/>"),
    "stopped by name": ("stop", '<add_stop><phone phone="Ann"/></add_stop>'),
    "two lists to stop": ("stop", '<add_stop><phone phone="1"/></add_stop>' * 2),
    "something beside the senders": ("originator", "<originator/>"),
    "no kind of asking": ("get_state", "<get_state>https://shop.example/push</get_state>"),
    "another kind of asking": ("get_state", '<get_state type="put">https://shop.example/push</get_state>'),
    "no URL": ("get_state", '<get_state type="set"/>'),
    "another kind of URL": ("get_state", '<get_state type="set">ftp://shop.example/</get_state>'),
    "a URL while asking": ("get_state", '<get_state type="get">https://shop.example/</get_state>'),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_commands_are_read_as_strictly(name: str) -> None:
    command, inner = OTHERS[name]

    assert error(Shop().post(f"/xml/{command}.php", request(inner))) == FORMAT
