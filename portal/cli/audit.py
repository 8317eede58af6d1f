"""`mosis audit`: who did what, and whether the record of it is whole."""

import json
import sys
from typing import Annotated

import typer

from portal import settings
from portal.jobs import audit as job
from portal.store import audit
from portal.store.clock import rfc3339
from portal.store.store import open_store


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = typer.Typer(help="The log of every change.", no_args_is_help=True)
    group.command("list")(list_entries)
    group.command("verify")(verify)
    app.add_typer(group, name="audit")


def list_entries(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Print every row, oldest first."""
    for entry in audit.entries(open_store(settings.load()).db.read()):
        at = rfc3339(entry.at)
        if as_json:
            print(json.dumps(entry._asdict() | {"at": at, "detail": json.loads(entry.detail)}))
        else:
            who = f"{entry.actor} {entry.token_id or '-'} {entry.address}"
            print(f"{entry.seq}\t{at}\t{who}\t{entry.action}\t{entry.subject}\t{entry.detail}")


def verify(
    noted: Annotated[
        str,
        typer.Option(
            "--head", metavar="HEAD", help="A head that this command printed earlier: it must still be there."
        ),
    ] = "",
) -> None:
    """Check the log by itself and against the snapshots of the database; exit 1 and name the first faulty row.

    Note the head that it prints on another machine: who may write this host's disk can rewrite log and snapshots.
    """
    store = open_store(settings.load())
    faults = list(job.faults(store, _parse(noted) if noted else None))
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        raise typer.Exit(1)
    head = audit.head(store.db.read())
    print(f"{head.seq} rows verify, head {head}")


def _parse(text: str) -> audit.Head:
    seq, _, digest = text.partition(":")
    if not seq.isdecimal():
        raise typer.BadParameter("a head looks like 17:0123…")
    return audit.Head(int(seq), digest)
