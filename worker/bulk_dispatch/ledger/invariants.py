"""What the ledger claims of its rows at every committed instant. `bulk_dispatch.ledger.audit` verifies it.

What is only a matter of time is no invariant: a lease that ran out, a clock that is due, a route that nobody
serves. So an audit of a ledger at work gives no false alarm, and a breach always means that something wrote
past the transitions, that one of them is wrong, or that the disk lies.

Much of it is a CHECK or a UNIQUE too, and asked all the same: an index can be corrupt, a constraint dropped.
"""

from dataclasses import dataclass

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.doubt_policy import POLICIES
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.domain.status import CORRECTABLE, FINAL, TAKEN, EventType, Status, transitions_of
from bulk_dispatch.ledger.journal import OF_MESSAGE
from bulk_dispatch.ledger.schema import BLOCK, sql_flow_id, sql_list


@dataclass(frozen=True, slots=True)
class Invariant:
    """One claim. `broken` and `wrong` are SQL over the columns of its view; unknown (NULL) is not broken."""

    name: str
    claim: str
    broken: str
    wrong: str


@dataclass(frozen=True, slots=True)
class View:
    """Rows with `id`, `kind`, `name` and what its invariants need: one pass over a table serves them all."""

    name: str
    rows: str
    invariants: tuple[Invariant, ...]


# -- messages and their histories ------------------------------------------------------------------------

_NAME = "m.client_id || CASE m.producer WHEN '' THEN '' ELSE ' of ' || m.producer END"
"""What a message m is called: by its client id, and its producer if that has a name."""

# One text a transition: a list of texts is looked up by hash, a list of triples is read from front to back.
_TRANSITIONS = sql_list(
    f"{event_type} {from_status or ''} {to_status}"
    for event_type in EventType
    for from_status, to_status in transitions_of(event_type)
)

_MAY_HOLD = {
    Status.SENDING: (PackageState.OPEN, PackageState.JOB, PackageState.IN_DOUBT),
    Status.IN_DOUBT: (PackageState.OPEN, PackageState.IN_DOUBT),
    Status.SENT: (PackageState.OPEN, PackageState.JOB, PackageState.IN_DOUBT, PackageState.SETTLED),
}
"""The states of packages that somebody still comes by for, by what the message waits for."""

_MISPLACED = " OR ".join(
    f"(status = '{status}' AND package_state NOT IN ({sql_list(states)}))"
    for status, states in _MAY_HOLD.items()
)

