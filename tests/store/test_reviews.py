"""Which step of a version a review takes, whoever asks for it."""

import pytest

from portal.store import apps, audit, reviews
from portal.store.errors import Refused
from portal.store.states import Action
from portal.store.store import Store
from tests.packages.samples import APP_ID
from tests.support import publishing
from tests.support.portal import add_developer


@pytest.mark.parametrize("action", ["publish", "unyank"])
def test_a_version_whose_package_is_lost_never_becomes_current(store: Store, action: Action) -> None:
    """Devices would get an error in place of the version that they have now."""
    add_developer(store, publishing.OWNER.developer_id)
    publishing.add_app(store, APP_ID)
    publishing.publish(store, APP_ID, 1, payload_bytes=1)
    package = publishing.upload(store, APP_ID, 2, payload_bytes=1)
    publishing.change(store, APP_ID, 2, "submit")
    if action == "unyank":
        publishing.change(store, APP_ID, 2, "publish")
        publishing.change(store, APP_ID, 2, "yank", "It crashes.")
    package.rename(package.with_name("elsewhere"))

    def take() -> None:
        with store.db.write() as tx:
            reviews.step(tx, store, audit.OPERATOR, apps.get(tx, APP_ID), 2, action, reason="", sha256=None)

    with pytest.raises(Refused, match="missing on the disk of the store") as refused:
        take()
    assert refused.value.code == "FILE_NOT_FOUND"
    assert apps.get(store.db.read(), APP_ID).published_code == 1
    package.with_name("elsewhere").rename(package)
    take()
    assert apps.get(store.db.read(), APP_ID).published_code == 2
