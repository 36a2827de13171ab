"""What GET /sandbox/counts shows, of one provider and of all together."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bulk_dispatch.sandbox.provider import Provider
from bulk_dispatch.sandbox.pushes import PushTally
from bulk_dispatch.sandbox.traffic import Traffic


def counts_of(provider: Provider, traffic: Traffic, pushes: PushTally, now: float) -> dict[str, Any]:
    """One provider's."""
    tally = provider.account.tally(provider.name)
    return {
        "requests": dict(traffic.requests),
        "taken": tally.taken,
        "twice": tally.twice,
        "repeats_refused": tally.repeats,
        "refused": tally.refused,
        "jobs": tally.jobs,
        "by_state": dict(sorted(provider.account.by_state(provider.name, now).items())),
        "largest_package": tally.largest_package,
        "peak_parallel": traffic.peak,
        "kills": traffic.kills,
        "receipts": pushes.shown(),
    }


def together(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sums; of the largest package and of what ran in parallel, the largest."""
    whole: dict[str, Any] = {}
    for name, value in each[0].items():
        values = [one[name] for one in each]
        if isinstance(value, dict):
            whole[name] = dict(sum((Counter(one) for one in values), Counter[str]()))
            whole[name] = {**dict.fromkeys(value, 0), **whole[name]} if name == "receipts" else whole[name]
        else:
            whole[name] = max(values) if name in {"largest_package", "peak_parallel"} else sum(values)
    return whole