# An event's number, not its instant, is its place in a history: `at` is when its transaction began, and that
# may have waited for a lock while another wrote. Halving moves a message to a later package without an event.
_HISTORIES = View(
    "messages and their histories",
    f"""
        SELECT coalesce(m.id, t.message_id) AS id,
               CASE WHEN m.id IS NULL THEN 'event' ELSE 'message' END AS kind,
               CASE WHEN m.id IS NULL THEN CAST(t.first_id AS text) ELSE {_NAME} END AS name,
               m.id AS there, m.status, m.lane, m.kind AS what, m.route, m.due_at, m.finalized_at,
               m.package_id, m.attempts, m.in_doubt AS policy, p.state AS package_state,
               p.route AS package_route, m.earlier_packages, m.collided, m.flow_id,
               {sql_flow_id("m.")} AS flow_by_names, t.message_id AS told, t.jump,
               t.unlawful, t.off_package, t.sents, t.reports, t.packages, t.to_status AS told_status,
               t.package_id AS told_package, t.type AS told_type
        FROM messages m
        FULL JOIN (
            SELECT message_id, min(id) AS first_id,
                   min(id) FILTER (WHERE from_status IS DISTINCT FROM stood) AS jump,
                   min(id) FILTER (
                       WHERE type || ' ' || coalesce(from_status,
                           '') || ' ' || to_status NOT IN ({_TRANSITIONS})
                   ) AS unlawful,
                   min(id) FILTER (WHERE CASE
                       WHEN to_status = '{Status.SENDING}' THEN package_id IS NULL OR package_id <= held
                       WHEN type IN ('{EventType.SETTLE}', '{EventType.REPORT}', '{EventType.READ}',
                           '{EventType.COLLIDE}')
                       THEN package_id IS NULL OR package_id < held
                            OR (from_status <> '{Status.SENDING}' AND package_id <> held)
                       ELSE package_id IS NOT NULL END
                   ) AS off_package,
                   count(*) FILTER (WHERE to_status = '{Status.SENT}') - count(*) FILTER (
                       WHERE type = '{EventType.COLLIDE}' AND from_status = '{Status.SENT}'
                   ) AS sents,
                   count(*) FILTER (WHERE type IN ('{EventType.SETTLE}', '{EventType.REPORT}')) AS reports,
                   array_agg(package_id) FILTER (WHERE package_id IS DISTINCT FROM held) AS packages,
                   max(type) FILTER (WHERE last) AS type,
                   max(to_status) FILTER (WHERE last) AS to_status,
                   max(package_id) FILTER (WHERE last) AS package_id
            FROM (
                SELECT message_id, id, type, from_status, to_status, package_id, lag(to_status)
                    OVER history AS stood,
                       lag(package_id) OVER history AS held, lead(id) OVER history IS NULL AS last
                FROM events WINDOW history AS (PARTITION BY message_id ORDER BY id)
            ) steps
            GROUP BY message_id
        ) t ON t.message_id = m.id
        LEFT JOIN packages p ON p.id = m.package_id
    """,  # noqa: S608 - our own constants
    (
        Invariant(
            "events_have_messages",
            "every event is of a message that is there",
            "there IS NULL",
            "'its message, number ' || id || ', is not there'",
        ),
        Invariant(
            "messages_have_events",
            "every message has its history",
            "told IS NULL",
            "'no event tells of it'",
        ),
        Invariant(
            "status_is_told",
            "a message stands where its last event left it",
            "status <> told_status",
            "'stands at ' || status || ', its last event says ' || told_status",
        ),
        Invariant(
            "histories_hang_together",
            "the first event enters the message, and each one leaves where the one before arrived",
            "jump IS NOT NULL",
            "'event ' || jump || ' does not leave where the one before it arrived'",
        ),
        Invariant(
            "transitions_are_allowed",
            "every event is a transition that its type may make, so nothing leaves a final status",
            "unlawful IS NOT NULL",
            "'event ' || unlawful || ' is a transition that its type may not make'",
        ),
        Invariant(
            "sent_once",
            "no message was taken by the provider twice, but where what it took was another's",
            "sents > 1",
            "'sent ' || sents || ' times'",
        ),
        Invariant(
            "events_keep_the_fence",
            "claims, settlements and reports name the package they were made for, and it never goes back",
            "off_package IS NOT NULL",
            "'event ' || off_package || ' names no package, or not the one the message was in'",
        ),
        Invariant(
            "fence_is_told",
            "a message is in the package its events tell of, or in a half of it while sending",
            f"""
                there IS NOT NULL AND told IS NOT NULL AND
                CASE status WHEN '{Status.QUEUED}' THEN package_id IS NOT NULL
                            WHEN '{Status.SENDING}' THEN package_id IS NULL OR package_id < told_package
                            ELSE package_id IS DISTINCT FROM told_package END
            """,
            """
                'its package is ' || coalesce(CAST(package_id AS text), 'none') || ', its last event says '
                || coalesce(CAST(told_package AS text), 'none')
            """,
        ),
        Invariant(
            "packages_are_remembered",
            "a message knows all packages that its events tell of",
            """
                there IS NOT NULL
                AND NOT array_remove(packages, NULL) <@ array_remove(earlier_packages || package_id, NULL)
            """,
            """
                'its events tell of a package that is none of '
                || array_to_string(earlier_packages || package_id, ', ', 'none')
            """,
        ),
        Invariant(
            "collisions_are_told",
            "a message has collided exactly while its last event is a collision",
            f"(told_type = '{EventType.COLLIDE}') <> (collided IS TRUE)",
            """
                CASE WHEN collided IS TRUE THEN 'collided, but its last event does not say so'
                     ELSE 'its last event is a collision, and yet it has not collided' END
            """,
        ),
        Invariant(
            "packages_hold_their_messages",
            "what is sending, in doubt or sent is in a package that somebody still comes by for",
            _MISPLACED,
            "status || ' in package ' || package_id || ', which is ' || package_state",
        ),
        Invariant(
            "packages_keep_to_a_route",
            "a package and its messages are of one route",
            "route <> package_route",
            "'of route ' || route || ' in package ' || package_id || ' of route ' || package_route",
        ),
        Invariant(
            "flows_go_by_names",
            "a message is of the flow that its route, lane, producer and campaign make",
            "flow_id <> flow_by_names",
            "'of flow ' || flow_id || ', by its names it is ' || flow_by_names",
        ),
        Invariant(
            "due_while_queued",
            "a message has a turn exactly while it is queued",
            f"(status = '{Status.QUEUED}') <> (due_at IS NOT NULL)",
            "CASE WHEN due_at IS NULL THEN 'queued with no turn' ELSE status || ', and yet in the queue' END",
        ),
        Invariant(
            "finals_are_dated",
            "a message has an end exactly while it is final",
            f"(status IN ({sql_list(FINAL)})) <> (finalized_at IS NOT NULL)",
            "status || CASE WHEN finalized_at IS NULL THEN ' with no end' ELSE ', and yet with an end' END",
        ),
        Invariant(
            "attempts_are_told",
            "a message has used up no more tries than it was given reports",
            "attempts < 0 OR attempts > reports",
            "attempts || ' tries used up, ' || coalesce(reports, 0) || ' reports'",
        ),
        Invariant(
            "messages_speak_our_words",
            "status, lane, kind and policy of a message are words of ours",
            f"""
                status NOT IN ({sql_list(Status)}) OR lane NOT IN ({sql_list(Lane)})
                OR what NOT IN ({sql_list(Kind)}) OR policy NOT IN ({sql_list(POLICIES)})
            """,
            "'its status, lane, kind or policy is none that we know'",
        ),
    ),
)


