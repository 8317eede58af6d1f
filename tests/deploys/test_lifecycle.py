"""What a deploy knows of the buckets' rules, and what it makes of it."""

import json
from pathlib import Path

from deploys.services.lifecycle import BucketRules
from portal.mirror.declared import declared, pending
from portal.settings import S3, Settings

MIRROR = S3(endpoint="https://s3.example.org", bucket="mosis", private_bucket="private", credentials=Path("/run/r2"))
SETTINGS = Settings(root=Path("/srv/mosis"), public_url="https://store.example.org", mirror=MIRROR)


def test_rules_as_the_command_prints_them_are_up_to_date() -> None:
    printed = json.dumps({one.label: one.own for one in declared(SETTINGS)}, indent=1)
    found = BucketRules().process(printed.splitlines())
    assert found is not None
    assert not any(pending(SETTINGS, found).values())
    assert all(pending(SETTINGS, {}).values())


def test_what_an_older_release_or_a_bucket_that_is_away_prints_is_no_knowledge() -> None:
    for printed in ("", "Bucket mosis: it is away.", json.dumps([{"ID": "mosis-temp"}])):
        assert BucketRules().process(printed.splitlines()) is None
