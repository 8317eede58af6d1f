"""What the private bucket honours of what uploads through it need, tried by a URL like those that developers get."""

from portal.mirror import probe
from portal.mirror.client import Bucket
from portal.mirror.cors import CORS
from portal.mirror.lifecycle import LIFECYCLE
from portal.mirror.probe import BODY, Check

MEDIA_TYPE = "application/octet-stream"


def _answer(bucket: Bucket, method: str, url: str, body: bytes = b"", media_type: str = MEDIA_TYPE) -> int:
    """The status of a request without any credentials but those in `url`. Raises MirrorError."""
    from botocore.awsrequest import AWSRequest
    from botocore.httpsession import URLLib3Session

    request = AWSRequest(method, url, {"Content-Type": media_type}, body)
    with bucket.failures():
        return int(URLLib3Session().send(request.prepare()).status_code)


def _url(bucket: Bucket, key: str) -> str:
    return Bucket(bucket.engine.signing).presigned_put(key, size=len(BODY), media_type=MEDIA_TYPE, seconds=60)


def _takes(bucket: Bucket, key: str) -> bool:
    return _answer(bucket, "PUT", _url(bucket, key), BODY) == 200 and probe.content(bucket, key) == BODY


def _checks_length(bucket: Bucket, key: str) -> bool:
    _answer(bucket, "PUT", _url(bucket, key), BODY + BODY)
    return probe.content(bucket, key) == BODY


def _checks_type(bucket: Bucket, key: str) -> bool:
    return _answer(bucket, "PUT", _url(bucket, key), BODY, "text/html") == 403


def _hides(bucket: Bucket, key: str) -> bool:
    url = bucket.presigned_put(key, size=len(BODY), media_type=MEDIA_TYPE, seconds=60)
    return _answer(bucket, "GET", url.partition("?")[0]) != 200


def _lets_pages_in(bucket: Bucket, key: str) -> bool:
    CORS.current(bucket)
    return True


def _expires(bucket: Bucket, key: str) -> bool:
    LIFECYCLE.current(bucket)
    return True


CHECKS = (
    Check("private bucket: presigned uploads", _takes, "no upload through it succeeds.", required=True),
    Check("private bucket: nobody reads it", _hides, "anybody who knows an upload's ID can read it.", required=True),
    Check("private bucket: signed length", _checks_length, "larger objects are refused only when they are fetched."),
    Check("private bucket: signed type", _checks_type, "objects may have any type; the store does not use it."),
    Check("private bucket: CORS rules", _lets_pages_in, "pages of the store cannot upload."),
    Check("private bucket: lifecycle rules", _expires, "only the store itself deletes leftovers below temp/."),
)