# -- packages --------------------------------------------------------------------------------------------

_ENDED = (PackageState.REFUSED, PackageState.UNSENT, PackageState.CLOSED)

_REACH = "410 days"  # further ahead than the longest setting, and its jitter, can put a clock

_PACKAGES = View(
    "packages",
    f"""
        SELECT id, 'package' AS kind, CAST(id AS text) AS name, p.id AS there, p.state, p.lane, p.route,
               p.job, p.message_count, p.poll_count, p.inquiry_count, p.poll_at, p.rescue_at,
                   p.in_doubt_since, r.name AS registered,
               coalesce(m.held, 0) AS held, coalesce(m.sending, 0) AS sending,
               coalesce(m.doubtful, 0) AS doubtful, coalesce(m.sent, 0) AS sent,
               coalesce(e.events, 0) AS events, coalesce(e.claims, 0) AS claims
        FROM packages p
        FULL JOIN (
            SELECT package_id AS id, count(*) AS held,
                   count(*) FILTER (WHERE status = '{Status.SENDING}') AS sending,
                   count(*) FILTER (WHERE status = '{Status.IN_DOUBT}') AS doubtful,
                   count(*) FILTER (WHERE status = '{Status.SENT}') AS sent
            FROM messages WHERE package_id IS NOT NULL GROUP BY package_id
        ) m USING (id)
        FULL JOIN (
            SELECT package_id AS id, sum(message_count) AS events,
                   sum(message_count) FILTER (WHERE type = '{EventType.CLAIM}') AS claims
            FROM journal WHERE package_id IS NOT NULL GROUP BY package_id
        ) e USING (id)
        LEFT JOIN routes r ON r.name = p.route
    """,  # noqa: S608 - our own constants
    (
        Invariant(
            "packages_are_there",
            "every package that a message or an event names is there",
            "there IS NULL",
            "'not there, but named by ' || held || ' messages and ' || events || ' events'",
        ),
        Invariant(
            "packages_have_reasons",
            "a package that is open or followed up has a message that it is so for",
            f"""
                CASE state WHEN '{PackageState.OPEN}' THEN sending = 0
                           WHEN '{PackageState.JOB}' THEN sending = 0
                           WHEN '{PackageState.IN_DOUBT}' THEN sending + doubtful = 0
                           WHEN '{PackageState.SETTLED}' THEN sent = 0 END
            """,
            "state || ', and no message of it is'",
        ),
        Invariant(
            "packages_count_their_messages",
            "a package was claimed whole, or is a half, and holds no more than it left with",
            "message_count < 1 OR held > message_count OR claims NOT IN (0, message_count) "
            "OR poll_count < 0 OR inquiry_count < 0",
            """
                message_count || ' messages claimed, ' || held || ' messages, ' || claims || ' claims, '
                || poll_count || ' polls, '
                || inquiry_count || ' inquiries'
            """,
        ),
        Invariant(
            "polls_are_set",
            "a package has a next look exactly while messages of it are sent, or wait for the end of a job",
            f"""
                (sent > 0 OR (sending > 0 AND state <> '{PackageState.OPEN}')) <> (poll_at IS NOT NULL)
                AND there IS NOT NULL
            """,
            """
                state || CASE WHEN poll_at IS NULL THEN ' with nobody to look at what was sent'
                              ELSE ' with nothing to look at, and yet looked at' END
            """,
        ),
        Invariant(
            "rescues_are_set",
            "a package has a lease while it is open, a next question while it is in doubt, and else neither",
            f"""
                (doubtful > 0 OR state = '{PackageState.OPEN}') <> (rescue_at IS NOT NULL)
                AND there IS NOT NULL
            """,
            """
                state || CASE WHEN rescue_at IS NULL THEN ' with no lease and no question'
                              ELSE ' with nothing to rescue, and yet asked about' END
            """,
        ),
        Invariant(
            "doubts_are_dated",
            "a package has a beginning of doubt exactly while a message of it is in doubt",
            "(doubtful > 0) <> (in_doubt_since IS NOT NULL) AND there IS NOT NULL",
            """
                doubtful || ' messages in doubt, the beginning of it '
                || CASE WHEN in_doubt_since IS NULL THEN 'unknown' ELSE 'known' END
            """,
        ),
        Invariant(
            "clocks_are_in_reach",
            "no lease and no look is further ahead than any setting can put it",
            f"rescue_at > now() + interval '{_REACH}' OR poll_at > now() + interval '{_REACH}'",
            "state || ', and nobody comes by within a year'",
        ),
        Invariant(
            "jobs_are_named",
            "a package that is a job has the provider's name for it",
            f"state = '{PackageState.JOB}' AND coalesce(job, '') = ''",
            "'a job without its name'",
        ),
        Invariant(
            "routes_are_there",
            "the route of every package is registered",
            "there IS NOT NULL AND registered IS NULL",
            "'of route ' || route || ', which is not registered'",
        ),
        Invariant(
            "packages_speak_our_words",
            "state and lane of a package are words of ours",
            f"state NOT IN ({sql_list(PackageState)}) OR lane NOT IN ({sql_list(Lane)})",
            "'its state or its lane is none that we know'",
        ),
    ),
)


