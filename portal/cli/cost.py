"""`mosis cost`: what a mirror would cost."""

from typing import Annotated

import typer

from portal import settings
from portal.cli.lazy import example
from portal.jobs import cost as job
from portal.mirror.prices import PRICES, bill
from portal.store.store import open_store


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command("cost", epilog=example("cost", "cost --downloads 100000"))(cost)


def cost(
    downloads: Annotated[int, typer.Option(min=0, help="Downloads of packages in a month.")] = 10_000,
) -> None:
    """Estimate what the mirror's bucket costs a month at each provider, from the store's own figures."""
    found = job.figures(open_store(settings.load()))
    used = job.use(found, downloads)
    print(
        f"{used.stored:.2f} GB published; in the last 30 days {found.versions} versions and {found.images} images;"
        f" {downloads} downloads of {found.package / 1e6:.1f} MB"
    )
    print(f"{'US dollars a month':34}{'storage':>10}{'requests':>10}{'downloads':>10}{'fixed':>10}{'all':>10}")
    for price in PRICES:
        one = bill(price, used)
        parts = (one.storage, one.requests, one.downloads, one.fixed, one.total)
        print(f"{one.title:34}{''.join(f'{part:10.2f}' for part in parts)}")
    for price in PRICES:
        print(f"prices of {price.title}: {price.as_of}, {price.source}")
