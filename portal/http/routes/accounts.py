"""Developers, their tokens and their keys."""

from portal.http import schemas
from portal.http.api import ADMIN, DEVELOPER, Api, Call, Operation
from portal.store import developers, keys, tokens
from portal.store.errors import Refused


def add(api: Api) -> None:
    """Declare the routes."""
    db = api.store.db

    def add_developer(call: Call) -> schemas.Developer:
        with db.write() as tx:
            return schemas.Developer.of(developers.add(tx, call.actor, call.body.developer_id, call.body.name))

    def list_tokens(call: Call, developer_id: str) -> schemas.Tokens:
        developers.get(db.read(), developer_id)
        return schemas.Tokens(tokens=[schemas.Token.of(t) for t in tokens.every(db.read(), developer_id)])

    def issue_token(call: Call, developer_id: str) -> schemas.IssuedToken:
        with db.write() as tx:
            token, text = tokens.issue(tx, call.actor, developer_id, call.body.scope, call.body.days)
        return schemas.IssuedToken(**vars(token), token=text)

    def revoke_token(call: Call, developer_id: str, token_id: str) -> None:
        with db.write() as tx:
            tokens.revoke(tx, call.actor, developer_id, token_id)

    def list_keys(call: Call, developer_id: str) -> schemas.Keys:
        _require_self(call, developer_id)
        return schemas.Keys(keys=[schemas.Key.of(key) for key in keys.of_developer(db.read(), developer_id)])

    def register_key(call: Call, developer_id: str) -> schemas.Key:
        _require_self(call, developer_id)
        with db.write() as tx:
            key = keys.register(tx, call.actor, developer_id, call.body.public_key, call.body.proof)
        return schemas.Key.of(key)

    def revoke_key(call: Call, developer_id: str, key_id: str) -> None:
        _require_self(call, developer_id)
        with db.write() as tx:
            keys.revoke(tx, call.actor, developer_id, key_id)

    developer = "/api/developers/<developer_id>"
    for operation in (
        Operation("POST", "/api/developers", add_developer, "Add a developer", ADMIN,
                  body=schemas.NewDeveloper, status=201, answer=schemas.Developer, problems=("DEVELOPER_EXISTS",)),
        Operation("GET", f"{developer}/tokens", list_tokens, "List a developer's tokens", ADMIN,
                  answer=schemas.Tokens, problems=("NOT_FOUND",)),
        Operation("POST", f"{developer}/tokens", issue_token, "Issue a token", ADMIN,
                  body=schemas.NewToken, status=201, answer=schemas.IssuedToken, problems=("NOT_FOUND",)),
        Operation("DELETE", f"{developer}/tokens/<token_id:re:[0-9a-f]{{16}}>", revoke_token, "Revoke a token", ADMIN,
                  status=204, problems=("NOT_FOUND",)),
        Operation("GET", f"{developer}/keys", list_keys, "List a developer's keys", DEVELOPER,
                  answer=schemas.Keys, problems=("NOT_FOUND",)),
        Operation("POST", f"{developer}/keys", register_key, "Register a public key", DEVELOPER,
                  body=schemas.NewKey, status=201, answer=schemas.Key,
                  problems=("INVALID_KEY", "INVALID_PROOF", "KEY_EXISTS", "NOT_FOUND")),
        Operation("DELETE", f"{developer}/keys/<key_id:re:[0-9a-f]{{32}}>", revoke_key, "Revoke a key", DEVELOPER,
                  status=204, problems=("NOT_FOUND",)),
    ):  # fmt: skip
        api.add(operation)


def _require_self(call: Call, developer_id: str) -> None:
    if call.actor.scope != "admin" and call.actor.developer_id != developer_id:
        raise Refused("NOT_FOUND", f"There is no developer {developer_id}.")
