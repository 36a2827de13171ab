"""Phone numbers: however one was written, it is read as E.164 (+380931110001), or refused with the reason.

Which numbers there may be is said by the metadata of libphonenumber (the package `phonenumbers`). That
library is lenient and slow, so three things are ours: what it would read as somebody else's number (a
decimal, an extension, a second number) is refused before it looks; of its answers only "possible" counts,
not "possible within its own area"; and E.164 goes by a short way, which is made from the same metadata.

Two readings of one person's number give the same text: that is what suppression list, duplicates and
providers see."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from bulk_dispatch.domain.segments import character_name
from bulk_dispatch.domain.validation import MessageError, is_word_of_software, visible

if TYPE_CHECKING:
    from phonenumbers import PhoneMetadata, PhoneNumberDesc

LONG = 12  # digits; a number that long without its plus is hardly a national one
MOST_DIGITS = 15  # of E.164, country code included; the metadata allow 17 in Germany
LOOKED_AT = 80  # characters of what may be a number; a longer value is none


def phone_number(value: object, field: str = "recipient", region: str = "") -> str:
    """The number as E.164: a plus, country code and national number, 7 to 15 digits in all.

    Takes blanks, dashes, dots, slashes and brackets of every kind, digits of every script, marks that nobody
    sees, `00` for the plus, `tel:`, and what spreadsheets put about a number to keep it text. A number
    without country is read as one of `region` (ISO 3166, two letters), and refused if none is given.
    Raises MessageError with a sentence of its own for each thing that is wrong.
    """
    if not isinstance(value, str):
        raise MessageError(field, value, "must be a phone number as text")
    if (plan := _plan(value[:4])) and plan.is_plain(value):  # true of nearly all there are
        return value
    try:
        number = _international(_dialled(value, region), region)
        _check_tail(_unwrapped(value), number, region)
    except _NoNumberError as problem:
        raise MessageError(field, value, str(problem)) from None
    return number


def is_valid(number: str) -> bool:
    """Whether an E.164 number lies within a range that the metadata know to be given out.

    Ranges are in service before the metadata know them, so who is not valid may be reached all the same.
    """
    plan = _plan(number[:4])
    return plan is not None and bool(plan.is_valid(number, plan.start))


def is_landline(number: str) -> bool:
    """Whether an E.164 number lies within a range that is known to be given out to landlines alone."""
    import phonenumbers as library

    found = library.number_type(library.parse(number, None))
    return bool(found == library.PhoneNumberType.FIXED_LINE)


def calling_code(number: str) -> str:
    """The country code of an E.164 number, without the plus; empty if it begins with none."""
    plan = _plan(number[:4])
    return number[1 : plan.start] if plan else ""


def read_beside(code: str, value: str) -> str:
    """The number that is meant where its plus is missing, and others beside it are written with the plus and
    this country code; empty if that is not clear.

    Clear is what is too long for a national number of nearly everywhere (mobile numbers of China have 11
    digits), lies in a range that is in use, and is read alike by who puts a plus in front and who lives
    there.
    """
    import phonenumbers as library

    try:
        digits = _dialled(value)
        if not digits.startswith(code) or len(digits) < LONG:
            return ""
        whole = phone_number(f"+{digits}")
        plan = _plan(whole[:4]) if is_valid(whole) else None
        if plan is None:
            return ""
        if len(digits) > plan.longest:  # too long for a number of their own
            return whole
        home = library.region_code_for_country_code(int(code))
        return whole if _international(digits, home) == whole else ""
    except (_NoNumberError, MessageError):
        return ""


def region_of(value: object, field: str = "region") -> str:
    """A region as the metadata name it ("UA" of "ua"); empty for empty. Raises MessageError."""
    if value in ("", None):
        return ""
    import phonenumbers as library

    name = value.upper() if isinstance(value, str) else ""
    if name not in library.SUPPORTED_REGIONS:
        raise MessageError(field, value, "must be a country of ISO 3166, such as UA or GB")
    return str(name)


class _NoNumberError(Exception):
    """What is wrong, as a sentence about the value."""


# -- the short way


class _Plan(NamedTuple):
    """What the metadata say of a country code."""

    start: int  # where the national number begins, behind plus and code
    longest: int  # digits of a national number
    is_plain: Callable[[str], object]  # truthy of E.164 that is possible, and read as it stands
    is_valid: Callable[[str, int], object]  # truthy if what stands at that place is given out


@lru_cache(4096)  # heads of numbers, and of what is none
def _plan(head: str) -> _Plan | None:
    """The plan of numbers that begin like this, with a plus and three digits; None if there is none."""
    import phonenumbers as library  # 50 ms, and who only looks things up needs no number

    if not re.fullmatch(r"\+[0-9]{3}", head, re.ASCII):
        return None
    for end in (2, 3, 4):
        regions = library.COUNTRY_CODE_TO_REGION_CODE.get(int(head[1:end]))
        if regions:
            return _plan_of(int(head[1:end]), regions)
    return None


def _plan_of(code: int, regions: tuple[str, ...]) -> _Plan:
    from phonenumbers import PhoneMetadata

    kept = [PhoneMetadata.metadata_for_region_or_calling_code(code, region) for region in regions]
    plans = [metadata for metadata in kept if metadata is not None]
    start = 1 + len(str(code))
    general = plans[0].general_desc
    possible = [length for length in (general.possible_length if general else ()) if length > 0]
    return _Plan(start, max(possible), _plain_form(code, possible, plans[0]), _validity(plans))


def _plain_form(code: int, possible: Sequence[int], plan: "PhoneMetadata") -> Callable[[str], object]:
    """E.164 of these lengths, without a trunk prefix: of that the library would take something off."""
    most = MOST_DIGITS - len(str(code))
    lengths = "|".join(rf"[0-9]{{{length}}}" for length in possible if length <= most)
    prefix = plan.national_prefix_for_parsing or "(?!)"
    if re.match(prefix, "") is None:
        return re.compile(rf"\+{code}(?!{prefix})(?:{lengths})").fullmatch
    form, at_start = re.compile(rf"\+{code}(?:{lengths})"), re.compile(prefix)
    start = 1 + len(str(code))

    def is_plain(value: str) -> bool:
        """A prefix that may be nothing at all is one if it is more than that."""
        found = at_start.match(value, start)
        return form.fullmatch(value) is not None and (found is None or found.end() == start)

    return is_plain


def _validity(plans: "list[PhoneMetadata]") -> Callable[[str, int], object]:
    """As the library judges: the first region whose leading digits fit decides; one without is tried."""
    tried = [
        (re.compile(plan.leading_digits).match if plan.leading_digits else None, _given_out(plan).match)
        for plan in plans
    ]
    if len(tried) == 1:
        return tried[0][1]

    def is_valid(number: str, start: int) -> object:
        for leads, given_out in tried:
            if leads is None:
                if given_out(number, start):
                    return True
            elif leads(number, start):
                return given_out(number, start)
        return False

    return is_valid


def _given_out(plan: "PhoneMetadata") -> "re.Pattern[str]":
    """National numbers of any type there is in a region."""
    types = (
        plan.mobile, plan.fixed_line, plan.toll_free, plan.premium_rate, plan.shared_cost, plan.voip,
        plan.personal_number, plan.pager, plan.uan, plan.voicemail,
    )  # fmt: skip
    known = (_pattern(one) for one in types if one and one.national_number_pattern)
    return re.compile(f"(?={_pattern(plan.general_desc)})(?:{'|'.join(known)})", re.ASCII)


def _pattern(described: "PhoneNumberDesc | None") -> str:
    """A whole national number of one type: of a length and a form that it may have."""
    if described is None or not described.national_number_pattern:
        return "(?!)"
    lengths = "|".join(rf"\d{{{length}}}\Z" for length in described.possible_length if length > 0)
    return rf"(?={lengths or '(?!)'})(?:{described.national_number_pattern})\Z"


# -- the long way: from what people write to what is dialled

_SCIENTIFIC = re.compile(r"\+?\d+(?:[.,]\d+)?\s*[eе]\s*[+-]?\d+", re.IGNORECASE)  # Latin or Cyrillic
_SHEET = re.compile(r"=\"(.*)\"|'(.*)|\"(.*)\"", re.DOTALL)  # what keeps a cell text
_AMOUNT = re.compile(r"\+?(?:\d+|(?:\d ?){9,})[.,]0+|\+?\d{9,}[.,]\d+|\+?\d{1,3}(?:,\d{3}){2,}(?:\.\d+)?")
_DECIMAL_SAID = "is a decimal: software took the number for an amount; keep that column as text"
_TAIL = re.compile(r"(.*\d\)?) *([ /.,(-]) *(\d{1,4})\)?")  # what may stand behind a whole number
_EXTENSION = re.compile(r"(?:ext|extn|extension|x|доб|дод|вн)[. :=]*\d|[#~]", re.IGNORECASE)
_BETWEEN = re.compile(r"[,;|&\n]")  # stands between two numbers, never within one
_FEWEST = 7  # digits of a number
_WITHIN = frozenset(" -./()")


def _dialled(value: str, region: str = "") -> str:
    """Plus and digits alone. Raises _NoNumberError for everything that could be another number, or none."""
    if len(value) > 2 * LOOKED_AT:
        raise _NoNumberError("is too long for a phone number")
    written = _unwrapped(value)
    if not written:
        raise _NoNumberError("must not be empty")
    if len(written) > LOOKED_AT:
        raise _NoNumberError("is too long for a phone number")
    if is_word_of_software(written):
        raise _NoNumberError("is what software writes where there is no number")
    if _SCIENTIFIC.fullmatch(written):
        raise _NoNumberError("is a number in scientific notation: the digits are lost")
    if _AMOUNT.fullmatch(written):
        raise _NoNumberError(_DECIMAL_SAID)
    if _EXTENSION.search(written):
        raise _NoNumberError("has an extension: a text message cannot be sent to one")
    _check_alone(written)
    _check_signs(written)
    if "+" in written.lstrip("(")[1:]:
        raise _NoNumberError("has a plus within it: one goes in front")
    if re.search(r"\(0\) *0", written):
        raise _NoNumberError("has a zero too many before the number within its country")
    digits = _digits(written)
    coded = re.match(r"([0-9]{1,3}) *\(0\)", written)
    return f"+{digits}" if coded and region and coded.group(1) == _code_of(region) else digits


def _digits(written: str) -> str:
    """What is dialled of it, with a plus for 00."""
    digits = "".join(sign for sign in written if sign not in _WITHIN)
    return f"+{digits[2:]}" if digits.startswith("00") else digits


def _code_of(region: str) -> str:
    import phonenumbers as library

    return str(library.country_code_for_region(region))


def _unwrapped(value: str) -> str:
    """Signs of one kind as one sign, without what cannot be seen, and without what keeps a cell text."""
    written = "".join(map(_plain_sign, visible(value))).strip(" \n")
    if found := _SHEET.fullmatch(written):
        written = next(part for part in found.groups() if part is not None).strip(" \n")
    if written[:4].casefold() == "tel:":
        written = written[4:]
    return written.strip(' \n,;."“”„«»')


@lru_cache(1024)
def _plain_sign(sign: str) -> str:
    """What a sign is to who dials: a digit, a plus, a blank, a dash, nothing at all, or itself."""
    if sign.isascii():
        return {"\t": " ", "\r": "\n", "\v": "\n", "\f": "\n", "[": "(", "]": ")"}.get(sign, sign)
    category = unicodedata.category(sign)
    if category == "Nd":
        return str(unicodedata.decimal(sign))
    for told, plain in (("Cf", ""), ("Zs", " "), ("Zl", "\n"), ("Zp", "\n"), ("Pd", "-")):
        if category == told:
            return plain
    if sign in _SAME:
        return _SAME[sign]
    return sign


_SAME = {
    "\uff0b": "+", "\ufe62": "+", "\u207a": "+",  # full-width, small, raised
    "\u2212": "-", "\u2043": "-", "\u00b7": ".", "\u2024": ".", "\uff0e": ".",
    "\uff08": "(", "\uff09": ")", "\uff0f": "/", "\u2044": "/", "\u2215": "/",
    "\uff0c": ",", "\uff1b": ";", "\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u00b4": "'",
    "\x85": "\n",
}  # fmt: skip
"""Signs that look like one of ours and mean the same."""


def _check_alone(written: str) -> None:
    """Two customers in one cell: the library would read the second as the extension of the first."""
    parts = [part for part in _BETWEEN.split(written) if any(map(str.isdigit, part))]
    slashed = [part for part in written.split("/") if sum(map(str.isdigit, part)) >= _FEWEST]
    apart = [part for part in written.split() if sum(map(str.isdigit, part)) >= _FEWEST]
    pluses = [part for part in written.split("+") if any(map(str.isdigit, part))]
    if len(parts) > 1 or len(slashed) > 1 or len(apart) > 1 or len(pluses) > 1:
        raise _NoNumberError("holds a second number: give each person a row of their own")


def _check_tail(written: str, number: str, region: str) -> None:
    """Of +380931110001/2 the last digit is an extension, or a second number written short; of +380931110001.0
    it is none at all. Then what stands before it is a number by itself."""
    found = _TAIL.fullmatch(written)
    if found is None:
        return
    head, between, tail = found.groups()
    try:
        alone = _international(_digits(head), region)
    except _NoNumberError:
        return
    if between in ".," and not tail.strip("0"):
        raise _NoNumberError(_DECIMAL_SAID)
    if is_valid(alone) and (between in "/(" or len(tail) == 1 or not is_valid(number)):
        raise _NoNumberError("holds a second number, or an extension, behind the first")


def _check_signs(written: str) -> None:
    """Every sign belongs in a number."""
    for sign in written:
        if not (sign in _WITHIN or sign == "+" or (sign.isascii() and sign.isdigit())):
            kind = "a letter" if sign.isalpha() else "a sign"
            raise _NoNumberError(f"holds {kind} that belongs in no number, {character_name(sign)}")
    if not any(map(str.isdigit, written)):
        raise _NoNumberError("holds no digit")


def _international(digits: str, region: str) -> str:
    """E.164 of what is dialled: with its plus, else in a region. Raises _NoNumberError."""
    number = _read(digits, region)
    if not digits.startswith("+"):
        _check_clear(digits, number, region)
    if digits != number and _read(number, "") != number:
        # The library takes one trunk zero off at each reading: of two, one would be left for the next.
        raise _NoNumberError("has a zero too many before the number within its country")
    if len(number) > 1 + MOST_DIGITS:
        raise _NoNumberError(f"has more than {MOST_DIGITS} digits")
    return number


def _check_clear(digits: str, number: str, region: str) -> None:
    """Whoever names a country means numbers of its own. But what is in use with a plus in front, and begins
    with the code of that country, or is in no range of it, may just lack the plus."""
    try:
        abroad = _read(f"+{digits}", "")
    except _NoNumberError:
        return
    if abroad == number or not is_valid(abroad):
        return
    if digits.startswith(_code_of(region)) or not is_valid(number):
        raise _NoNumberError("may be read with a plus in front, or as a national number: write the plus")


def _read(digits: str, region: str) -> str:
    """E.164 as the library reads it, once."""
    import phonenumbers as library

    here = digits.startswith("+")  # and then no region: with one, the library tries again without the plus
    if not here and not region:
        raise _NoNumberError("has no country code: write it with a plus, or name the region it is of")
    try:
        read = library.parse(digits, None if here else region)
    except library.NumberParseException as problem:
        raise _NoNumberError(_PARSE_PROBLEMS.get(problem.error_type, "is no phone number")) from None
    reason = library.is_possible_number_with_reason(read)
    if reason != library.ValidationResult.IS_POSSIBLE:
        raise _NoNumberError(
            _IMPOSSIBLE.get(reason, "is no possible number of +{}").format(read.country_code)
        )
    return str(library.format_number(read, library.PhoneNumberFormat.E164))


_PARSE_PROBLEMS = {
    0: "begins with no country code that there is",
    2: "is too short for a phone number",
    3: "is too short for a phone number",
    4: "is too long for a phone number",
}
"""By NumberParseException.error_type."""

_IMPOSSIBLE = {
    1: "begins with no country code that there is",
    2: "has too few digits for +{}",
    3: "has too many digits for +{}",
    4: "lacks its area code: within +{} it can be dialled from nearby only",
    5: "has a number of digits that no number of +{} has",
}
"""By ValidationResult."""
