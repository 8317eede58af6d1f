"""Files of a host, rendered before anything is touched: a missing variable is found while planning, not mid-run."""

import hashlib
import shlex
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound

from deploys.plan.data import PlanError

CHECKOUT = Path(__file__).resolve().parents[2]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(CHECKOUT / "templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["quote"] = lambda value: shlex.quote(str(value))
    return environment


def render(template: str, **variables: object) -> str:
    """The text of `templates/<template>`. Raises PlanError for a variable that is missing."""
    try:
        return _environment().get_template(template).render(variables)
    except TemplateNotFound as error:
        raise PlanError(f"templates/{template} needs templates/{error.name}, which does not exist.") from None
    except TemplateError as error:
        raise PlanError(f"templates/{template} cannot be rendered: {error.message}.") from None


def digest(*texts: str) -> str:
    """A short name for exactly these texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
