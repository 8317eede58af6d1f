#!/usr/bin/python3
"""Imitates DSM's crond: knows only lines of seven columns that TABs separate, reads the crontab when it is started,
and writes it anew, without foreign lines, when the Task Scheduler's files change."""

import os
import subprocess
import time
from pathlib import Path

from tasks import CRONTAB, WRITTEN, rewrite_crontab, signature

COLUMNS = 7
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def _lines() -> list[list[str]]:
    rows = [line.split("\t", COLUMNS - 1) for line in CRONTAB.read_text().splitlines() if not line.startswith("#")]
    return [row for row in rows if len(row) == COLUMNS]


def _path() -> str:
    settings = dict(line.split("=", 1) for line in CRONTAB.read_text().splitlines() if line.startswith("PATH="))
    return settings.get("PATH", os.defpath)


def _matches(field: str, value: int, low: int, high: int) -> bool:
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start, end = (low, high) if span == "*" else (int(first), int(last or (high if step else first)))
        if value in range(start, end + 1, int(step or 1)):
            return True
    return False


def _due(row: list[str], now: time.struct_time) -> bool:
    weekday = (now.tm_wday + 1) % 7
    values = (now.tm_min, now.tm_hour, now.tm_mday, now.tm_mon, weekday)
    try:
        *rest, day = [_matches(*entry) for entry in zip(row[:5], values, *zip(*RANGES, strict=True), strict=True)]
    except ValueError:
        return False
    return all(rest) and (day or (weekday == 0 and _matches(row[4], 7, 0, 7)))


def main() -> None:
    rows, seen, minute, children = _lines(), signature(), time.localtime().tm_min, []
    while True:
        time.sleep(0.5)
        if (found := signature()) != seen:
            seen = found
            if WRITTEN.read_text() != found:
                rewrite_crontab()
            rows = _lines()
        now = time.localtime()
        if now.tm_min != minute:
            minute = now.tm_min
            environment = {"PATH": _path(), "SHELL": "/bin/sh", "HOME": "/root", "LANG": "C"}
            for row in rows:
                if _due(row, now):
                    words = ["sudo", "-n", "-u", row[5], "env", "-i", *(f"{k}={v}" for k, v in environment.items())]
                    children.append(subprocess.Popen([*words, "/bin/sh", "-c", row[6]], cwd=Path("/")))
        children = [child for child in children if child.poll() is None]


if __name__ == "__main__":
    main()
