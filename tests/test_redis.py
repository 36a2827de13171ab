"""Which Redis the suite runs on: the embedded 6.2, or the one that production runs."""

import os

from bulk_dispatch.intake import Intake


def test_given_a_version_was_asked_for_then_the_suite_runs_on_it(intake: Intake) -> None:
    ours = "" if "WORKER_TEST_REDIS_URL" in os.environ else "6.2."
    wanted = os.environ.get("WORKER_TEST_REDIS_VERSION", ours)

    assert str(intake.client.info("server")["redis_version"]).startswith(wanted)
