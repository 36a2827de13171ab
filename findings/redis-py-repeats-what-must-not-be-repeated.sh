#!/usr/bin/env bash
# redis-py 8.1.0 (Python): a command whose answer was lost is sent again, eleven times in all, whatever command it is.
#
# Seen:    one `incr` reaches a server that carries it out and hangs up before it answers: the counter stands at 11,
#          and the caller is told ConnectionError, as if nothing had happened.
# Guessed: a client may repeat what it could not send. What has been sent may have been carried out, so a command
#          that is not the same twice (INCR, XADD, LPUSH, SET NX, a script) is sent once.
# Why:     since 6.0 the default `retry` of a client is ten retries with jittered back-off, around sending and reading
#          alike, and no list of commands that may be repeated.
# Matters: an enqueue by XADD or LPUSH may put the same message into a queue eleven times; a lock by SET NX is told
#          "taken" by itself. So: give such commands a client with `Retry(NoBackoff(), 0)`, or make them the same
#          twice by a script that knows a token of the caller.
#
# Installs the pinned package into a temporary folder, and fails if any of this is no longer so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0
"$place/venv/bin/python" - <<'PYTHON'
import socketserver
import threading

import redis

counter = 0


class Server(socketserver.StreamRequestHandler):
    """Speaks as much of the protocol as it takes; carries INCR out, and never answers it."""

    def handle(self):
        global counter
        while head := self.rfile.readline():
            words = []
            for _ in range(int(head[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2].upper())
            if words[0].startswith(b"INCR"):
                counter += 1
                return
            self.wfile.write(b"%1\r\n+proto\r\n:3\r\n" if words[0] == b"HELLO" else b"+OK\r\n")


class Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True


with Threads(("127.0.0.1", 0), Server) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = redis.Redis(port=server.server_address[1])
    try:
        client.incr("sent")
        told = "an answer"
    except redis.ConnectionError:
        told = "ConnectionError"
    server.shutdown()
print("redis-py", redis.__version__)
print("one incr; the counter:", counter, "- the caller is told:", told)
assert (counter, told) == (11, "ConnectionError"), (counter, told)
PYTHON
echo "still so"
