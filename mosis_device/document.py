"""The document of an app, and which of its releases a device takes."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mosis_device.refusals import Reason, Refused

FORMAT = 1
CHANNELS = ("stable", "beta", "edge")  # each has the releases of those before it
ROLLOUT = b"MOSIS-ROLLOUT-V1"


@dataclass(frozen=True)
class Release:
    """A version that devices may install. `size` is in bytes, digests are hex, the signature base64."""

    version_code: int
    version_name: str
    channel: str
    percent: int
    critical: bool
    min_api: int | None
    size: int
    sha256: str
    statement_sha256: str
    signature: str
    key_id: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """What the store says about an app; releases have the highest code first, `keys` the entries of `signing`."""

    app_id: str
    name: str
    keys: list[dict[str, Any]]
    releases: list[Release]
    withdrawn: dict[int, str]  # version code to reason


@dataclass(frozen=True)
class Traits:
    """What decides which releases suit a device; `secret` has 16 random bytes that never leave it."""

    api: int | None
    channel: str
    secret: bytes
    automatic: bool  # an unattended update, to which staged rollouts apply


def parse(data: bytes, app_id: str) -> Document:
    """Read a document. Raises Refused."""
    try:
        document = json.loads(data)
        if document["format"] != FORMAT:
            raise Refused("malformed", f"The document of {app_id} has a newer format: update this client.")
        if document["app_id"] != app_id:
            raise ValueError
        releases = [_release(release) for release in document["releases"]]
        withdrawn = {int(version["version_code"]): str(version["reason"]) for version in document["withdrawn"]}
        releases.sort(key=lambda release: -release.version_code)
        return Document(app_id, str(document["name"]), list(document["signing"]["keys"]), releases, withdrawn)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refused("malformed", f"The document of {app_id} is not what the protocol describes.") from None


def _release(release: dict[str, Any]) -> Release:
    known = {name: release[name] for name in Release.__annotations__ if name != "paths"}
    for name, value in known.items():
        kind = Release.__annotations__[name]
        if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
            raise TypeError
    if min(known["version_code"], known["size"], known["percent"]) < 0:
        raise ValueError
    return Release(**known, paths=tuple(map(str, release["paths"])))


def choose(document: Document, installed: int, traits: Traits) -> Release | None:
    """The highest release above the installed code (0: none) that suits the device; None if it is up to date.

    Raises Refused when nothing is installed and nothing suits.
    """
    newer = [release for release in document.releases if release.version_code > installed]
    for release in newer:
        if not any(_obstacles(document, release, traits)):
            return release
    if installed:
        return None
    for release in newer:
        for reason, obstacle in _obstacles(document, release, traits):
            raise Refused(reason, f"{document.app_id} {release.version_name} {obstacle}.")
    for reason_given in document.withdrawn.values():
        raise Refused("withdrawn", f"Every version of {document.app_id} is withdrawn: {reason_given}")
    raise Refused("no-release", f"{document.app_id} has no release yet.")


def _obstacles(document: Document, release: Release, traits: Traits) -> Iterator[tuple[Reason, str]]:
    """Why a device does not take a release."""
    if release.version_code in document.withdrawn:
        yield "withdrawn", f"is withdrawn: {document.withdrawn[release.version_code]}"
    if release.channel not in CHANNELS[: CHANNELS.index(traits.channel) + 1]:
        yield "no-release", f"is in the channel {release.channel}: choose it with --channel"
    if release.min_api and (traits.api is None or traits.api < release.min_api):
        yield "no-release", f"needs API level {release.min_api}: give the level of this device with --api"
    if traits.automatic and not release.critical and not admitted(traits.secret, document.app_id, release):
        yield "no-release", f"is being rolled out, to {release.percent} % of the devices so far"


def admitted(secret: bytes, app_id: str, release: Release) -> bool:
    """Whether a staged rollout has reached this device."""
    return bucket(secret, app_id, release.version_code) * 100 < release.percent << 64


def bucket(secret: bytes, app_id: str, version_code: int) -> int:
    """The place of a device among all, evenly in 0 … 2^64 - 1, another one for each version."""
    named = b"\0".join([ROLLOUT, secret, app_id.encode(), str(version_code).encode()])
    return int.from_bytes(hashlib.sha256(named).digest()[:8])
