"""Become another program, as another user if told, and die when the process that started this one dies.

Run as a script: `python -I -S leash.py SIGNAL UID GID PARENT_PID PROGRAM ARGUMENT…` (UID -1 keeps the user).
A script between fork and exec does what a `preexec_fn` would, without its danger of a deadlock; the process id stays
the same. It is started with an isolated interpreter, so it imports nothing of ours and nothing installed.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_KEEP_USER = -1


def main() -> None:
    """Drop root, ask the kernel for the death signal, make sure the parent still lives, and become the program."""
    death_signal, uid, gid, parent = (int(number) for number in sys.argv[1:5])
    program = sys.argv[5:]
    os.setsid()  # Ctrl-C in the terminal is for the parent, which ends its children in order
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if uid != _KEEP_USER:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if libc is not None:
        # After setuid, which clears it. Elsewhere than on Linux, leftovers are ended at the next start instead.
        if libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            sys.exit("leash: the kernel refused PR_SET_PDEATHSIG")
        if os.getppid() != parent:
            sys.exit("leash: the parent died before the program was started")
    os.execvp(program[0], program)  # noqa: S606 (no shell is wanted)


if __name__ == "__main__":
    main()
