"""Flows: whose messages leave next, by start-time fair queueing, and which of them wait.

A flow is the messages of one campaign (or of none) of one producer in one lane of one route. Which flows
have messages queued is told by the index of the queue alone; a row of `flows` holds what a flow has been
served, its weight and its pause, and is there from its first claim, or from when a person named it.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.ledger.schema import BULK_FLOWS

_LATELY = "interval '1 minute'"  # so long the flows that were served are known without a look at the queue
_REWIND = "interval '10 seconds'"  # so often a flow is looked through from its front
_SETTLED = "interval '2 seconds'"  # what was enqueued this long ago is committed, as a rule

OF_LANE = f"""
    BETWEEN CASE {{lane}} WHEN '{Lane.BULK}' THEN {BULK_FLOWS} ELSE 0 END
        AND CASE {{lane}} WHEN '{Lane.BULK}' THEN {2 * BULK_FLOWS - 1} ELSE {BULK_FLOWS - 1} END
"""
"""Of the id of a flow: it is of this lane."""

# The tags are counts of messages, divided by weights: what a flow of weight 1 has been served since the route
# began. A flow that has waited for nothing starts where the one that was served last started: it has neither
# saved up turns nor lost any.
_LAST_START = "SELECT max(l.start_tag) FROM flows l WHERE l.route = :route AND l.lane = {lane}"

# Nor may what was found by a clock that has been set back since be believed.
_IS_FRESH = f"BETWEEN now() - {_REWIND} AND now()"

# The recursion goes from one flow to the next and passes over its messages: ten million that wait, paused,
# cost what one does. What was claimed leaves entries in the index for as long as an old snapshot is held. So
# flows that were served lately are known by their rows, and only the gaps between them are searched.
TURNS = f"""
    WITH RECURSIVE lanes AS (
        SELECT lane, CASE lane WHEN '{Lane.BULK}' THEN {BULK_FLOWS} ELSE 0 END - 1 AS before,
               CASE lane WHEN '{Lane.BULK}' THEN {2 * BULK_FLOWS} ELSE {BULK_FLOWS} END AS beyond,
               ({_LAST_START.format(lane="n.lane")}) AS last_start
        FROM unnest(CAST(:lanes AS text[])) AS n (lane)
    ), waiting (lane, id, beyond) AS (
        SELECT lane, id, lead(id, 1, beyond) OVER (PARTITION BY lane ORDER BY id)
        FROM (
            SELECT lane, before AS id, beyond FROM lanes
            UNION ALL
            SELECT n.lane, f.id, n.beyond FROM lanes n JOIN flows f
                ON f.route = :route AND f.lane = n.lane AND f.claimed_at > now() - {_LATELY}
        ) known
        UNION ALL
        SELECT w.lane, n.id, w.beyond FROM waiting w CROSS JOIN LATERAL (
            SELECT m.flow_id AS id FROM messages m
            WHERE m.route = :route AND m.due_at IS NOT NULL AND m.flow_id > w.id AND m.flow_id < w.beyond
            ORDER BY m.flow_id LIMIT 1
        ) n
    ), turns AS (
        SELECT w.id, f.mark_id,
               CASE WHEN w.lane = '{Lane.BULK}' AND f.rewound_at {_IS_FRESH}
                    THEN f.mark_due_at END AS mark_due_at
        FROM waiting w JOIN lanes n ON n.lane = w.lane AND n.before <> w.id LEFT JOIN flows f ON f.id = w.id
        WHERE f.paused_at IS NULL
        ORDER BY w.lane DESC, greatest(f.finish_tag, n.last_start) NULLS FIRST, f.claimed_at NULLS FIRST, w.id
    )
"""  # noqa: S608 - our own constants
"""The CTE `turns`: the flows of :route and :lanes that may have messages queued, the one that was served
least first; urgent ones before bulk ones. Paused ones are left out. No message of a flow that is due waits
before (mark_due_at, mark_id), but what was committed late, or locked by others, and is found soon after. The
urgent lane has no marks: what one claim gives back there must not wait."""

# The mark is the first message of this package. Nothing that is older was seen; what was not to be seen yet
# will be when the flow is rewound.
SERVED = f"""
    INSERT INTO flows (route, lane, producer, campaign, start_tag, finish_tag, claimed_at, mark_due_at,
                       mark_id, rewound_at)
    SELECT :route, s.lane, s.producer, s.campaign, v.start_tag, v.start_tag + s.messages, now(),
           least(s.due_at, now() - {_SETTLED}),
           CASE WHEN s.due_at <= now() - {_SETTLED} THEN s.id ELSE 0 END, now()
    FROM (
        SELECT lane, producer, campaign, count(*) AS messages, min(due_at) AS due_at, min(id) AS id
        FROM moved GROUP BY lane, producer, campaign
        ORDER BY lane, producer, campaign
    ) s, LATERAL (SELECT coalesce(({_LAST_START.format(lane="s.lane")}), 0) AS start_tag) v
    ON CONFLICT (id) DO UPDATE SET
        start_tag = greatest(flows.finish_tag, EXCLUDED.start_tag),
        finish_tag = greatest(flows.finish_tag, EXCLUDED.start_tag)
                     + (EXCLUDED.finish_tag - EXCLUDED.start_tag) / flows.weight,
        claimed_at = EXCLUDED.claimed_at, mark_due_at = EXCLUDED.mark_due_at, mark_id = EXCLUDED.mark_id,
        rewound_at = CASE WHEN flows.rewound_at {_IS_FRESH} THEN flows.rewound_at
                          ELSE EXCLUDED.rewound_at END
