"""Which published files devices can get from the mirror: those that its record has as verified in the bucket."""

from contextlib import closing
from urllib.parse import quote

from portal.mirror.record import Record
from portal.store.store import Store
from portal.store.versions import PlacedVersion


def package_url(store: Store, version: PlacedVersion) -> str | None:
    """The public URL of a package, None if the store has to send it."""
    settings, layout = store.settings, store.layout
    if settings.download != "redirect" or settings.mirror is None or version.status != "published":
        return None
    path = layout.package(version.developer_id, version.app_id, version.version_code)
    key = str(path.relative_to(layout.root))
    with closing(Record.read(layout)) as record:
        return f"{settings.mirror.public_url}/{quote(key)}" if record.has(key, version.sha256) else None
