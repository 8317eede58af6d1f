"""`mosis pack`, `sign` and `verify`: what a developer does before an upload, and anyone after a download."""

from pathlib import Path
from typing import Annotated

import typer

from portal.cli.keyfile import load_key
from portal.packages import build, package, signature
from portal.packages.errors import PackageRejected


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command()(pack)
    app.command()(sign)
    app.command()(verify)


def pack(directory: Path, output: Path) -> None:
    """Make an unsigned package of a directory with a manifest.json."""
    manifest = build.pack(directory, output).manifest
    print(f"{output}: {manifest.id} {manifest.version_name} ({manifest.version_code}), not signed yet")


def sign(
    file: Path,
    key: Annotated[Path, typer.Option(help="Your private key file.")],
    output: Annotated[Path | None, typer.Option(help="Write here instead of in place.")] = None,
) -> None:
    """Sign a package, in place of an earlier signature."""
    signed = build.sign(file, load_key(key), output)
    print(f"{output or file}: signed with key {signed.key_id}")


def verify(
    file: Path,
    public_key: Annotated[
        str | None, typer.Option(help="Base64 of the developer's public key; without it only the form is checked.")
    ] = None,
) -> None:
    """Check a package as a store does."""
    found = package.read(file)
    if public_key is not None:
        try:
            raw = signature.decode_public_key(public_key)
        except ValueError as error:
            raise typer.BadParameter(f"{error}") from None
        if signature.key_id(raw) != found.key_id:
            raise PackageRejected([f"The package is signed with key {found.key_id}, not {signature.key_id(raw)}."])
        package.verify(found, raw)
    manifest = found.manifest
    proven = "signature good" if public_key else "signature not checked: give --public-key"
    print(f"{file}: {manifest.id} {manifest.version_name} ({manifest.version_code}), key {found.key_id}, {proven}")
