"""`mosis developer` and `token`: people on this host's store."""

import sqlite3
from pathlib import Path
from typing import Annotated

import typer

from portal import settings
from portal.cli.lazy import declaring, example
from portal.cli.output import table
from portal.cli.parameters import DeveloperId, KeyId, TokenId, checked, reason_option
from portal.packages.texts import Name
from portal.recovery import lineage
from portal.store import developers, files, keys, passkeys, quotas, tokens
from portal.store.audit import OPERATOR
from portal.store.clock import now, rfc3339
from portal.store.store import open_store

SECRET_MODE = 0o600
DeveloperName = Annotated[
    str,
    typer.Argument(
        parser=checked(Name, "a name of 1 to 100 characters"), metavar="NAME", help="A name for people to read."
    ),
]


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    people = declaring("People who publish.")
    people.command("add", epilog=example('developer add acme "Acme Apps"'))(developer_add)
    people.command("list", epilog=example("developer list"))(developer_list)
    people.command("keys", epilog=example("developer keys acme"))(developer_keys)
    people.command("revoke-key", epilog=example("developer revoke-key acme 0123456789abcdef0123456789abcdef"))(
        developer_revoke_key
    )
    people.command("passkeys", epilog=example("developer passkeys acme"))(developer_passkeys)
    people.command("remove-passkey", epilog=example("developer remove-passkey acme 0123456789abcdef"))(
        developer_remove_passkey
    )
    people.command("disable", epilog=example('developer disable acme --reason "Has left."'))(developer_disable)
    people.command("enable", epilog=example("developer enable acme"))(developer_enable)
    people.command("quota", epilog=example("developer quota acme apps=1000 bytes=default"))(developer_quota)
    app.add_typer(people, name="developer")
    issued = declaring("Tokens for the API.")
    issued.command("create", epilog=example("token create acme --days 90 --output acme.token"))(token_create)
    issued.command("list", epilog=example("token list"))(token_list)
    issued.command("revoke", epilog=example("token revoke acme 0123456789abcdef"))(token_revoke)
    app.add_typer(issued, name="token")


def developer_add(developer_id: DeveloperId, name: DeveloperName) -> None:
    """Add a developer."""
    with open_store(settings.load()).db.write() as tx:
        developers.add(tx, OPERATOR, developer_id, name)
    print(f"added developer {developer_id}, {name}")


def developer_list() -> None:
    """List developers: id, name, state."""
    found = developers.every(open_store(settings.load()).db.read())
    table(
        ("developer", "name", "state"),
        [(one.developer_id, one.name, "disabled" if one.disabled_at else "enabled") for one in found],
    )


def developer_disable(
    developer_id: DeveloperId,
    reason: Annotated[str, reason_option("Why, for the audit log.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would end; change nothing.")] = False,
) -> None:
    """End all tokens, passkeys, keys, open uploads, links, publishers and the webhook of a developer; its apps stay."""
    store = open_store(settings.load())
    ending = developers.ending(store.db.read(), developer_id)
    if not dry_run:
        with store.db.write() as tx:
            developers.disable(tx, OPERATOR, developer_id, reason)
    what = ", ".join(f"{number} {table}" for table, number in ending.items())
    print(f"{'would disable' if dry_run else 'disabled'} developer {developer_id}: {what}")


def developer_enable(developer_id: DeveloperId) -> None:
    """Let a disabled developer have new tokens, passkeys and keys; the old ones stay revoked."""
    with open_store(settings.load()).db.write() as tx:
        developers.enable(tx, OPERATOR, developer_id)
    print(f"enabled developer {developer_id}")


def developer_quota(
    developer_id: DeveloperId,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=NUMBER]...", help="A quota for this developer; `default`: that of the settings."),
    ] = None,
) -> None:
    """Show what a developer uses and may use, after changing that: name, use, quota, its origin."""
    store, values = open_store(settings.load()), dict(map(_quota, changes or []))
    if values:
        with store.db.write() as tx:
            quotas.change(tx, developer_id, values)
    db = store.db.read()
    developers.get(db, developer_id)
    used, most, own = (
        quotas.usage(db, developer_id),
        quotas.limits(db, store.settings, developer_id),
        quotas.own(db, developer_id),
    )
    table(
        ("limit", "used", "quota", "origin"),
        [(name, used[name], most[name], "own" if name in own else "default") for name in quotas.NAMES],
    )


def _quota(text: str) -> tuple[str, int | None]:
    name, _, value = text.partition("=")
    if name not in quotas.NAMES or not (value == "default" or (value.isascii() and value.isdigit())):
        names = ", ".join(quotas.NAMES)
        raise typer.BadParameter(f"{text!r} must be NAME=NUMBER or NAME=default; the names are {names}.")
    return name, None if value == "default" else int(value)


def developer_keys(developer_id: DeveloperId) -> None:
    """List a developer's registered keys: id and state."""
    db = open_store(settings.load()).db.read()
    developers.get(db, developer_id)
    found = keys.of_developer(db, developer_id)
    table(("key", "state"), [(key.key_id, "revoked" if key.revoked_at else "valid") for key in found])


