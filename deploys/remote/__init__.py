"""Scripts that run on the host itself: standard library only, Python 3.8 and newer."""
