"""A series of kills: clients at work, a kill at a random moment, a start, a look at everything that was promised."""

import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random
from statistics import median
from threading import Event, Semaphore, Thread

from crash import checks, content
from crash.checks import Fault
from crash.clients import Gallery, Publisher
from crash.device import Device
from crash.facts import App
from crash.http import Client
from crash.stack import DEVELOPER, Stack

CLIENTS = 5
RENEWED = 40  # runs after which the clients take new apps, so that lists stay short
CLEANED = 5  # every so many runs a cleanup is under way
REPORTED = 20  # every so many runs a line is printed
COMPARED = 200  # every so many runs every package of every app is compared
VICTIMS = {"worker": 5, "master": 3, "everything": 2}
RESTARTED = "master", "everything"
AGAIN = 0.15  # so many starts are killed as well
START_DELAY = 0.1, 2.0
DELAY = 0.02, 0.35  # seconds of work before the kill
ON_ANSWER = 0.5  # so many kills come right after an answer, which must then be true
ANSWERS_MAX = 30
ANSWER_SECONDS = 2.0  # without any answer
CLEANUP_DELAY = 0.4, 1.6  # a command takes longer to start
DUE = 4  # drafts an app that become due
SHOWN = 5  # faults of a kind that are printed
LOG_SHOWN = 4000  # characters of a log beside a fault
KINDS = (
    "lost", "half done", "neither old nor new", "partial visible", "left behind", "audit log", "database", "replica",
    "wrong answer", "not ready",
)  # fmt: skip


