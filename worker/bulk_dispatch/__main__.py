"""`python -m bulk_dispatch` is the command line."""

import sys


def main() -> None:
    """See bulk_dispatch.cli.main. An interrupt while it is being loaded shows no traceback either."""
    try:
        from bulk_dispatch.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
