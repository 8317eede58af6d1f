"""The Mosis portal: developers upload app packages, devices download them."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("mosis")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"
