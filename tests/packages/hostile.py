"""ZIP archives built byte by byte, so that any field of them can lie."""

import base64
import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from portal.packages.records import CENTRAL, DESCRIPTOR, END, LOCAL, CentralHeader

from .samples import manifest

LOCAL_FIELDS = (CentralHeader._fields[0], *CentralHeader._fields[2:12])
STORED, DEFLATED, DESCRIBED, UTF8 = 0, 8, 0x0008, 0x0800


def deflate(content: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(content) + deflater.flush()


def extra(identifier: int, data: bytes = b"") -> bytes:
    return struct.pack("<2H", identifier, len(data)) + data


@dataclass(frozen=True)
class Item:
    """One entry; `local` and `central` override fields of its headers, `data` its packed bytes."""

    name: bytes
    content: bytes = b""
    method: int = STORED
    flags: int = 0
    data: bytes | None = None
    descriptor: bytes | None = None
    before: bytes = b""
    local: Mapping[str, int | bytes] = field(default_factory=dict)
    central: Mapping[str, int | bytes] = field(default_factory=dict)
    local_extra: bytes = b""
    central_extra: bytes = b""
    comment: bytes = b""

    @property
    def packed(self) -> bytes:
        if self.data is not None:
            return self.data
        return deflate(self.content) if self.method == DEFLATED else self.content

    def fields(self) -> dict[str, int | bytes]:
        return {
            "needed": 20,
            "flags": self.flags,
            "method": self.method,
            "time": 0,
            "date": 0x21,
            "crc": zlib.crc32(self.content),
            "packed": len(self.packed),
            "unpacked": len(self.content),
            "name_length": len(self.name),
        }

    def local_record(self) -> bytes:
        streamed = {"crc": 0, "packed": 0, "unpacked": 0} if self.flags & DESCRIBED else {}
        values = self.fields() | streamed | {"extra_length": len(self.local_extra), "magic": b"PK\3\4"} | self.local
        name = values.get("name", self.name)
        return (
            LOCAL.pack(*(values[key] for key in LOCAL_FIELDS)) + name + self.local_extra + self.packed + self.trailer()
        )

    def trailer(self) -> bytes:
        if self.descriptor is not None:
            return self.descriptor
        if self.flags & DESCRIBED:
            return DESCRIPTOR.pack(b"PK\7\x08", zlib.crc32(self.content), len(self.packed), len(self.content))
        return b""

    def central_record(self, offset: int) -> bytes:
        values = self.fields() | {
            "magic": b"PK\1\2",
            "made_by": 0x0314,
            "extra_length": len(self.central_extra),
            "comment_length": len(self.comment),
            "disk": 0,
            "internal": 0,
            "external": (0o040755 if self.name.endswith(b"/") else 0o100644) << 16,
            "offset": offset,
            **self.central,
        }
        return (
            CENTRAL.pack(*(values[key] for key in CentralHeader._fields))
            + self.name
            + self.central_extra
            + self.comment
        )


def build(
    items: Iterable[Item],
    *,
    prefix: bytes = b"",
    before_directory: bytes = b"",
    after_directory: bytes = b"",
    suffix: bytes = b"",
    shift: int = 0,
    **end: int,
) -> bytes:
    """The archive of `items`; `shift` moves every stated offset, `end` overrides fields of the end record."""
    body, directory, count = prefix, b"", 0
    for item in items:
        body += item.before
        directory += item.central_record(len(body) + shift)
        body += item.local_record()
        count += 1
    body += before_directory
    values = {
        "disk": 0,
        "first_disk": 0,
        "here": count,
        "count": count,
        "length": len(directory),
        "start": len(body) + shift,
        "comment": 0,
    } | end
    return body + directory + after_directory + END.pack(b"PK\5\6", *values.values()) + suffix


MANIFEST = Item(b"manifest.json", json.dumps(manifest()).encode())
SIGNATURE = Item(
    b"META-INF/mosis.sig",
    json.dumps({"alg": "ed25519", "key_id": "0" * 32, "signature": base64.b64encode(bytes(64)).decode()}).encode(),
)
FILE = Item(b"files/a.txt", b"content of a\n" * 10)


def package(*items: Item, **changes: object) -> bytes:
    """A package that is right but for `items` and the changes to the archive."""
    return build([MANIFEST, *items, SIGNATURE], **changes)


def file(**changes: object) -> Item:
    """An entry that is right but for `changes`."""
    return replace(FILE, **changes)


def quoted_overlap_bomb(files: int, kernel: bytes) -> bytes:
    """Entries that share one kernel, each quoting the local headers after it (Fifield, "A better zip bomb", 2019)."""
    packed, content = deflate(kernel), kernel
    bodies: list[Item] = []
    for number in reversed(range(files)):
        item = Item(b"%06d" % number, content, DEFLATED, data=packed)
        bodies.insert(0, item)
        header = item.local_record()[: LOCAL.size + len(item.name)]
        packed = struct.pack("<BHH", 0, len(header), 0xFFFF ^ len(header)) + header + packed
        content = header + content
    step = LOCAL.size + 6 + 5
    fixed = [MANIFEST.local_record(), SIGNATURE.local_record()]
    start = sum(map(len, fixed))
    directory = MANIFEST.central_record(0) + SIGNATURE.central_record(len(fixed[0]))
    directory += b"".join(item.central_record(start + number * step) for number, item in enumerate(bodies))
    body = b"".join(fixed) + bodies[0].local_record()
    return body + directory + END.pack(b"PK\5\6", 0, 0, files + 2, files + 2, len(directory), len(body), 0)
