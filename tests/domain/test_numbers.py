"""Which numbers are read, and as whose; what is refused, and with which sentence."""

import random
import re

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_dispatch.domain.numbers import (
    calling_code,
    is_landline,
    is_valid,
    phone_number,
    read_beside,
    region_of,
)
from bulk_dispatch.domain.validation import MessageError

ANNA = "+380931110001"

READ = {
    "+380931110001": ANNA,
    " +38 (093) 111-00.01 ": ANNA,
    "+38\u00a0093\u2009111\u202f0001": ANNA,
    "00380931110001": ANNA,
    "00 380 93 111 00 01": ANNA,
    "+380 (0) 93 111 00 01": ANNA,
    "+3800931110001": ANNA,
    "+380 93/111 00 01": ANNA,
    "\t+380931110001\n": ANNA,
    "'+380931110001": ANNA,
    "\u2019+380931110001": ANNA,
    '="+380931110001"': ANNA,
    '"+380931110001"': ANNA,
    "tel:+380931110001": ANNA,
    "TEL: +380 93 111 00 01": ANNA,
    "\u202a+380931110001\u202c": ANNA,
    "\u200e+380931110001\u200f": ANNA,
    "\u2066+380931110001\u2069": ANNA,
    "\ufeff+380931110001\u200b": ANNA,
    "+38093\u2010111\u20110\u20120\u20130\u20141": ANNA,
    "+38093\u2212111\u22120001": ANNA,
    "\uff0b\uff13\uff18\uff10\uff19\uff13\uff11\uff11\uff11\uff10\uff10\uff10\uff11": ANNA,
    "+٣٨٠٩٣١١١٠٠٠١": ANNA,
    "+३८०९३१११०००१": ANNA,
    "+380931110001,": ANNA,
    "+44 (0)20 7946 0958": "+442079460958",
    "+49 (0) 151 2302 0001": "+4915123020001",
    "+39 (0)6 1234 5678": "+390612345678",
    "+1 621 555 0100": "+16215550100",  # in service, and valid to no metadata yet
    "+1.415.555.0100": "+14155550100",
    "+1 415 555.0000": "+14155550000",
    "“+380931110001”": ANNA,
    "«+380931110001»": ANNA,
    "+380931110001\ufe0f": ANNA,
    "+491234567890123": "+491234567890123",
}


@pytest.mark.parametrize("written", READ, ids=ascii)
def test_a_number_is_read_as_a_person_reads_it(written: str) -> None:
    assert phone_number(written) == READ[written]
    assert phone_number(phone_number(written)) == READ[written]


NATIONAL = {
    ("UA", "931110001"): ANNA,
    ("UA", "0931110001"): ANNA,
    ("UA", "(093) 111-00-01"): ANNA,
    ("UA", "380931110001"): ANNA,
    ("UA", "+14155550100"): "+14155550100",
    ("US", "(621) 555-0100"): "+16215550100",  # in service, and valid to no metadata yet
    ("DE", "49(0)170 1234567"): "+491701234567",
    ("US", "(415) 555-0100"): "+14155550100",
    ("US", "1-415-555-0100"): "+14155550100",
    ("US", "011 380 93 111 00 01"): ANNA,
    ("GB", "020 7946 0958"): "+442079460958",
    ("IT", "06 1234 5678"): "+390612345678",
    ("RU", "8 (916) 555-01-00"): "+79165550100",
}


@pytest.mark.parametrize(("region", "written"), NATIONAL)
def test_a_national_form_is_read_where_its_country_is_named_and_refused_elsewhere(
    region: str, written: str
) -> None:
    assert phone_number(written, region=region) == NATIONAL[region, written]
    if not written.startswith("+"):
        with pytest.raises(MessageError, match=r"^recipient: has no country code"):
            phone_number(written)


