"""Scripts that run on the host itself: standard library only, Python 3.6 and newer."""
