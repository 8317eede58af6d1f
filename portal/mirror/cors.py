"""CORS rules of the private bucket: the store's own pages may send packages to it."""

from urllib.parse import urlsplit

from portal.mirror.merging import OURS, Kind, Rule

MAX_AGE_SECONDS = 3600  # that a browser keeps the permission
ANY_ORDER = ("AllowedHeaders", "AllowedMethods", "AllowedOrigins", "ExposeHeaders")


def wanted(public_url: str) -> list[Rule]:
    """Our rules for a store that people reach at `public_url`; none for a store without."""
    if not public_url:
        return []
    parts = urlsplit(public_url)
    return [
        {
            "ID": f"{OURS}uploads",
            "AllowedOrigins": [f"{parts.scheme}://{parts.netloc}".lower()],
            "AllowedMethods": ["PUT"],
            "AllowedHeaders": ["content-type"],
            "MaxAgeSeconds": MAX_AGE_SECONDS,
        }
    ]


def _plain(rule: Rule) -> Rule:
    """Without the ID, which not every engine keeps."""
    sets = {name: sorted(rule[name]) for name in ANY_ORDER if name in rule}
    return {name: value for name, value in rule.items() if name != "ID"} | sets


CORS = Kind(
    name="CORS",
    operation="bucket_cors",
    parameter="CORSConfiguration",
    rules="CORSRules",
    delete="delete_bucket_cors",
    absent="NoSuchCORSConfiguration",
    plain=_plain,
)
