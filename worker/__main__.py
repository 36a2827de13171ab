"""`python -m worker` is the command line."""

import sys


def main() -> None:
    """See worker.cli.main. Who is interrupted while it is being loaded gets no traceback either."""
    try:
        from worker.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
