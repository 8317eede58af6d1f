"""The store's answers, as far as this client reads them; members that it does not know stay as they were."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from portal.faults import Fault
from portal.packages.identifiers import AppId, DeveloperId, VersionCode


class Document(BaseModel):
    """An answer in JSON. `as_sent` is what the store sent, for programs."""

    model_config = ConfigDict(extra="allow", strict=True)

    def as_sent(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


D = TypeVar("D", bound=Document)


class ProblemDocument(Document):
    """RFC 9457."""

    code: str
    title: str = ""
    detail: str = ""
    errors: list[str] = []


class Quotas(Document):
    """What counts for a developer, or the most there may be."""

    bytes: int  # of packages, images and open uploads
    open_upload_bytes: int
    unpublished: int  # versions that are uploads, drafts or in review


class Me(Document):
    """The developer of a token, and the app that it is bound to."""

    developer_id: DeveloperId
    scope: str
    expires_at: str
    app_id: AppId | None = None
    usage: Quotas | None = None  # stores of older releases send neither
    quota: Quotas | None = None


class SigningKey(Document):
    """A key that signs an app from a version code on."""

    key_id: str
    from_version_code: int
    revoked_at: str | None = None  # an older store does not send it


class Recovery(Document):
    """A key that will sign an app, and from when on."""

    key_id: str
    effective_at: str


class Signing(Document):
    """The keys of an app, the first one first."""

    keys: list[SigningKey]
    pending_recovery: Recovery | None = None


class App(Document):
    """An app of the developer."""

    app_id: AppId
    name: str
    published_code: int | None
    signing: Signing


class Listing(Document):
    """A page of a list; stores of older releases send the whole."""

    cursor: str | None = None


L = TypeVar("L", bound=Listing)


class Apps(Listing):
    """`GET /api/apps`."""

    apps: list[App]


class Version(Document):
    """A version, perhaps one that failed validation."""

    app_id: AppId
    version_code: int | None
    version: str | None
    status: str
    status_at: str | None = None  # stores before 1.0 have none
    size: int | None
    sha256: str | None
    reasons: list[str]


class Placed(Version):
    """A version that passed validation."""

    version_code: VersionCode
    version: str
    size: int
    sha256: str


class Versions(Listing):
    """`GET /api/apps/{app_id}/versions`."""

    versions: list[Version]


class Queue(Listing):
    """`GET /api/review`."""

    versions: list[Placed]


class Images(Document):
    """Images of an app; `sha256` names all of them in a decision."""

    app_id: str
    changed_at: str | None
    sha256: str


class ImageQueue(Listing):
    """`GET /api/review/images`."""

    images: list[Images]


class Key(Document):
    """A registered key; `revoked_at` is None for a valid one."""

    key_id: str
    revoked_at: str | None


class Keys(Listing):
    """`GET /api/developers/{developer_id}/keys`."""

    keys: list[Key]


class OpenUpload(Document):
    """An upload, and the URL that receives it."""

    upload_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
    url: Annotated[str, Field(pattern=r"^(https?://[^/]+)?/[!-~]*$", max_length=2000)]

    @property
    def target(self) -> str:
        """The URL without scheme and host."""
        return self.url[self.url.index("/", self.url.find("://") + 3 if self.url[0] != "/" else 0) :]


class Audience(Document):
    """Whom an ID token must be for."""

    audience: Annotated[str, Field(pattern=r"^[!-~]{1,2000}$")]


class IdToken(Document):
    """What a CI service issues to a job."""

    value: str


class IssuedToken(Document):
    """A token of the store."""

    token: Annotated[str, Field(pattern=r"^mosis_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$")]


class Publisher(Document):
    """A repository that an app trusts."""

    number: int
    issuer: str
    repository_id: str
    ref: str
    environment: str


class Publishers(Document):
    """`GET /api/apps/{app_id}/publishers`."""

    publishers: list[Publisher]


def read(kind: type[D], document: object, asked: str) -> D:
    """The document as one of this kind; `asked` names the request. Raises Fault for one of another shape."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise Fault(
            f"The answer to {asked} is not what a store sends ({where}: {first['msg'].lower()}): check the URL, and"
            " whether the store and this client are of the same release."
        ) from None