REFUSED = {
    "380931110001.0": "a decimal",
    "380931110002.00": "a decimal",
    "+380931110001.0": "a decimal",
    "380 931 110 001.00": "a decimal",
    "380931110001,0": "a decimal",
    "931110001.5": "a decimal",
    "4930123456.0": "a decimal",
    "+380-93-111-00-01.0": "a decimal",
    "+380 (93) 111-00-01.0": "a decimal",
    "+380.93.111.00.01.0": "a decimal",
    "380,931,110,001.00": "a decimal",
    "3.80931E+11": "scientific notation: the digits are lost",
    "3,80931E+11": "scientific notation: the digits are lost",
    "3.80931e11": "scientific notation",
    "3,80931Е+11": "scientific notation",  # with a Cyrillic letter
    "+380931110001 ext. 5": "an extension",
    "+380931110001x5": "an extension",
    "+380931110001 доб. 5": "an extension",
    "+380931110001#5": "an extension",
    "0671234567;0501234567": "a second number",
    "+380931110001, +380931110002": "a second number",
    "+380931110001 +380931110002": "a second number",
    "+380931110001/+380931110002": "a second number",
    "0671234567/0501234567": "a second number",
    "0671234567\n0501234567": "a second number",
    "0671234567 0501234567": "a second number",
    "0671234567 | 0501234567": "a second number",
    "++380931110001": "one goes in front",
    "+380931110001/2": "a second number, or an extension",
    "+380 93 1110001 2": "a second number, or an extension",
    "+380931110001-2": "a second number, or an extension",
    "+380931110001 (2)": "a second number, or an extension",
    "+39 347 1234567/8": "a second number, or an extension",
    "+39 (0)06 698 12345": "a zero too many",
    "+380931110001;ext=5": "an extension",
    "+380931110001, доб. 5": "an extension",
    "+380931110001" + " " * 150 + "+380671112233": "too long",
    "380931110001+": "one goes in front",
    "1-800-FLOWERS": "U+0046 LATIN CAPITAL LETTER F",
    "anna@example.com": "U+0061 LATIN SMALL LETTER A",
    "+38093111О001": "U+041E CYRILLIC CAPITAL LETTER O",
    "+380931110001\u00b9": "U+00B9 SUPERSCRIPT ONE",
    "+38093*1110001": "U+002A ASTERISK",
    "nan": "what software writes",
    "#N/A": "what software writes",
    "-": "no digit",
    "+": "no digit",
    "": "must not be empty",
    " \u200b ": "must not be empty",
    "+038093111000": "no country code that there is",
    "+2101234567": "no country code that there is",
    "+38093": "too few digits for +380",
    "+38093111000": "too few digits for +380",
    "+38093111000111": "too many digits for +380",
    "+3100369617246": "a zero too many",
    "+931110001": "lacks its area code",
    "+123456789012345": "too many digits for +1",
    "+4912345678901234": "more than 15 digits",
    "931110001": "has no country code",
    "1" * 81: "too long",
    "1" * 100_000: "too long",
}  # fmt: skip


@pytest.mark.parametrize("written", REFUSED, ids=lambda written: ascii(written)[:40])
def test_what_is_no_number_of_one_person_is_refused_with_its_reason(written: str) -> None:
    with pytest.raises(MessageError) as problem:
        phone_number(written)
    assert REFUSED[written] in str(problem.value)
    if len(written) > 6:
        assert problem.value.shown == f"<{len(written)} characters>"


@pytest.mark.parametrize("region", ["UA", "US", "DE"])
@pytest.mark.parametrize(
    "written",
    [one for one, reason in REFUSED.items() if "decimal" in reason or "second" in reason or "ext" in reason],
)
def test_a_region_makes_no_number_of_what_is_none(written: str, region: str) -> None:
    with pytest.raises(MessageError, match=re.escape(REFUSED[written])):
        phone_number(written, region=region)


@pytest.mark.parametrize(
    ("region", "written"),
    [
        ("DE", "4915123020001"),
        ("DE", "380931110001"),
        ("IT", "3906123456"),
        ("UA", "80931110002"),
        ("US", "8 (916) 555-01-00"),
        ("US", "80 29 111 22 33"),
        ("UA", "+0931110001"),
    ],
)
def test_a_number_of_another_country_is_not_read_as_one_of_the_region(region: str, written: str) -> None:
    with pytest.raises(MessageError):
        phone_number(written, region=region)


@pytest.mark.parametrize("value", [380931110001, 3.0, None, b"x", ["+380931110001"], True])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(MessageError, match="must be a phone number as text"):
        phone_number(value)


# -- the short way is the library's


CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


