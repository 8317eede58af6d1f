"""The estimate counts what `mosis mirror` would copy, and nothing else."""

from portal.jobs import cost
from portal.jobs.cost import Figures
from portal.store.store import Store
from tests.support.many import fill
from tests.support.portal import mosis


def test_the_figures_are_those_of_published_files(store: Store) -> None:
    assert cost.figures(store) == Figures(0, 0, 0, 0, 0)
    fill(store, 2, 3)
    with store.db.write() as tx:
        tx.execute("UPDATE versions SET status = 'draft' WHERE version_code = 3")
    packages = [path for code in (1, 2) for path in (store.layout.root / "packages").rglob(f"{code}/*")]
    images = list((store.layout.root / "assets").rglob("*.*.png"))
    found = cost.figures(store)
    assert found.size == sum(path.stat().st_size for path in packages + images)
    assert found.objects == len(packages + images)
    assert (found.versions, found.images) == (0, 2), "the versions were published in 1970"


def test_the_bucket_is_listed_every_day() -> None:
    requests = [cost.use(Figures(objects, 0, 0, 0, 0), 0).class_a for objects in (0, 1, 1000, 1001)]
    assert [number - requests[0] for number in requests] == [0, 30, 30, 60]


def test_a_month_is_estimated_per_provider(store: Store) -> None:
    fill(store, 1, 1)
    ran = mosis(store, "cost", "--downloads", "1000000000")
    assert ran.returncode == 0, ran.stderr
    rows = {line[:34].strip(): line[34:].split() for line in ran.stdout.splitlines()[1:6]}
    assert float(rows["Cloudflare R2"][4]) == float(rows["Cloudflare R2"][1]) > 0
    assert float(rows["AWS S3 and CloudFront"][2]) > 0
