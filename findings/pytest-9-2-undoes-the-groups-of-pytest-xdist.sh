#!/usr/bin/env bash
# pytest 9.2.0 and pytest-xdist 3.8.0 (Python): `--dist loadgroup` keeps no group together, and says nothing.
#
# Seen:    four tests of one xdist_group run in two processes with pytest 9.2.0, in one with 9.1.1.
# Guessed: marks that are accepted, in the newest releases of both, do what they say.
# Why:     pytest-xdist adds the group to `Item._nodeid`; since 9.2 pytest keeps the name in `Item._id`, and nothing
#          reads the other. No warning, and every test passes.
# Matters: what a group shares, because it is dear or may be there once only, is made in every process: servers, a
#          fleet of workers, a fixed port. Ours started three times. So: hold pytest below 9.2 in the lock, and
#          have a test ask whether the group is in the names of its tests.
#
# Installs the pinned packages into a temporary folder, and fails if any of this is no longer so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cat > "$place/test_group.py" <<'PYTHON'
import os
import time

import pytest

pytestmark = pytest.mark.xdist_group("one")


@pytest.mark.parametrize("number", range(4))
def test_who_runs_it(number, pytestconfig):
    with open(pytestconfig.rootpath / "processes", "a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
    time.sleep(0.5)
PYTHON
touch "$place/pytest.ini"
python3 -m venv "$place/venv"
processes_with() {
  "$place/venv/bin/pip" install --quiet --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0
  rm -f "$place/processes"
  (cd "$place" && PYTHONDONTWRITEBYTECODE=1 venv/bin/python -m pytest -q -p no:cacheprovider -n 2 --dist loadgroup test_group.py) >&2
  sort -u "$place/processes" | wc -l
}
before=$(processes_with 9.1.1)
since=$(processes_with 9.2.0)
echo "processes that ran one group: $before with pytest 9.1.1, $since with pytest 9.2.0"
test "$before" = 1
test "$since" = 2
echo "still so"
