"""Ties a role to its supervisor: when the supervisor dies, by whatever signal, the kernel kills the role.

Problem: a supervisor that is killed with SIGKILL cannot stop its children, and orphans keep the ports and the data.
Rule: this program asks Linux for SIGKILL on its parent's death (PR_SET_PDEATHSIG), then becomes the role by exec, so
the role keeps the process id. A killed role loses nothing (invariant I3). It is a program of its own, not a
preexec_fn, because Python code between fork and exec can deadlock in a process with threads.
Fails with exit code 127 when the role's program does not exist. Other systems have no such call: there a role
outlives a supervisor that was killed with SIGKILL (a supervisor that is asked to stop stops its roles everywhere).

Usage: tether.py SUPERVISOR_PID PROGRAM ARGUMENT...  Standard library only: it runs with `python -I -S`.
"""

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def tie_to_parent(supervisor: int) -> None:
    """Die with the parent. Exits at once when the parent was gone before the kernel knew about the wish."""
    if sys.platform != "linux":
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != supervisor:
        sys.exit(1)


def main(arguments: list[str]) -> None:
    """Become the role; returns never."""
    supervisor, *command = arguments
    tie_to_parent(int(supervisor))
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted; the supervisor built the command
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
