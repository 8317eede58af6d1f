"""A device's side of a Mosis store: finds, verifies and installs apps as docs/device-protocol.md says.

It imports nothing of the portal, so that a device needs neither it nor what it depends on.
"""

__version__ = "0.1.0"
