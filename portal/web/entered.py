"""A form that was refused: the page shows it again with what was filled in, and each reason beside its field."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from portal.http.problems import KINDS
from portal.store.errors import Refused
from portal.web.form_faults import form_faults

FIELD_OF = {
    "APP_DELETED": "app_id",
    "APP_EXISTS": "app_id",
    "INVALID_KEY": "statement",
    "INVALID_PROOF": "statement",
    "KEY_EXISTS": "statement",
}
"""The field that a refusal without a name of a field is about, by its code."""
OF_FILES = (
    "FILE_TOO_LARGE",
    "INVALID_DIMENSIONS",
    "INVALID_FILE",
    "INVALID_IMAGE",
    "VERSION_CONFLICT",
    "VERSION_EXISTS",
)
"""Codes that are about the one file of a form."""


@dataclass(frozen=True)
class Entered:
    """The form of a page that was refused; without arguments, none was.

    `form` is its name on the page, `fields` what was filled in, `file` its file, which browsers do not keep.
    """

    form: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    refused: Refused | None = None
    file: str = ""

    @property
    def status(self) -> int:
        """The status of the page."""
        return KINDS[self.refused.code].status if self.refused else 200

    @property
    def faults(self) -> dict[str, str]:
        """The sentence at each field."""
        if self.refused is None:
            return {}
        about = self.file if self.refused.code in OF_FILES else FIELD_OF.get(self.refused.code)
        return form_faults(self.refused) or ({about: self.refused.detail} if about else {})

    @property
    def others(self) -> list[str]:
        """Reasons that are about no field."""
        return [] if form_faults(self.refused) else [*((self.refused and self.refused.errors) or ())]

    def fault(self, form: str, name: str) -> str:
        """What is wrong with this field, or nothing."""
        return self.faults.get(name, "") if form == self.form else ""

    def typed(self, form: str, name: str, otherwise: str = "") -> str:
        """What was filled in, or what the field has otherwise."""
        return self.fields.get(name, otherwise) if form == self.form else otherwise