# -- what must be there once, and the rest ---------------------------------------------------------------


def _only_once(invariant: str, claim: str, what: str, among: str, per: str) -> View:
    """Values that stand at more than one of the messages `among`. Names are looked up for those only."""
    return View(
        what,
        f"""
            SELECT d.id, 'message' AS kind, {_NAME} AS name, d.times, another.client_id AS another
            FROM (
                SELECT min(id) AS id, max(id) AS other_id, count(*) AS times
                FROM messages WHERE {among} GROUP BY {per} HAVING count(*) > 1
            ) d JOIN messages m ON m.id = d.id JOIN messages another ON another.id = d.other_id
        """,  # noqa: S608 - our own constants
        (
            Invariant(
                invariant,
                claim,
                "times > 1",
                f"'the {what} of ' || times || ' messages; another is ' || another",
            ),
        ),
    )


_CLIENT_IDS = _only_once(
    "client_ids_are_unique",
    "no two messages of a producer have the same client id, but those that were corrected",
    "client id",
    "corrected_by IS NULL",
    # Not in the order of the unique index: that may be what is broken.
    'client_id COLLATE "C", producer COLLATE "C"',
)
_REFERENCES = _only_once(
    "references_are_unique",
    "no two messages have the same id of ours at the providers",
    "reference",
    "reference IS NOT NULL",
    "reference",
)
_PROVIDER_IDS = _only_once(
    "provider_ids_are_unique",
    "no two messages of a route have the same id of the provider; or it gave one twice",
    "provider id",
    "provider_message_id IS NOT NULL",
    'route, provider_message_id COLLATE "C"',
)

_CORRECTIONS = View(
    "corrections",
    f"""
        SELECT m.id, 'message' AS kind, {_NAME} AS name, m.status, c.id AS there,
               (c.client_id, c.producer) IS DISTINCT FROM (m.client_id, m.producer) AS of_another,
               EXISTS (SELECT FROM journal e
                       WHERE e.to_status IN ({sql_list(TAKEN)}) AND {OF_MESSAGE}) AS taken,
               count(*) OVER (PARTITION BY m.corrected_by) AS times
        FROM messages m LEFT JOIN messages c ON c.id = m.corrected_by WHERE m.corrected_by IS NOT NULL
    """,  # noqa: S608 - our own constants
    (
        Invariant(
            "corrected_came_to_nothing",
            "a message that was corrected came to its end, and no provider had it or may have it",
            f"status NOT IN ({sql_list(CORRECTABLE)}) OR taken",
            """
                'corrected, but it is ' || status
                || CASE WHEN taken THEN ', and a provider had it or may have it' ELSE '' END
            """,
        ),
        Invariant(
            "corrections_are_there",
            "what went out in the stead of a message is there, came later, once, and has its client id",
            "there IS NULL OR there <= id OR of_another OR times > 1",
            """
                CASE WHEN there IS NULL THEN 'what is to have gone out in its stead is not there'
                     ELSE 'message ' || there || ' cannot have gone out in its stead' END
            """,
        ),
    ),
)

