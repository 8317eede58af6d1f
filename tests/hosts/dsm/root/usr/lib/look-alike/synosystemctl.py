#!/usr/bin/python3
"""Imitates DSM's synosystemctl over the real systemctl."""

import subprocess
import sys

from syno import REAL, dispatch, fail

ONE = range(1, 2)
STATUS = {"get-active-status": "ActiveState", "get-enable-status": "UnitFileState", "get-load-status": "LoadState"}


def _real(*words: str) -> str:
    done = subprocess.run([REAL / "systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        fail(f"Fail to {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _act(unit: str) -> None:
    _real(sys.argv[1], unit)


def _status(unit: str) -> None:
    print(_real("show", "--value", f"--property={STATUS[sys.argv[1]]}", unit if "." in unit else f"{unit}.service"))


if __name__ == "__main__":
    acting = dict.fromkeys(("start", "stop", "restart", "reload", "enable", "disable"), (ONE, _act))
    dispatch(acting | dict.fromkeys(STATUS, (ONE, _status)))
