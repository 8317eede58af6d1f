"""What the mirror of this store uses a month, from its own figures."""

from dataclasses import dataclass

from portal.mirror.prices import Use
from portal.store.clock import now
from portal.store.retention import DAY
from portal.store.store import Store

MONTH = 30 * DAY
RUNS = MONTH // 300  # of `mosis mirror`, each of which reads the marker
WRITES_PER_VERSION = 2  # package and manifest
READS_PER_WRITE = 1  # before
CATALOGUE_WRITES = 4  # per change: document, bin, snapshot, timestamp
SIGNATURES = 5 * 30  # a day: three bins, snapshot, timestamp
LISTS = 30  # of the bucket
LISTED_PER_REQUEST = 1000
GIGA = 1e9


@dataclass(frozen=True)
class Figures:
    """`size` of all published files and `package` of the mean current one, bytes; changes of the last 30 days."""

    objects: int
    size: int
    package: float
    versions: int
    images: int


def figures(store: Store) -> Figures:
    db, since = store.db.read(), now() - MONTH
    packages, size, versions = db.execute(
        "SELECT count(*), coalesce(sum(size + length(CAST(manifest AS BLOB))), 0), coalesce(sum(published_at >= ?), 0)"
        " FROM versions WHERE status = 'published'",
        (since,),
    ).fetchone()
    [package] = db.execute(
        "SELECT coalesce(avg(size), 0) FROM versions WHERE status = 'published' AND superseded_at IS NULL"
    ).fetchone()
    number, images, changed = db.execute(
        "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(updated_at >= ?), 0) FROM assets WHERE app_id IN"
        " (SELECT app_id FROM versions WHERE status = 'published')",
        (since,),
    ).fetchone()
    objects = WRITES_PER_VERSION * packages + number
    return Figures(objects, size + images, package, versions, changed)


def use(found: Figures, downloads: int) -> Use:
    """A month with so many downloads, none of which a cache answers: the most that they can cost."""
    changes = found.versions + found.images
    writes = WRITES_PER_VERSION * found.versions + found.images + CATALOGUE_WRITES * changes + SIGNATURES
    return Use(
        stored=found.size / GIGA,
        class_a=writes + LISTS * -(-found.objects // LISTED_PER_REQUEST),
        class_b=RUNS + READS_PER_WRITE * writes + downloads,
        downloaded=downloads * found.package / GIGA,
    )
