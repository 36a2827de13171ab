"""`python -m bulk_dispatch` is the command line."""

import sys


def main() -> None:
    """See bulk_dispatch.cli.main. Who is interrupted while it is being loaded gets no traceback either."""
    try:
        from bulk_dispatch.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
