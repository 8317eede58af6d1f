"""The Mosis portal: developers upload app packages, devices download them."""

__version__ = "0.1.0"  # pyproject.toml reads it here: importlib.metadata takes longer than most commands
