"""`mosis pack`, `sign`, `statement` and `verify`: before an upload, and after a download."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from portal.cli.keyfile import OwnKey, own_key
from portal.cli.lazy import example
from portal.developer.source import naming
from portal.packages import build, package, signature
from portal.packages.errors import PackageRejected
from portal.packages.package import Package


def _public_key(value: str) -> bytes:
    try:
        return signature.decode_public_key(value)
    except ValueError as error:
        raise typer.BadParameter(f"{value!r} {error}.") from None


UNCHECKED = "give the developer's public key with --public-key; `mosis key show` prints your own."
PackageFile = Annotated[Path, typer.Argument(help="A package (.mosis).")]
PublicKey = Annotated[
    bytes | None,
    typer.Option(parser=_public_key, metavar="BASE64", help="The developer's public key, 32 bytes as base64."),
]


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command(epilog=example("pack reader/ reader-1.0.0.mosis"))(pack)
    app.command(epilog=example("sign reader-1.0.0.mosis --key key.pem"))(sign)
    app.command(epilog=example("statement reader-1.0.0.mosis"))(statement)
    app.command(epilog=example("verify reader-1.0.0.mosis --public-key BASE64"))(verify)


def pack(
    directory: Annotated[Path, typer.Argument(help="A directory with a manifest.json.")],
    output: Annotated[Path, typer.Argument(dir_okay=False, help="The package to write.")],
) -> None:
    """Make an unsigned package of a directory with a manifest.json."""
    with naming(directory):
        manifest = build.pack(directory, output).manifest
    print(f"{output}: {manifest.id} {manifest.version_name} ({manifest.version_code}), not signed yet")


def sign(
    file: PackageFile,
    key: OwnKey = None,
    output: Annotated[Path | None, typer.Option(dir_okay=False, help="Write to this file instead of in place.")] = None,
) -> None:
    """Sign a package; an earlier signature is replaced."""
    with naming(file):
        signed = build.sign(file, own_key(key), output)
    print(f"{output or file}: signed with key {signed.key_id}")


def statement(file: PackageFile) -> None:
    """Print what a signature of a package signs: its identity, and size and SHA-256 of each entry.

    For signers of your own, and to find why a signature does not match. No signature is checked.
    """
    with naming(file):
        content = package.inspect(file)
    sys.stdout.buffer.write(content.statement)


def verify(file: PackageFile, public_key: PublicKey = None) -> None:
    """Check a package as a store does, and its signature with the developer's public key.

    Without --public-key only the form is checked, and the exit status is 1.
    """
    with naming(file):
        found = package.read(file)
        if public_key is not None:
            _require_signature(found, public_key)
    manifest = found.manifest
    proven = "signature good" if public_key else "signature not checked"
    print(f"{file}: {manifest.id} {manifest.version_name} ({manifest.version_code}), key {found.key_id}, {proven}")
    if public_key is None:
        print(f"The signature was not checked: {UNCHECKED}", file=sys.stderr)
        raise typer.Exit(1)


def _require_signature(found: Package, public_key: bytes) -> None:
    if signature.key_id(public_key) != found.key_id:
        raise PackageRejected([f"The package is signed with key {found.key_id}, not {signature.key_id(public_key)}."])
    package.verify(found, public_key)