class Series:
    """The state of a series; `faults` counts by kind."""

    def __init__(self, directory: Path, seed: int, *, broken: bool = False) -> None:
        self.seed, self.faults, self.kills = seed, Counter[str](), Counter[str]()
        self._started, self._run, self._victim = time.monotonic(), 0, "nothing"
        self._scratch = directory / "scratch"
        self._scratch.mkdir()
        self._broken = broken
        self._stack = Stack(directory / "store", broken=broken)
        self._developer = Client(self._stack.port, self._stack.developer_token)
        rng = Random(seed)
        self._gallery = Gallery(content.icons(rng), content.screenshots(rng))
        self._apps: list[App] = []
        self._retired: list[App] = []
        self._known_leftovers: set[str] = set()
        self._proofs, self._downloads = 0, 0
        self._ready: dict[str, list[float]] = {}  # seconds from a kill until the store was ready again

    def run(self, runs: int) -> None:
        """A control ends at the first loss. Raises StackError when the store does not come up again."""
        self._stack.start()
        for self._run in range(1, runs + 1):
            if self._run % RENEWED == 1:
                self._renew()
            self._once(Random(f"{self.seed}/{self._run}"))
            if self._broken and self.faults["lost"]:
                return
            self._check_whole(everything=self._run % COMPARED == 0 or self._run == runs)
            if self._run % REPORTED == 0 or self._run == runs:
                print(f"{self._run} of {runs} runs, {self.faults.total()} faults", flush=True)
        self._finish()

    def _finish(self) -> None:
        """After a last start and a cleanup some hours later not even a file that was being written is left."""
        self._stack.kill("everything", Random(0))
        self._start()
        self._check_leftovers()
        for path in checks.partial(self._stack.layout):
            os.utime(path, (0, 0))
        self._stack.mosis("cleanup", "--force")
        self.note(("left behind", str(path)) for path in checks.partial(self._stack.layout))
        self._stack.mosis("audit", "verify")

    def close(self) -> None:
        self._stack.stop()
        self._developer.close()

    def note(self, faults: Iterable[Fault]) -> None:
        """Count and print."""
        for kind, detail in faults:
            self.faults[kind] += 1
            if self.faults[kind] <= SHOWN:
                print(f"run {self._run} (seed {self.seed}, killed {self._victim}): {kind}: {detail}", flush=True)

    def table(self) -> str:
        acknowledged: Counter[str] = sum((app.acknowledged for app in self._apps + self._retired), Counter())
        minutes = (time.monotonic() - self._started) / 60
        rows = [
            ("kills", ", ".join(f"{number} {what}" for what, number in sorted(self.kills.items()))),
            ("acknowledged", ", ".join(f"{number} {what}" for what, number in sorted(acknowledged.items()))),
            ("ready again, s", "; ".join(f"{what} {_seconds(took)}" for what, took in sorted(self._ready.items()))),
            ("compared", f"{self._downloads} downloads, {self._proofs} restores of the replica"),
            *((kind, str(self.faults[kind])) for kind in KINDS),
        ]
        return "\n".join([f"{self._run} runs, seed {self.seed}, {minutes:.1f} min", *(f"{n:20} {v}" for n, v in rows)])

    def _start(self) -> None:
        self._stack.start()
        self._developer.close()  # nginx may be another one

    def _renew(self) -> None:
        """New apps for the clients; of the old ones every upload is completed."""
        for app in self._apps:
            for upload in list(app.uploads.values()):
                self.note(checks.finish(self._developer, app, upload))
            self._check_app(app)
        self._retired += self._apps
        self._apps = [App(f"org.crash.run{self._run}.app{number}") for number in range(CLIENTS)]
        self._stack.add_apps([app.app_id for app in self._apps])

    def _once(self, rng: Random) -> None:
        victims = dict(VICTIMS)
        cleanup = None
        if self._run % CLEANED == 0:
            victims["cleanup"] = 2
            self._age(rng)
            cleanup = self._stack.cleanup()
        self._victim = rng.choices(list(victims), list(victims.values()))[0]
        self._work(rng, CLEANUP_DELAY if cleanup else DELAY)
        self.kills[self._victim] += 1
        while self._victim in RESTARTED and rng.random() < AGAIN:
            self._stack.launch()
            time.sleep(rng.uniform(*START_DELAY))
            self._stack.kill("everything", rng)
            self.kills["start"] += 1
        began = time.monotonic()
        self._start()
        self._ready.setdefault(self._victim, []).append(time.monotonic() - began)
        cleaned = cleanup is not None and cleanup.wait() == 0
        if cleanup is not None and cleanup.returncode > 0:
            self.note([("wrong answer", f"mosis cleanup ended with {cleanup.returncode}")])
        for app in self._apps:
            self._check_app(app, cleaned=cleaned)
        if self._victim in RESTARTED:
            self._check_leftovers()

    def _age(self, rng: Random) -> None:
        for app in self._apps:
            drafts = app.codes("draft")
            codes = rng.sample(drafts, min(DUE, len(drafts)))
            self._stack.age(app.app_id, codes)
            app.due |= {f"version {code}" for code in codes}

    def _work(self, rng: Random, delay: tuple[float, float]) -> None:
        """Let the clients work and kill; returns when each has got its last answer, or none."""
        killed, answered = Event(), Semaphore(0)
        publishers = [self._publisher(app, answered, rng) for app in self._apps]
        device = Device([app.app_id for app in self._apps], Client(self._stack.port, ""), Random(f"{rng.random()}"))
        runs = [device.run, *(publisher.run for publisher in publishers)]
        threads = [Thread(target=run, args=(killed,)) for run in runs]
        for thread in threads:
            thread.start()
        _wait(rng, answered, delay)
        self._victim = self._stack.kill(self._victim, rng)
        killed.set()
        for thread in threads:
            thread.join()
        for client in (device.client, *(p.developer for p in publishers), *(p.reviewer for p in publishers)):
            client.close()
        self.note(device.faults)
        self.note(("wrong answer", wrong) for publisher in publishers for wrong in publisher.wrong)

    def _publisher(self, app: App, answered: Semaphore, rng: Random) -> Publisher:
        developer = Client(self._stack.port, self._stack.developer_token)
        reviewer = Client(self._stack.port, self._stack.reviewer_token)
        return Publisher(app, developer, reviewer, Random(f"{rng.random()}"), self._scratch, self._gallery, answered)

    def _check_app(self, app: App, *, cleaned: bool = False) -> None:
        seen, faults = checks.observe(self._developer, app)
        self.note(faults)
        self.note(app.settle(seen, cleaned=cleaned))
        self.note(checks.resume(self._developer, app))
        names = {name for name in app.changed if name.startswith("version ")}
        self._compare(app, names | set(Random(self._run).sample(sorted(app.facts), min(1, len(app.facts)))))
        app.changed.clear()

    def _compare(self, app: App, names: set[str]) -> None:
        self._downloads += len(names)
        self.note(checks.packages(self._developer, DEVELOPER, app, sorted(names)))

    def _check_leftovers(self) -> None:
        found = checks.leftovers(self._stack.layout, self._known_leftovers)
        self._known_leftovers |= found
        self.note(("left behind", path) for path in sorted(found))

    def _check_whole(self, *, everything: bool) -> None:
        self.note(checks.database(self._stack.layout))
        faults = list(checks.replica(self._stack.layout, self._scratch, self._stack.launch))
        self._proofs += 1
        self._developer.close()  # nginx closes it meanwhile
        self.note(faults)
        if faults:  # so that the next ones say something new
            print(self._stack.log("replication")[-LOG_SHOWN:], flush=True)
            self._stack.kill("everything", Random(0))
            self._start()
        if everything:
            for app in self._apps + self._retired:
                self._check_app(app)
                self._compare(app, {name for name in app.facts if name.startswith("version ")})


def _seconds(took: list[float]) -> str:
    return f"{median(took):.1f}, at most {max(took):.1f}"


def _wait(rng: Random, answered: Semaphore, delay: tuple[float, float]) -> None:
    """Until the moment of the kill: some time, or right after one of the next answers."""
    seconds, answers = rng.uniform(*delay), rng.randrange(1, ANSWERS_MAX)
    if rng.random() < ON_ANSWER:
        while answers and answered.acquire(timeout=ANSWER_SECONDS):
            answers -= 1
    else:
        time.sleep(seconds)
