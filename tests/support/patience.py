"""How long a test waits for what must happen: far longer than it takes, since a machine may have other work to do."""

PATIENCE = 120.0  # seconds
