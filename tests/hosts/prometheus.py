"""What Debian's Prometheus on a test host knows, asked over its HTTP API on the host's loopback."""

import json
from dataclasses import dataclass
from urllib.parse import quote

from tests.hosts.machine import Machine


@dataclass(frozen=True)
class Prometheus:
    machine: Machine
    port: int = 9090

    def value(self, expression: str) -> float:
        """The one value of a PromQL expression. Raises AssertionError if there is none or more."""
        found = self._ask(f"query?query={quote(expression)}")["result"]
        assert len(found) == 1, f"{expression} has {len(found)} values"
        return float(found[0]["value"][1])

    def rules(self) -> dict[str, str]:
        """Health of every rule by name: `ok` once evaluated, else `unknown` or the error."""
        rules = [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]
        return {rule["name"]: rule.get("lastError") or rule["health"] for rule in rules}

    def _ask(self, path: str) -> dict:
        return json.loads(self.machine.fetch(f"http://127.0.0.1:{self.port}/api/v1/{path}"))["data"]
