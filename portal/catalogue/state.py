"""What the job remembers from run to run. Without it, or if it is not of this catalogue, everything is compared."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from portal.store import files
from portal.store.audit import Head


@dataclass(frozen=True)
class State:
    """`seq` and `hash`: the last row of the audit log that the catalogue includes; `snapshot` and `root`: versions of
    the catalogue that was written; `checked_at`: when everything was last compared, in seconds since 1970; `retry`:
    apps whose documents could not be made; `expires`: when the signatures of each role end, of bins the first one.
    """

    seq: int
    hash: str
    snapshot: int
    root: int
    checked_at: int
    retry: Sequence[str] = ()
    expires: Mapping[str, int] = field(default_factory=dict)

    @property
    def head(self) -> Head:
        return Head(self.seq, self.hash)


def read(path: Path) -> State | None:
    try:
        return State(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):  # none yet, or damaged
        return None


def write(path: Path, state: State) -> None:
    files.write_file(path, json.dumps(asdict(state)).encode())
