#!/usr/bin/python3
"""Container Manager's docker: the real one, but for what fails on a NAS, whose kernel has no CFS quota and whose engine
makes no missing source of a bind."""

import json
import os
import subprocess
import sys
from pathlib import Path

from syno import REAL, refuse

STARTING = ("up", "create", "run")
WITH_VALUE = ("-f", "--file", "-p", "--project-name", "--project-directory", "--env-file", "--profile", "--progress")


def main() -> None:
    words = sys.argv[1:]
    if any(word.partition("=")[0] in ("--cpus", "--cpu-quota", "--cpu-period") for word in words):
        refuse("the kernel does not support CPU CFS scheduler")
    if words[:1] == ["compose"] and (options := _options(words[1:])) is not None:
        _check(options)
    os.execv(REAL / "docker", [str(REAL / "docker"), *words])


def _options(words: list[str]) -> list[str] | None:
    """What stands before a command of Compose that makes containers, None before any other."""
    rest = iter(enumerate(words))
    for number, word in rest:
        if word in WITH_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            return words[:number] if word in STARTING else None
    return None


def _check(options: list[str]) -> None:
    words = [REAL / "docker", "compose", *options, "config", "--format", "json"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    if found.returncode:
        return  # the command itself will tell
    for name, service in json.loads(found.stdout)["services"].items():
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        if service.get("cpus") or limits.get("cpus"):
            refuse(f"service {name}: the kernel does not support CPU CFS scheduler")
        for volume in service.get("volumes", []):
            if volume["type"] == "bind" and not Path(volume["source"]).exists():
                refuse(f"service {name}: bind mount failed: {volume['source']} does not exist")


if __name__ == "__main__":
    main()