def developer_revoke_key(developer_id: DeveloperId, key_id: KeyId) -> None:
    """Revoke a developer's key: packages signed with it are rejected from now on."""
    with open_store(settings.load()).db.write() as tx:
        keys.revoke(tx, OPERATOR, developer_id, key_id)
    print(f"revoked key {key_id} of {developer_id}")


def developer_passkeys(developer_id: DeveloperId) -> None:
    """List a developer's passkeys in force: id, scope, registration, expiry, last use, name."""
    db = open_store(settings.load()).db.read()
    developers.get(db, developer_id)
    table(
        ("passkey", "scope", "registered", "expires", "last used", "name"),
        map(_passkey_row, passkeys.of_developer(db, developer_id)),
    )


def developer_remove_passkey(developer_id: DeveloperId, token_id: TokenId) -> None:
    """Remove a developer's passkey: browsers that signed in with it are signed out at once."""
    with open_store(settings.load()).db.write() as tx:
        passkeys.remove(tx, OPERATOR, developer_id, token_id)
    print(f"removed passkey {token_id} of {developer_id}")


def token_create(
    developer_id: DeveloperId,
    scope: Annotated[tokens.Scope, typer.Option(help="What the token may do.")] = "developer",
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days for which it is valid.")] = 90,
    output: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write it to this new file, mode 600, instead of printing it."),
    ] = None,
    first: Annotated[
        bool,
        typer.Option(
            "--first",
            help="Only if no token of this scope is valid: neither the one in the file of --output, which is replaced"
            " then, nor one that was created since a restore.",
        ),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="With --first: create none; exit 1 if one would be created.")
    ] = False,
) -> None:
    """Issue a token. With scope admin a developer who does not exist yet is added."""
    if output is not None and output.exists() and not first:
        raise FileExistsError(17, "File exists", str(output))
    store = open_store(settings.load())
    if check:
        if first and _has_token(store.db.read(), scope, output):
            return
        print(f"no token of scope {scope} is valid: one would be created")
        raise typer.Exit(1)
    with store.db.write() as tx:
        if first and _has_token(tx, scope, output):
            print(f"a token of scope {scope} is valid (mosis token list): none is created")
            return
        if scope == "admin" and developer_id not in {d.developer_id for d in developers.every(tx)}:
            developers.add(tx, OPERATOR, developer_id, "Admin")
        token, text = tokens.issue(tx, OPERATOR, developer_id, scope, days)
        if output is None:
            print(text, flush=True)  # before the commit: what cannot be shown is not valid either
        else:
            files.write_file(output, text.encode() + b"\n", mode=SECRET_MODE, replace=first)
    if output is not None:
        print(f"wrote token {token.token_id} of {developer_id}, valid until {rfc3339(token.expires_at)}, to {output}")


def _has_token(db: sqlite3.Connection, scope: tokens.Scope, kept: Path | None) -> bool:
    """Whether a token is valid that somebody on this host was given: those of a copy may be lost with its host.

    The one in the file `kept` is not.
    """
    if kept and kept.exists():
        token = tokens.authenticate(db, kept.read_text(errors="replace").strip())
        if token and token.scope == scope:
            return True
    since = lineage.began(db)
    return any(
        one.is_valid and one.scope == scope and one.passkey is None and one.created_at >= since
        for one in tokens.every(db)
    )


def token_list() -> None:
    """List tokens without their secrets: id, developer, scope, state, expiry, last use, and kind: token or passkey."""
    table(
        ("token", "developer", "scope", "state", "expires", "last used", "kind"),
        map(_token_row, tokens.every(open_store(settings.load()).db.read())),
    )


def token_revoke(developer_id: DeveloperId, token_id: TokenId) -> None:
    """Revoke a token, effective at once."""
    with open_store(settings.load()).db.write() as tx:
        tokens.revoke(tx, OPERATOR, developer_id, token_id)
        registered = tokens.keys_of(tx, [token_id])
    print(f"revoked token {token_id} of {developer_id}")
    for key_id in registered:
        print(f"key {key_id}, registered with it, stays: if a thief did that, revoke it (mosis developer revoke-key)")


def _token_row(token: tokens.Token) -> tuple[object, ...]:
    state = "revoked" if token.revoked_at else "expired" if token.expires_at <= now() else "valid"
    kind = "token" if token.passkey is None else "passkey"
    return token.token_id, token.developer_id, token.scope, state, rfc3339(token.expires_at), _last_use(token), kind


def _passkey_row(passkey: tokens.Token) -> tuple[object, ...]:
    created, expires = rfc3339(passkey.created_at), rfc3339(passkey.expires_at)
    return passkey.token_id, passkey.scope, created, expires, _last_use(passkey), passkey.passkey


def _last_use(token: tokens.Token) -> str:
    return rfc3339(token.last_used_at) if token.last_used_at else "never"
