"""A writer that dies inside its COMMIT: after its frames are in the WAL, before the WAL's index counts them."""

import ctypes
import os
import platform
from collections.abc import Callable

FDATASYNC = {"x86_64": 75, "aarch64": 83}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
KILL_PROCESS, ALLOW = 0x80000000, 0x7FFF0000


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("k", ctypes.c_uint))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction)))


def at_next_flush() -> None:
    """From now on the kernel kills this process when it calls fdatasync(2) (seccomp(2)); no ptrace, no root."""
    filter_ = (_Instruction * 4)(
        _Instruction(LOAD, 0, 0, 0),  # the number of the system call
        _Instruction(JUMP_IF_EQUAL, 0, 1, FDATASYNC[platform.machine()]),
        _Instruction(RETURN, 0, 0, KILL_PROCESS),
        _Instruction(RETURN, 0, 0, ALLOW),
    )
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
                 (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(_Program(4, filter_)), 0, 0)):  # fmt: skip
        if libc.prctl(*call):
            raise OSError(ctypes.get_errno(), "prctl")


def in_child(work: Callable[[], None]) -> int:
    """Do `work` in a forked process; the signal that ended it, 0 if none did."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1])
