"""A device that reads while the store works and dies: what it gets is whole, or nothing."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from threading import Event

from crash.checks import Fault, fetch
from crash.http import Client, Unanswered

PAUSE_SECONDS = 0.01  # between two apps, so that the writers have the processor


@dataclass
class Device:
    """Reads apps at random, without a token."""

    app_ids: Sequence[str]
    client: Client
    rng: Random
    faults: list[Fault] = field(default_factory=list)

    def run(self, killed: Event) -> None:
        """Read until the kill, or until a request has no answer."""
        with suppress(Unanswered):
            while not killed.wait(PAUSE_SECONDS):
                self._read(self.rng.choice(self.app_ids))

    def _read(self, app_id: str) -> None:
        shown = self.client.ask("GET", f"/api/store/apps/{app_id}")
        if shown.status == 200:
            app = json.loads(shown.body)
            for path in (app["download_url"], *(asset["url"] for asset in app["assets"])):
                _, fault = fetch(self.client.ask, path)
                self.faults += [fault] if fault else []