"""  # noqa: S608 - our own constants
"""Writes down what flows have been served, from the CTE `moved` of messages claimed, with their `due_at`.
Wants the route locked."""


@dataclass(frozen=True, slots=True)
class FlowSelection:
    """Which flows are meant: those of one campaign (empty: of messages without one) of one producer, in both
    lanes; of all routes, or of the one named."""

    campaign: str
    producer: str = ""
    route: str = ""

    def holds(self, flow: "Flow") -> bool:
        """Whether a flow is one of these."""
        same = (flow.campaign, flow.producer) == (self.campaign, self.producer)
        return same and self.route in ("", flow.route)


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow as the ledger knows it."""

    route: str
    lane: Lane
    producer: str
    campaign: str
    queued: int
    weight: int
    paused_at: datetime | None
    reason: str | None
    claimed_at: datetime | None  # when it was last served


WEIGHTS = (1, 1000)
"""The least weight, and the most."""

# A person means what is still to come, too: so a row is made for each lane of each route there is. Whoever
# writes several rows of flows does it in one order, by route and lane, as claims do.
_SET = """
    INSERT INTO flows (route, lane, producer, campaign, {columns})
    SELECT r.name, l.lane, :producer, :campaign, {values}
    FROM routes r, unnest(CAST(:lanes AS text[])) AS l (lane)
    WHERE :route IN ('', r.name) ORDER BY r.name, l.lane
    ON CONFLICT (id) DO UPDATE SET ({columns}) = ROW({taken})
"""
_PAUSE = text(
    _SET.format(
        columns="paused_at, reason",
        values="now(), CAST(:reason AS text)",
        taken="coalesce(flows.paused_at, EXCLUDED.paused_at), EXCLUDED.reason",
    )
)
_WEIGH = text(_SET.format(columns="weight", values="CAST(:weight AS integer)", taken="EXCLUDED.weight"))


def pause_flows(connection: Connection, selection: FlowSelection, reason: str) -> None:
    """Claim nothing of these flows until they are resumed; what is in packages goes on."""
    connection.execute(_PAUSE, {**_values(selection), "reason": reason})


def resume_flows(connection: Connection, selection: FlowSelection) -> int:
    """Let paused flows take their turns again. Returns how many were paused."""
    resumed = connection.execute(
        text("""
            WITH paused AS (
                SELECT id FROM flows
                WHERE producer = :producer AND campaign = :campaign AND :route IN ('', route)
                  AND paused_at IS NOT NULL
                ORDER BY route, lane FOR UPDATE
            )
            UPDATE flows f SET paused_at = NULL, reason = NULL FROM paused p WHERE f.id = p.id
        """),
        _values(selection),
    )
    return resumed.rowcount


def weigh_flows(connection: Connection, selection: FlowSelection, weight: int) -> None:
    """Give these flows so many turns for one of a flow of weight 1. Raises ValueError unless the weight lies
    within WEIGHTS."""
    if not WEIGHTS[0] <= weight <= WEIGHTS[1]:
        raise ValueError(f"weight: {weight} is not from {WEIGHTS[0]} to {WEIGHTS[1]}")
    connection.execute(_WEIGH, {**_values(selection), "weight": weight})


def _values(selection: FlowSelection) -> dict[str, object]:
    return {
        "campaign": selection.campaign,
        "producer": selection.producer,
        "route": selection.route,
        "lanes": [lane.value for lane in Lane],
    }


def flows(connection: Connection) -> list[Flow]:
    """Every flow that has messages queued, is paused, or has a weight of its own. Counts what is queued."""
    rows = connection.execute(
        text("""
            WITH queued AS (
                SELECT flow_id AS id, count(*) AS messages, min(id) AS any_id FROM messages
                WHERE due_at IS NOT NULL GROUP BY flow_id
            )
            SELECT coalesce(f.route, m.route) AS route, coalesce(f.lane, m.lane) AS lane,
                   coalesce(f.producer, m.producer) AS producer,
                   coalesce(f.campaign, m.campaign, '') AS campaign, coalesce(q.messages, 0) AS queued,
                   coalesce(f.weight, 1) AS weight, f.paused_at, f.reason, f.claimed_at
            FROM flows f FULL JOIN queued q USING (id)
            LEFT JOIN messages m ON f.id IS NULL AND m.id = q.any_id
            WHERE q.messages > 0 OR f.paused_at IS NOT NULL OR f.weight <> 1
            ORDER BY route, lane DESC, producer, campaign
        """)
    )
    return [Flow(**{**row, "lane": Lane(row["lane"])}) for row in rows.mappings()]
