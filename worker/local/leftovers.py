"""`python -m worker.local.leftovers DIRECTORY`: ends what killed processes have left running there.

A data directory's servers, unless somebody holds them, and the throw-aways in it nobody holds.
"""

import sys
from pathlib import Path

from worker.local.servers import stop_leftovers
from worker.local.throwaway import sweep


def main(directory: Path) -> None:
    """Leaves alone whatever is in use."""
    if directory.is_dir():
        stop_leftovers(directory)
        sweep(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
