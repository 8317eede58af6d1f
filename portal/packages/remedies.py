"""What the faults of a package mean for a developer, and how to fix them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

REPACK = "Pack it again with `mosis pack`, which writes exactly what the store accepts."
RENAME = "Rename what is listed, and pack and sign it again."
LINKS = "Replace each link by a copy of what it points to, and pack it again with `mosis pack`."
FOLDER = "Pack the folder with `mosis pack`, which packs its content, and sign the package."
TAKEN = (
    "Raise `version_code` in manifest.json: once published, a code names one package for ever. Withdraw the other"
    " version first if it is in review; the console and `mosis push` replace a draft or a rejected one."
)


@dataclass(frozen=True)
class Remedy:
    """For faults whose sentence matches `pattern`; text between backticks is code."""

    pattern: str
    text: str


BAD_NAMES = (
    r"differ only in|both a file and a directory|is longer than \d+ bytes|component longer than|directories deep"
    r"|form NFC|contains (a drive|a control|U\+)|begins with a space|a device name|ends with a semicolon"
)
REMEDIES = (
    Remedy(r"version_code \d+ must be greater", "Raise `version_code` in manifest.json, and pack and sign it again."),
    Remedy(r"already has a version", TAKEN),
    Remedy(r"^manifest\.json: id is", "The package is another app's: upload it on the page of that app."),
    Remedy(r"pack (the content of|`\*`, not)", FOLDER),
    Remedy(r"^manifest\.json\b.* missing", "Put manifest.json at the root of the archive; `mosis init` writes one."),
    Remedy(
        r"^manifest\.json", "Correct manifest.json, and pack and sign it again. /schemas/manifest.json describes it."
    ),
    Remedy(r"^META-INF/mosis\.sig.* missing", "`mosis push` packs, signs and uploads a folder at once."),
    Remedy(BAD_NAMES, RENAME),
    Remedy(r"is a link or a device", LINKS),
    Remedy(r"is signed with key", "Ask the developer which key is right; your own is in `mosis key show`."),
    Remedy(
        r"is not registered",
        "Register the key once with `mosis key register FILE`, or sign with a key that is registered.",
    ),
    Remedy(
        r"registered for another developer",
        "Sign with a key of your own; `mosis key generate` makes and registers one.",
    ),
    Remedy(r"must be signed with key", "Sign with that key. If it is lost, a reviewer can announce its recovery."),
    Remedy(
        r"is revoked",
        "Sign with a valid key. If the app has been published with this one, ask a reviewer to announce its recovery.",
    ),
    Remedy(r"it holds without", "Sign the package with `mosis sign`, which signs every entry of the archive."),
    Remedy(r"signature does not match", "The package changed after it was signed: sign it again as the last step."),
    Remedy(r"more than the \d+ (\(.*\) )?allowed", "Remove what the app does not need, or ask the operator for more."),
    Remedy(r"SHA-256 of the body", "The file changed on its way or on the disk: upload it again."),
    Remedy(r"not a ZIP archive", "Choose the file that ends with .mosis."),
    Remedy(r"Validation crashed", "This is a fault of the store, not of the package: show the time to the operator."),
)


def remedy(fault: str) -> str:
    """How to fix the fault of this sentence."""
    return next((each.text for each in REMEDIES if re.search(each.pattern, fault)), REPACK)


def remedies(faults: Iterable[str]) -> list[str]:
    """How to fix all of them, each way once."""
    found = dict.fromkeys(map(remedy, faults))
    if FOLDER in found:
        found.pop(REPACK, None)
    return list(found)
