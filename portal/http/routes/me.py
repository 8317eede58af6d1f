"""The developer who makes the request: its token, and the tokens that it may list, create and revoke itself."""

from portal.http import paging, schemas
from portal.http.routes.accounts import tokens_of
from portal.http.routing import DEVELOPER, MEMBER, Call, Operation, Routes
from portal.store import developers, quotas, tokens, webhooks

ME_PATH = "/api/me"
TOKENS_PATH = f"{ME_PATH}/tokens"
WEBHOOK_PATH = f"{ME_PATH}/webhook"

routes = Routes()


@routes.add(Operation("GET", ME_PATH, "Describe the token of this request", MEMBER, app_tokens=True))
def show(call: Call) -> schemas.Me:
    db, token = call.db.read(), tokens.get(call.db.read(), call.token_id)
    return schemas.Me(
        **vars(token),
        name=developers.get(db, token.developer_id).name,
        usage=schemas.Quotas(**quotas.usage(db, token.developer_id)),
        quota=schemas.Quotas(**quotas.limits(db, call.settings, token.developer_id)),
    )


@routes.add(Operation("GET", TOKENS_PATH, "List my tokens", MEMBER, query=paging.QUERY))
def list_tokens(call: Call) -> schemas.Tokens:
    return tokens_of(call, call.actor.developer_id)


@routes.add(
    Operation(
        "POST", TOKENS_PATH, "Create a token that is bound to one of my apps", DEVELOPER,
        status=201, problems=("NOT_FOUND", "QUOTA_EXCEEDED"),
    )
)  # fmt: skip
def create_token(call: Call, body: schemas.NewAppToken) -> schemas.IssuedToken:
    with call.db.write() as tx:
        token, text = tokens.issue_own(tx, call.actor, body.app_id, body.days)
    return schemas.IssuedToken(**vars(token), token=text)


@routes.add(
    Operation(
        "DELETE", f"{TOKENS_PATH}/<token_id:re:[0-9a-f]{{16}}>",
        "End one of my tokens, and those that were created with it", MEMBER,
        status=204, app_tokens=True, ends_access=True,
    )
)  # fmt: skip
def end_token(call: Call, token_id: str) -> None:
    """A token that is bound to an app can end itself alone."""
    if call.actor.app_id is not None and token_id != call.token_id:
        raise tokens.not_found(token_id)
    with call.db.write() as tx:
        tokens.revoke(tx, call.actor, call.actor.developer_id, token_id)


@routes.add(Operation("GET", WEBHOOK_PATH, "Show my webhook", DEVELOPER, problems=("NOT_FOUND",)))
def show_webhook(call: Call) -> schemas.Webhook:
    return schemas.Webhook.of(call.db.read(), webhooks.get(call.db.read(), call.actor.developer_id))


@routes.add(Operation("PUT", WEBHOOK_PATH, "Set my webhook, with a new secret", DEVELOPER))
def put_webhook(call: Call, body: schemas.NewWebhook) -> schemas.SetWebhook:
    with call.db.write() as tx:
        webhook = webhooks.put(tx, call.settings, call.actor, body.url)
        return schemas.SetWebhook(**vars(schemas.Webhook.of(tx, webhook)), secret=webhook.secret)


@routes.add(Operation("DELETE", WEBHOOK_PATH, "Delete my webhook", DEVELOPER, status=204, ends_access=True))
def delete_webhook(call: Call) -> None:
    with call.db.write() as tx:
        webhooks.delete(tx, call.actor)
