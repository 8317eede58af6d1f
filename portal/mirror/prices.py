"""What a bucket costs a month at each provider, in US dollars. Prices change: a row has its date and its source."""

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True)
class Use:
    """A month: gigabytes stored and downloaded (10⁹ bytes), and requests of each class, as R2 calls them."""

    stored: float
    class_a: float
    class_b: float
    downloaded: float


@dataclass(frozen=True)
class Price:
    """`stored` and `downloaded` per GB, requests per million, `fixed` per month. `free` is what each month has free."""

    title: str
    stored: float
    class_a: float
    class_b: float
    downloaded: float
    fixed: float
    free: Use
    as_of: str
    source: str


@dataclass(frozen=True)
class Bill:
    """US dollars a month."""

    title: str
    storage: float
    requests: float
    downloads: float
    fixed: float

    @property
    def total(self) -> float:
        return self.storage + self.requests + self.downloads + self.fixed


NOTHING = Use(0, 0, 0, 0)
PRICES = (
    Price(
        title="Cloudflare R2",
        stored=0.015,
        class_a=4.50,
        class_b=0.36,
        downloaded=0,
        fixed=0,
        free=Use(10, MILLION, 10 * MILLION, 0),
        as_of="2026-08",
        source="https://developers.cloudflare.com/r2/pricing/",
    ),
    Price(
        title="AWS S3 and CloudFront",
        stored=0.023,
        class_a=5.00,
        class_b=0.40,
        downloaded=0.085,
        fixed=0,
        free=NOTHING,
        as_of="2025-01",
        source="https://aws.amazon.com/s3/pricing/",
    ),
    Price(
        title="Backblaze B2 behind Cloudflare",
        stored=0.006,
        class_a=0,
        class_b=0.40,
        downloaded=0,
        fixed=0,
        free=Use(10, 0, 30 * 2500, 0),
        as_of="2025-01",
        source="the provider's page on cloud storage pricing",
    ),
    Price(
        title="an engine of your own on a server",
        stored=0,
        class_a=0,
        class_b=0,
        downloaded=0,
        fixed=20,
        free=NOTHING,
        as_of="2025-01",
        source="the design: 500 GB at a hoster, $20 to $50",
    ),
)


def bill(price: Price, use: Use, *, with_free: bool = True) -> Bill:
    """What `use` costs; without `with_free` as if nothing were free."""
    free = price.free if with_free else NOTHING
    requests = price.class_a * max(0, use.class_a - free.class_a) + price.class_b * max(0, use.class_b - free.class_b)
    return Bill(
        price.title,
        storage=price.stored * max(0, use.stored - free.stored),
        requests=requests / MILLION,
        downloads=price.downloaded * max(0, use.downloaded - free.downloaded),
        fixed=price.fixed,
    )
