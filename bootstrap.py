"""Once for a NAS, with the password of an administrator: `pyinfra INVENTORY bootstrap.py --ssh-password-prompt`.

Leaves your key and a sudo rule there, and tells what only you can click. sudo asks for its password on the way.
`--data undo=yes` removes the sudo rule; a later deploy needs this once more.
"""

import sys

import pyinfra
from pyinfra import host

from deploys.synology import bootstrap

if pyinfra.is_cli and host.data.get("undo"):
    bootstrap.leave()
elif pyinfra.is_cli:
    bootstrap.visit(host.data.get("_temp_dir"), host.data.get("ssh_key"))
    print(bootstrap.CLICKS, file=sys.stderr)
