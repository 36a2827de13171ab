"""Ends what killed processes have left running: `python -m bulk_dispatch.local.servers.cleanup DIRECTORY`.

A data directory's servers, unless somebody holds them, and the throw-aways in it nobody holds.
"""

import sys
from pathlib import Path

from bulk_dispatch.local.servers.ephemeral import sweep
from bulk_dispatch.local.servers.shared import stop_leftovers


def main(directory: Path) -> None:
    """Leaves alone whatever is in use."""
    if directory.is_dir():
        stop_leftovers(directory)
        sweep(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
