"""`mosis audit`: who did what, and whether the record of it is whole."""

import json
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import Field

from portal import settings
from portal.cli.lazy import declaring, example
from portal.cli.output import table
from portal.cli.parameters import checked
from portal.jobs import audit as job
from portal.packages.identifiers import LARGEST_INTEGER
from portal.store import audit
from portal.store.clock import rfc3339
from portal.store.store import open_store

words = checked(Annotated[str, Field(pattern="^[!-~]*$")], "a word of printable ASCII characters")


def _time(value: str | int) -> int:
    """Seconds since 1970 of a date or a time (ISO 8601), UTC unless it names another zone."""
    if isinstance(value, int):
        return value
    try:
        found = datetime.fromisoformat(value)
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{value!r} is not a date or a time such as 2026-11-26T12:30:00Z.") from None


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = declaring("The log of every change.")
    group.command(
        "list",
        epilog=example(
            "audit list --subject org.example.reader --last 20", "audit list --since 2026-11-01 --until 2026-12-01"
        ),
    )(list_entries)
    group.command("verify", epilog=example("audit verify"))(verify)
    app.add_typer(group, name="audit")


def list_entries(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    actor: Annotated[
        str, typer.Option(parser=words, metavar="DEVELOPER_ID", help="Only what this developer did.")
    ] = "",
    action: Annotated[
        str,
        typer.Option(
            parser=words,
            metavar="ACTION",
            help="Only this action, such as version.publish, or version for all of them.",
        ),
    ] = "",
    subject: Annotated[
        str, typer.Option(parser=words, metavar="SUBJECT", help="Only about this app, developer, token or key.")
    ] = "",
    since: Annotated[
        int, typer.Option(parser=_time, metavar="TIME", help="Only from this time on, such as 2026-11-26 (UTC).")
    ] = 0,
    until: Annotated[
        int, typer.Option(parser=_time, metavar="TIME", help="Only before this time, such as 2026-11-26T12:30:00Z.")
    ] = 0,
    last: Annotated[int, typer.Option(min=0, max=LARGEST_INTEGER, help="Only that many rows at the end; 0: all.")] = 0,
) -> None:
    """Print the rows, oldest first."""
    db = open_store(settings.load()).db.read()
    found = audit.filtered(db, actor=actor, action=action, subject=subject, since=since, until=until, last=last)
    if not as_json:
        table(("row", "time", "actor, token, address", "action", "subject", "detail"), map(_row, found))
        return
    for entry in found:
        print(json.dumps(entry._asdict() | {"at": rfc3339(entry.at), "detail": json.loads(entry.detail)}))


def _row(entry: audit.Entry) -> tuple[object, ...]:
    who = f"{entry.actor} {entry.token_id or '-'} {entry.address}"
    return entry.seq, rfc3339(entry.at), who, entry.action, entry.subject, entry.detail


def verify(
    noted: Annotated[
        str,
        typer.Option(
            "--head", metavar="HEAD", help="A head that this command printed earlier: it must still be there."
        ),
    ] = "",
) -> None:
    """Verify the log by itself and against the snapshots of the database; exit 1 and name the first faulty row.

    Keep the head that it prints on another machine: an intruder on this host can rewrite both log and snapshots.
    """
    store = open_store(settings.load())
    faults = list(job.faults(store, _parse(noted) if noted else None))
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        raise typer.Exit(1)
    head = audit.head(store.db.read())
    print(f"{head.seq} rows verify, head {head}")
    if left_out := job.left_out(store):
        print(left_out)


def _parse(text: str) -> audit.Head:
    seq, _, digest = text.partition(":")
    if not seq.isdecimal() or int(seq) > LARGEST_INTEGER:
        raise typer.BadParameter(f"{text!r} is not a head such as 17:0123abcd.", param_hint="--head")
    return audit.Head(int(seq), digest)
