"""Files that nobody else may read."""

import os
import tempfile
from pathlib import Path

DIRECTORY_MODE = 0o700


def write(path: Path, content: bytes) -> None:
    """Replace the file at `path` with one of mode 600, whole or not at all. Raises OSError."""
    path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # of mode 600
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
