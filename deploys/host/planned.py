"""The plan of the host that pyinfra is talking to."""

from pyinfra import host
from pyinfra.api.exceptions import DeployError

from deploys.plan import plan, release
from deploys.plan.data import PlanError
from deploys.plan.model import Plan


def planned() -> Plan:
    """The host's plan. Raises DeployError, one sentence about the data that is missing or wrong."""
    try:
        return plan(host.data.dict(), release.build())
    except PlanError as error:
        raise DeployError(str(error)) from None
