"""Tells line by line whether a host is as its inventory says, changing nothing: `pyinfra INVENTORY verify.py -y`.

Exit code 1 where something needs attention. `--data json=yes` prints a line of JSON a host instead.
"""

import pyinfra
from pyinfra import host

from deploys.checks import verify
from deploys.host.planned import planned

if pyinfra.is_cli:
    verify.report(planned(), as_json=bool(host.data.get("json")))
