"""What a host gets, computed from its data alone before anything is touched, so that tests read it as data.

Nothing below this package imports pyinfra: values go in, values come out.
"""

from collections import Counter
from collections.abc import Mapping

from deploys.plan import compose, local, places, standby, systemd, tls
from deploys.plan.data import PlanError, parse
from deploys.plan.model import Plan
from deploys.plan.release import Release

RUNTIMES = {"local": local, "systemd": systemd, "compose": compose}


def plan(host_data: Mapping[str, object], release: Release) -> Plan:
    """The plan of a host. Raises PlanError, one sentence about the data that is missing or wrong."""
    data = parse(host_data)
    standby.require_possible(data)
    tls.require_possible(data)
    wanted = RUNTIMES[data.runtime].plan(data, release)
    ports = Counter(listener.port for listener in wanted.listeners)
    if twice := [port for port, listeners in ports.items() if listeners > 1]:
        raise PlanError(f"Host data: port {twice[0]} would be taken twice; the ports of a host must differ.")
    places.require_sound(data, wanted.settings)
    return standby.plan(wanted) if data.follows else wanted
