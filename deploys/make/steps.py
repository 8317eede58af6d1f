"""pyinfra's output in short: one line per step that changed something; on failure, its cause as the last line."""

import re
from collections.abc import Iterable

STEP = re.compile(r"--> Starting operation: (.*?)\s*$")
OUTCOME = re.compile(r"\s*\[\S+\] (Success|No changes)\b")
OUTPUT = re.compile(r"\s*\[\S+\] (?!Connected$|Ready: )(.*)$")
ERROR = re.compile(r"--> pyinfra error(?: in .* line \d+)?: (?:@local: )?(.*)$")
COLOUR = re.compile(r"\x1b\[[\d;]*m")
USELESS = ("Error: executed ", "No hosts remaining!")


class Steps:
    """What a run did: `total` and `changed` steps; `output` of the step that ran last; `cause` if it failed."""

    def __init__(self) -> None:
        self.total, self.changed = 0, 0
        self.output: list[str] = []
        self.cause = ""
        self._name = ""
        self._rest: list[str] = []

    def follow(self, lines: Iterable[str]) -> None:
        """Read a run's output to its end, printing as it goes."""
        for line in lines:
            self._take(COLOUR.sub("", line.rstrip("\n")))

    def report(self, failed: bool) -> None:
        """Print the summary, or what failed and last of all why."""
        if not failed:
            print(f"{self.total} steps, {self.changed} changed")
            return
        if not self.cause and not self._name:
            print("\n".join(self._rest))
        for line in self.output[: None if self.cause else -1]:
            print(f"    {line}")
        cause = self.cause or (self.output[-1] if self.output else "see above; `make deploy V=1` shows everything")
        print(f"{self._name or 'The deploy'} failed: {cause}" if not self.cause else cause, flush=True)

    def _take(self, line: str) -> None:
        if step := STEP.match(line):
            self.total += 1
            self._name, self.output = step[1], []
        elif outcome := OUTCOME.match(line):
            if outcome[1] == "Success":
                self.changed += 1
                print(f"    {self._name}", flush=True)
            self._name, self.output, self._rest = "", [], []
        elif (error := ERROR.match(line)) and error[1] not in USELESS:
            self.cause = error[1]
        elif (output := OUTPUT.match(line)) and not output[1].startswith(USELESS):
            self.output.append(output[1])
        elif line.strip() and not line.startswith("-->"):
            self._rest.append(line)
