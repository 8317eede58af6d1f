"""The real Litestream, for as long as it takes."""

import subprocess
import sys
from pathlib import Path

from portal.store.layout import Layout


def replicate(layout: Layout) -> None:
    """Let Litestream write down what is in the database."""
    config = layout.root / "litestream.yml"
    config.write_text(f"dbs:\n  - path: {layout.database}\n    replica: {{type: file, path: {layout.replica}}}\n")
    litestream = Path(sys.executable).with_name("litestream")
    subprocess.run([litestream, "replicate", "-once", "-config", config], check=True, capture_output=True)
