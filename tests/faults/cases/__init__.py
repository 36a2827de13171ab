"""The cases of the fault matrix by name, a file for each kind of fault."""

from tests.faults.cases.case import Case
from tests.faults.cases.collisions import COLLISIONS
from tests.faults.cases.doubles import DOUBLES
from tests.faults.cases.doubt import DOUBT
from tests.faults.cases.infrastructure import INFRASTRUCTURE
from tests.faults.cases.kills import KILLS
from tests.faults.cases.provider import PROVIDER
from tests.faults.cases.receipts import RECEIPTS
from tests.faults.cases.weather import WEATHER

ROOMS = (KILLS, INFRASTRUCTURE, DOUBLES, PROVIDER, DOUBT, RECEIPTS, WEATHER, COLLISIONS)
CASES: dict[str, Case] = {case.name: case for room in ROOMS for case in room}
