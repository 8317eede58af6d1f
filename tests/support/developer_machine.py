"""A developer's machine: a home directory of its own, and the real `mosis` in it."""

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.portal import MOSIS

UNSET = ("MOSIS_", "XDG_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy")


@dataclass
class Machine:
    """Commands run in `work`, without a terminal; `environment` is added to what every command gets."""

    home: Path
    work: Path
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, directory: Path, **environment: str) -> "Machine":
        home, work = directory / "home", directory / "work"
        for path in (home, work):
            path.mkdir(parents=True)
        return cls(home, work, environment)

    @property
    def config(self) -> Path:
        return self.home / ".config/mosis"

    def environ(self, **environment: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(UNSET)}
        return kept | {"HOME": str(self.home), "COLUMNS": "200"} | self.environment | environment

    def mosis(self, *words: str | Path, typed: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        """The ended command; `typed` is its standard input."""
        return subprocess.run(
            [MOSIS, *words], cwd=self.work, env=self.environ(**environment), input=typed, capture_output=True,
            text=True, timeout=300,
        )  # fmt: skip

    def done(self, *words: str | Path, typed: str = "", **environment: str) -> str:
        """The output of a command that must succeed."""
        ran = self.mosis(*words, typed=typed, **environment)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def failed(self, status: int, *words: str | Path, typed: str = "", **environment: str) -> str:
        """Standard error of a command that must end with this status, in sentences."""
        ran = self.mosis(*words, typed=typed, **environment)
        assert ran.returncode == status, (ran.returncode, ran.stdout, ran.stderr)
        assert "Traceback" not in ran.stderr
        return ran.stderr

    def app(self, name: str, payload: bytes = b"content", **described: object) -> Path:
        """A directory with the manifest of an app, `org.example.NAME` unless `described` says otherwise, and a file."""
        directory = self.work / name
        directory.mkdir()
        manifest = {"manifest_version": 1, "id": f"org.example.{name}", "name": name.title()}
        manifest |= {"version_name": "1.0.0", "version_code": 1, **described}
        (directory / "manifest.json").write_text(json.dumps(manifest))
        (directory / "payload.bin").write_bytes(payload)
        return directory
