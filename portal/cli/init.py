"""`mosis init`: the start of an app."""

from pathlib import Path
from typing import Annotated

import typer

from portal.cli.lazy import example
from portal.cli.usage import WrongUsage
from portal.developer import credentials, manifests


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command(epilog=example("init hello --id org.acme.hello --name Hello"))(init)


def init(
    directory: Annotated[Path, typer.Argument(file_okay=False, help="The app's directory.")] = Path(),
    app_id: Annotated[
        str | None, typer.Option("--id", help="The app's id: a domain of yours backwards, then a name.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The name that people see.")] = None,
    version: Annotated[str, typer.Option(help="The first version.")] = "1.0.0",
    check: Annotated[bool, typer.Option("--check", hidden=True, help="Same as `mosis setup --check`.")] = False,
) -> None:
    """Write the manifest.json of a new app. What is not given is asked for on a terminal."""
    if check:  # asked by deploys of a release in which `mosis init` was what `mosis setup` is now
        from portal.cli.setup import setup

        return setup(check=True)
    title = directory.absolute().name
    if app_id is None:
        app_id = _asked("App id, such as org.example.hello", "--id", None)
    if name is None:
        name = _asked("Name", "--name", title or app_id) if credentials.interactive() else title or app_id
    path = manifests.start(directory, app_id, name, version)
    print(f"wrote {path}: add the files of the app beside it, then run `mosis push {directory}`")
    return None


def _asked(question: str, option: str, default: str | None) -> str:
    if not credentials.interactive():
        raise WrongUsage(f"There is no terminal to ask on: give {option}.")
    return str(typer.prompt(question, default=default, err=True))
