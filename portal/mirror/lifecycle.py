"""Lifecycle rules of the bucket: the backstop of the portal's own retention, which stays authoritative.

Rules are those of S3's `PutBucketLifecycleConfiguration`. Object tags are left alone: Cloudflare R2 has none, so drafts
live below a prefix of their own instead of carrying a tag.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from portal.settings import S3

Rule = dict[str, Any]

DEFAULTS = (None, "", False, [], {})  # what engines add to an answer where the request said nothing


class LifecycleError(RuntimeError):
    """The engine cannot be asked or refuses; the message is one sentence for the operator."""


def current(engine: S3) -> list[Rule]:
    """The rules of the bucket, none where it has no configuration. Raises LifecycleError."""
    try:
        return _client(engine).get_bucket_lifecycle_configuration(Bucket=engine.bucket)["Rules"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchLifecycleConfiguration":
            return []
        raise _failed(engine, error) from None
    except BotoCoreError as error:
        raise _failed(engine, error) from None


def apply(engine: S3, rules: Iterable[Rule]) -> None:
    """Make these the bucket's rules, and read them back. Raises LifecycleError when the engine does not keep them."""
    wanted = list(rules)
    try:
        _client(engine).put_bucket_lifecycle_configuration(
            Bucket=engine.bucket, LifecycleConfiguration={"Rules": wanted}
        )
    except (ClientError, BotoCoreError) as error:
        raise _failed(engine, error) from None
    if canonical(current(engine)) != canonical(wanted):
        raise LifecycleError(f"{engine.endpoint} took the lifecycle rules of {engine.bucket} but keeps others.")


def canonical(rules: Iterable[Rule]) -> list[str]:
    """A form in which equal configurations are equal, whatever their order, older spelling or added defaults."""
    return sorted(json.dumps(_canonical_rule(rule), sort_keys=True) for rule in rules)


def _canonical_rule(rule: Rule) -> Rule:
    plain = _without_defaults(rule)
    prefix = plain.pop("Prefix", "")  # the spelling before Filter, which some engines still answer in
    conditions = plain.pop("Filter", {})
    conditions.update(conditions.pop("And", {}))
    return {**plain, "Filter": {"Prefix": prefix} | conditions}


def _without_defaults(value: Any) -> Any:
    if isinstance(value, Mapping):
        inner = {key: _without_defaults(entry) for key, entry in value.items()}
        return {key: entry for key, entry in inner.items() if entry not in DEFAULTS}
    return value


def _client(engine: S3) -> Any:
    try:
        access_key, secret_key = engine.credentials.read_text().split()
    except OSError as error:
        raise LifecycleError(f"{engine.credentials} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise LifecycleError(f"{engine.credentials} must hold two lines, access key and secret key.") from None
    return boto3.client(
        "s3",
        endpoint_url=str(engine.endpoint),
        region_name=engine.region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"mode": "standard", "total_max_attempts": 3},
            connect_timeout=5,
            read_timeout=30,
        ),
    )


def _failed(engine: S3, error: Exception) -> LifecycleError:
    return LifecycleError(f"The lifecycle rules of {engine.bucket} at {engine.endpoint}: {str(error).rstrip('.')}.")
