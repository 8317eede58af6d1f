#!/usr/bin/python3
"""Imitates DSM's synoschedtask: runs a task of the Task Scheduler, or all event tasks of the boot."""

import subprocess
import sys

from syno import fail, refuse, state


def _shell(name: str, script: str) -> int:
    print(f"task {name} starts", flush=True)
    return subprocess.run(["/bin/bash", "-c", script], check=False).returncode


def main() -> int:
    words = sys.argv[1:]
    if words == ["--bootup"]:
        with state("events") as events:
            wanted = {name: task["operation"] for name, task in events.items() if task["enable"]}
        return max((_shell(name, script) for name, script in wanted.items()), default=0)
    if len(words) != 2 or words[0] != "--run" or not words[1].startswith("id="):
        refuse(f"takes --run id=NUMBER, got {words}")
    with state("tasks") as tasks:
        task = tasks.get(words[1].removeprefix("id=")) or fail(f"no task {words[1]}")
    return _shell(task["name"], task["extra"]["script"])


if __name__ == "__main__":
    sys.exit(main())
