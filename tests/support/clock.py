"""A clock that a test moves."""

import time

import pytest

_real = time.time


def move(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Move this process's clock by so much from the right time; the time since boot stays."""
    monkeypatch.setattr(time, "time", lambda: _real() + seconds)
