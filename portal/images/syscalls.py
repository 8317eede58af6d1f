"""A filter of system calls (seccomp(2)): a process that has it computes, reads and writes what is open, and ends.

Any other call fails with EPERM rather than ending the process, since which harmless ones a library tries changes.
"""

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Sequence

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2  # linux/prctl.h, linux/seccomp.h
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
NUMBER_AT, MACHINE_AT = 0, 4  # in struct seccomp_data

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # as uname has it; AUDIT_ARCH_* of linux/audit.h
CALLS = {  # asm/unistd.h of each machine
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "futex": (202, 98),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "clock_gettime": (228, 113),
    "getrandom": (318, 278),
    "exit": (60, 93),
    "exit_group": (231, 94),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restrict() -> bool:
    """Filter this process for good; False on a machine or a kernel that has no filter."""
    machine = os.uname().machine
    if machine not in MACHINES or sys.maxsize < 2**32:  # a 32-bit Python on a 64-bit kernel has other numbers
        return False
    code = program(MACHINES[machine], [numbers[list(MACHINES).index(machine)] for numbers in CALLS.values()])
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    compiled = _Program(len(code) // 8, code)
    steps = ((PR_SET_NO_NEW_PRIVS, 1, 0), (PR_SET_SECCOMP, MODE_FILTER, ctypes.addressof(compiled)))
    return all(prctl(*step, 0, 0) == 0 for step in steps)


def program(machine: int, numbers: Sequence[int]) -> bytes:
    """BPF instructions: on this machine these calls are allowed, every other one is EPERM."""
    count = len(numbers)
    return b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (LOAD, 0, 0, MACHINE_AT),
            (JUMP_EQUAL, 0, count + 1, machine),
            (LOAD, 0, 0, NUMBER_AT),
            *((JUMP_EQUAL, count - at, 0, number) for at, number in enumerate(numbers)),
            (RETURN, 0, 0, ERRNO | errno.EPERM),
            (RETURN, 0, 0, ALLOW),
        )
    )