# A ledger restored, or copied, without its sequences gives numbers again. `last_value` is the last one given,
# or the next one where none was given since the sequence was set.
_NUMBERS = View(
    "sequences",
    f"""
        SELECT m.id, 'message' AS kind, {_NAME} AS name, m.reference AS highest,
               CASE WHEN s.is_called THEN s.last_value + 1 ELSE s.last_value END AS coming
        FROM (SELECT id, client_id, producer, reference FROM messages ORDER BY reference DESC LIMIT 1) m,
             message_reference s
        UNION ALL
        SELECT e.id, 'event', CAST(e.id AS text), e.id,
               CASE WHEN s.is_called THEN s.last_value + 1 ELSE s.last_value END
        FROM (SELECT max(id) AS id FROM journal) e, journal_id_seq s
    """,  # noqa: S608 - our own constants
    (
        Invariant(
            "numbers_are_not_given_again",
            "references and event numbers already given lie behind their sequences",
            "highest >= coming",
            "'number ' || highest || ' is still to be given: the next one is ' || coming",
        ),
    ),
)

_JOURNAL = View(
    "the journal",
    """
        SELECT id, 'event' AS kind, CAST(id AS text) AS name, package_id, message_ids, message_count
        FROM journal
    """,
    (
        Invariant(
            "journal_is_in_order",
            "a row of the journal names each message once, in their order",
            "message_ids <> ARRAY(SELECT DISTINCT unnest(message_ids) ORDER BY 1)",
            "'its ids are not in their order, or one is there twice'",
        ),
        Invariant(
            "journal_keeps_to_blocks",
            "what names no package is of messages whose ids lie close together",
            f"package_id IS NULL AND message_ids[1] / {BLOCK} <> message_ids[message_count] / {BLOCK}",
            "'of no package, and its messages lie far apart'",
        ),
    ),
)

_TOTALS = View(
    "the totals of the journal",
    """
        SELECT row_number() OVER () AS id, 'total' AS kind,
               from_status || ' to ' || to_status AS name,
               coalesce(t.messages, 0) AS told, coalesce(j.messages, 0) AS messages
        FROM (
            SELECT coalesce(from_status, 'nothing') AS from_status, to_status, sum(message_count) AS messages
            FROM journal_totals GROUP BY 1, 2
        ) t FULL JOIN (
            SELECT coalesce(from_status, 'nothing') AS from_status, to_status, sum(message_count) AS messages
            FROM journal WHERE id <= (SELECT up_to FROM journal_closing) GROUP BY 1, 2
        ) j USING (from_status, to_status)
    """,
    (
        Invariant(
            "totals_are_of_the_journal",
            "the totals of the journal are the sums of its rows, as far as it is closed",
            "told <> messages",
            "told || ' messages by the totals, ' || messages || ' by the journal'",
        ),
    ),
)

_CONFLICTS = View(
    "conflicts",
    f"""
        SELECT m.id, 'message' AS kind, {_NAME} AS name
        FROM conflicts m
        WHERE NOT EXISTS (SELECT FROM messages o WHERE o.client_id = m.client_id
                          AND o.producer = m.producer AND o.corrected_by IS NULL)
    """,  # noqa: S608 - our own constants
    (
        Invariant(
            "conflicts_have_messages",
            "whatever a conflict was recorded with is there",
            "true",
            "'not there, but a conflict with it is recorded'",
        ),
    ),
)

_ROUTES = View(
    "routes",
    """
        SELECT row_number() OVER (ORDER BY name) AS id, 'route' AS kind, name, state, paused_until,
            consecutive_failures
        FROM routes
    """,
    (
        Invariant(
            "route_states_are_known",
            "a route is active, stopped, or paused until an instant",
            """
                state NOT IN ('active', 'paused', 'stopped')
                    OR (state = 'paused') <> (paused_until IS NOT NULL)
                OR consecutive_failures < 0
            """,
            "'neither open nor stopped nor paused until an instant'",
        ),
    ),
)

VIEWS = (
    _HISTORIES,
    _PACKAGES,
    _CLIENT_IDS,
    _REFERENCES,
    _PROVIDER_IDS,
    _CORRECTIONS,
    _NUMBERS,
    _JOURNAL,
    _TOTALS,
    _CONFLICTS,
    _ROUTES,
)

INVARIANTS = tuple(invariant for view in VIEWS for invariant in view.invariants)
"""Everything the ledger claims, in the order of telling."""
