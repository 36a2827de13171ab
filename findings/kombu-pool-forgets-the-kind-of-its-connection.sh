#!/usr/bin/env bash
# kombu 5.7.0 (Python): the pool of a connection of your own class hands out connections of kombu's class.
#
# Seen:    Own(...).Pool(1).acquire() is a PooledConnection and no Own; Own(...).clone() is an Own.
# Guessed: `connection.Pool()` makes connections like the one it was asked of, as `clone()` does.
# Why:     ConnectionPool.new() names the class PooledConnection; only the parameters are taken over.
# Matters: Celery lets applications choose the class of its connections (AMQP.Connection), and takes the consumer's by
#          cloning and the producers' from a pool: what an overridden `ensure_connection` or `get_transport_cls`
#          does holds for the one and not for the other, with no word said. So: override `Pool` as well.
#
# Installs the pinned package into a temporary folder, and fails if any of this is no longer so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check kombu==5.7.0
"$place/venv/bin/python" - <<'PYTHON'
import kombu
from kombu.connection import Connection


class Own(Connection):
    """What somebody overrides something in."""


connection = Own("memory://")
cloned = connection.clone()
with connection.Pool(1).acquire(block=True) as pooled:
    kinds = type(pooled).__name__, isinstance(pooled, Own)
print("kombu", kombu.__version__)
print("cloned:", type(cloned).__name__, "- pooled:", *kinds)
assert isinstance(cloned, Own)
assert kinds == ("PooledConnection", False), kinds
PYTHON
echo "still so"
