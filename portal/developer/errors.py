"""What ends a developer's command: cause, remedy, and the exit status by which a script tells them apart."""

from portal.faults import Fault
from portal.printable import printable

REMEDIES = {
    "UNAUTHENTICATED": "Run `mosis login {url}`, or set MOSIS_TOKEN to a valid token.",
    "FORBIDDEN": "Ask the store's operator for such a token, then run `mosis login {url}`.",
    "APP_EXISTS": "Another developer has it: choose another id in manifest.json.",
    "KEY_EXISTS": "Make a key of your own with `mosis key generate PATH`, and name it with --key.",
    "RATE_LIMITED": "Try again later.",
    "STORAGE_ERROR": "Try again later, or tell the store's operator.",
}
STATUS = {"UNAUTHENTICATED": 4, "FORBIDDEN": 4}
NOT_ACCEPTED = "{url} does not accept the token: it is unknown, expired or revoked."


class SignedOut(Fault):
    """There is no store or no token to use."""

    exit_status = 4


class Unreachable(Fault):
    """The store did not answer, or is busy: trying again later may help."""

    exit_status = 5


class Rejected(Fault):
    """A reviewer rejected the version, or it was withdrawn: these files need a change or a new version."""

    exit_status = 3


class Problem(Fault):
    """A refusal of the store at `url` (RFC 9457): `reasons` has a sentence for each fault that it found."""

    def __init__(self, status: int, code: str, detail: str, reasons: tuple[str, ...] = (), url: str = "URL") -> None:
        self.detail = printable(detail)
        self.exit_status = STATUS.get(code, 1)
        self.status, self.code, self.reasons = status, code, tuple(map(printable, reasons))
        sentences = "\n".join(self.reasons) or (
            NOT_ACCEPTED.format(url=url) if code == "UNAUTHENTICATED" else printable(detail)
        )
        super().__init__(f"{sentences} {REMEDIES[code].format(url=url)}" if code in REMEDIES else sentences)
