"""Tells the guard of itself, then becomes a supervised child.

Run by path, with the standard library only: `launch.py DESCRIPTOR COMMAND ...`. Because it speaks
before it becomes the child, there is no instant at which a killed supervisor leaves a child unknown.
"""

import os
import sys


def main(reaper: int, command: list[str]) -> None:
    """Becomes `command`; exit code 127 when that cannot be run."""
    try:
        os.write(reaper, f"+{os.getpid()}\n".encode())
    except BrokenPipeError:
        sys.stderr.write("the guard is gone: should the supervisor be killed, this child stays\n")
    os.set_inheritable(reaper, False)
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
