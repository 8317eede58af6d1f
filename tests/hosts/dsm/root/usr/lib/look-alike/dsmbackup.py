#!/usr/bin/python3
"""Imitates the command of Hyper Backup: it starts a task that was made in its window, here one that `state` knows."""

from syno import dispatch, fail, refuse, state


def backup(number: str) -> None:
    if not number.isdigit():
        refuse(f"--backup takes the number of a task, got {number!r}")
    with state("hyperbackup") as tasks:
        if number not in tasks:
            fail(f"Failed to load task [{number}]")
        tasks[number] += 1


if __name__ == "__main__":
    dispatch({"--backup": (range(1, 2), backup)})
