#!/usr/bin/env bash
# phonenumbers 9.0.43 (Python): a number that it has written as E.164 may be another number when it reads it again.
#
# Seen:    +31 00 369 617 246 is read and written as +310369617246, which it calls possible;
#          +310369617246 is read and written as +31369617246.
# Guessed: E.164 is a normal form, so to read what was written changes nothing.
# Why:     parsing takes one trunk zero off where the rest is a possible length; of two zeros one is left, and
#          kept as a leading zero of the national number.
# Matters: whoever normalizes once on entry and once more later (a queue, a stop list, a second service) compares,
#          stores or sends two different numbers for one recipient. So: read again before you believe it.
#
# Installs the pinned package into a temporary folder, and fails if any of this is no longer so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check phonenumbers==9.0.43
"$place/venv/bin/python" - <<'PYTHON'
import phonenumbers as library

def written(text):
    read = library.parse(text, None)
    return library.format_number(read, library.PhoneNumberFormat.E164), library.is_possible_number(read)

once = written("+31 00 369 617 246")
again = written(once[0])
print("phonenumbers", library.__version__)
print("read once: ", *once)
print("read again:", *again)
assert once == ("+310369617246", True), once
assert again == ("+31369617246", True), again
PYTHON
echo "still so"