def _by_the_library(written: str) -> str | None:
    try:
        read = phonenumbers.parse(written, None)
    except phonenumbers.NumberParseException:
        return None
    whole = phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164)
    possible = phonenumbers.is_possible_number_with_reason(read) == phonenumbers.ValidationResult.IS_POSSIBLE
    if not possible or len(whole) > 16:
        return None
    again = phonenumbers.parse(whole, None)  # of two trunk zeros it takes off one, and then the other
    return whole if phonenumbers.format_number(again, phonenumbers.PhoneNumberFormat.E164) == whole else None


def _by_us(written: str) -> str | None:
    try:
        return phone_number(written)
    except MessageError:
        return None


@given(st.sampled_from(CODES), st.text("0123456789", min_size=1, max_size=14))
def test_any_digits_after_a_plus_are_what_the_library_says(code: int, digits: str) -> None:
    written = f"+{code}{digits}"
    assert _by_us(written) == _by_the_library(written)


@pytest.mark.hypothesis  # the slow half tries it again, on more numbers
@pytest.mark.parametrize("code", CODES)
def test_numbers_of_every_country_are_read_and_judged_as_by_the_library(code: int) -> None:
    chance = random.Random(code)
    numbers = [
        f"+{code}{example.national_number_pattern and example.example_number}"
        for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]
        if (plan := phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region))
        for example in (plan.mobile, plan.fixed_line, plan.toll_free, plan.voip, plan.premium_rate)
        if example and example.example_number
    ]
    numbers = numbers or [f"+{code}1234567"]
    for _ in range(3 * settings().max_examples):
        national = "".join(chance.choices("0123456789", k=chance.randint(4, 12)))
        numbers += [f"+{code}{national}", chance.choice(numbers)[:-2] + national[:2]]
    for written in numbers:
        number = _by_the_library(written)
        assert _by_us(written) == number, written
        if number:
            assert is_valid(number) == phonenumbers.is_valid_number(phonenumbers.parse(number)), number


# -- what else is told of numbers


def test_who_is_possible_need_not_be_valid() -> None:
    assert is_valid(ANNA)
    assert not is_valid("+16215550100")


@pytest.mark.parametrize(
    ("number", "code"), [(ANNA, "380"), ("+14155550100", "1"), ("+4930123456", "49"), ("x", "")]
)
def test_a_number_begins_with_its_country_code(number: str, code: str) -> None:
    assert calling_code(number) == code


@pytest.mark.parametrize(
    ("code", "written", "meant"),
    [
        ("380", "380 93 111-00-01", ANNA),
        ("380", "380931110001", ANNA),
        ("380", "931110001", ""),
        ("380", "80931110002", ""),
        ("380", "380931110001.0", ""),
        ("380", "3809311100", ""),
        ("1", "1 415 555 0100", ""),  # of 11 digits there are national numbers elsewhere: 138 0234 5678
        ("380", "380771110001", "+380771110001"),
        ("380", "380111110001", ""),  # in no range that is in use
        ("1", "415 555 0100", ""),
        ("39", "3912345678", ""),  # at home, a mobile number as it stands
    ],
)
def test_a_number_that_lacks_its_plus_is_read_beside_others_if_all_agree_whose_it_is(
    code: str, written: str, meant: str
) -> None:
    assert read_beside(code, written) == meant


@pytest.mark.parametrize(("given", "region"), [("ua", "UA"), ("GB", "GB"), ("", ""), (None, "")])
def test_a_region_is_named_in_two_letters(given: object, region: str) -> None:
    assert region_of(given) == region


@pytest.mark.parametrize("given", ["Ukraine", "XX", 380, "U"])
def test_what_is_no_region_is_refused(given: object) -> None:
    with pytest.raises(MessageError, match=r"^region: must be a country"):
        region_of(given)


LANDLINES = {
    "+380441110001": True,  # Kyiv
    "+380312123456": True,
    ANNA: False,
    "+380800500001": False,  # free of charge
    "+380891234567": False,  # of no place
    "+380201234567": False,  # in no range
    "+493012345678": True,
    "+4915112345678": False,
}


@pytest.mark.parametrize(("number", "landline"), LANDLINES.items())
def test_a_landline_is_what_is_given_out_to_landlines_alone(number: str, landline: bool) -> None:
    assert is_landline(number) is landline
