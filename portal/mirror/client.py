"""A bucket as its provider wants to be spoken to; the one place that knows boto3.

boto3 is imported when a bucket is opened, because it takes longer to load than most commands take to run.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, cast
from xml.etree import ElementTree as ET

from portal.faults import Fault
from portal.mirror.providers import Provider, provider_of, url_of
from portal.settings import S3

# What is read, merged and written back; an element that boto3 does not know would be lost on the way.
WRITTEN_BACK = ("GetBucketLifecycleConfiguration", "GetBucketCors")


REMEDIES = {
    **dict.fromkeys(
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "Unauthorized"),
        "Check the two lines of {credentials}: access key, secret key",
    ),
    **dict.fromkeys(
        ("AccessDenied", "403"),  # the answer to a HEAD has no code
        "Let this access key list, read, write and delete objects in {bucket}",
    ),
    "NoSuchBucket": "Create the bucket, or correct its name in the setting mirror",
    "RequestTimeTooSkewed": "The clock of this host is wrong: turn on time synchronization (NTP)",
}


NOT_ASKED = "NotAsked"


class MirrorError(Fault):
    """The engine does not answer or refuses; the message is one sentence for the operator.

    `code` is the engine's; NOT_ASKED if it was not reached, or no access key is there to ask it with.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Bucket:
    """The bucket of `engine`. Raises MirrorError for unusable credentials, SettingsError for an unknown provider."""

    def __init__(self, engine: S3) -> None:
        self.engine = engine
        self.provider = provider_of(engine)
        self._client = _client(engine, self.provider)
        for operation in WRITTEN_BACK:
            self._client.meta.events.register(f"before-parse.s3.{operation}", self._refuse_loss)

    def call(self, operation: str, **parameters: object) -> Mapping[str, Any]:
        """The answer of an S3 operation, by boto3's names for both. Raises MirrorError."""
        with self.failures():
            answer = getattr(self._client, operation)(Bucket=self.engine.bucket, **parameters)
        return cast("Mapping[str, Any]", answer)

    def presigned_put(self, key: str, *, size: int, media_type: str, seconds: int) -> str:
        """A URL that stores an object of exactly `size` bytes and this type; computed without asking the bucket."""
        given = {"Bucket": self.engine.bucket, "Key": key, "ContentLength": size, "ContentType": media_type}
        return str(self._client.generate_presigned_url("put_object", Params=given, ExpiresIn=seconds))

    @contextmanager
    def failures(self) -> Iterator[None]:
        """What boto3 raises inside the block, also while a body is read, is raised as MirrorError."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise self.failed(f"{str(error).rstrip('.')}. {self._remedy(code)}".rstrip(), code) from None
        except BotoCoreError as error:
            raise self.failed(str(error), NOT_ASKED) from None

    def _remedy(self, code: str) -> str:
        return REMEDIES.get(code, "").format(bucket=self.engine.bucket, credentials=self.engine.credentials)

    def failed(self, reason: str, code: str = "") -> MirrorError:
        """The error of this bucket for `reason`, a sentence."""
        return MirrorError(f"Bucket {self.engine.bucket} at {self.engine.endpoint}: {reason.rstrip('.')}.", code)

    def _refuse_loss(self, operation_model: Any, response_dict: Mapping[str, Any], **_: object) -> None:
        """An event handler of botocore, before it parses an answer. Raises MirrorError."""
        if response_dict["status_code"] != 200:
            return
        root, *elements = ET.fromstring(response_dict["body"]).iter()
        del root  # its name is no part of the shape
        sent = {element.tag.rpartition("}")[2] for element in elements}
        if lost := sent - set(_element_names(operation_model.output_shape)):
            raise self.failed(
                f"its rules contain {', '.join(sorted(lost))}, which boto3 cannot write back;"
                " manage its rules with the provider's own tool"
            )


def _client(engine: S3, provider: Provider) -> Any:
    from botocore.config import Config

    access_key, secret_key = access_key_of(engine.credentials)
    session, alone = _session()
    with alone:
        return session.client(
            "s3",
            endpoint_url=url_of(engine),
            region_name=provider.region_of(engine),
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": provider.addressing},
                request_checksum_calculation=provider.checksums,
                response_checksum_validation=provider.checksums,
                retries={"mode": "standard", "total_max_attempts": 3},
                connect_timeout=5,
                read_timeout=30,
            ),
        )


@cache
def _session() -> tuple[Any, Lock]:
    """What makes clients, one thread at a time. It keeps botocore's models, which take 0.1 s and 12 MB to read."""
    import boto3

    return boto3.Session(), Lock()


def access_key_of(path: Path) -> tuple[str, str]:
    """The two lines of a file of credentials. Raises MirrorError."""
    try:
        access_key, secret_key = path.read_text().split()
    except OSError as error:
        raise MirrorError(f"{path} cannot be read: {error.strerror}.", NOT_ASKED) from None
    except ValueError:
        raise MirrorError(f"{path} must contain two lines, access key and secret key.", NOT_ASKED) from None
    return access_key, secret_key


def _element_names(shape: Any) -> Iterator[str]:
    """Every XML element that botocore reads below `shape`."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield member.serialization.get("name", name)
            yield from _element_names(member)
    elif shape.type_name == "list":
        yield from _element_names(shape.member)
