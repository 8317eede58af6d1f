"""Every way in which an archive can lie, one row each."""

import json
import struct
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from portal.packages import package as packages
from portal.packages.archive import read_directory
from portal.packages.errors import PackageRejected
from portal.packages.extra_fields import NEEDLESS_ZIP64
from portal.packages.limits import DEFAULT_LIMITS, Limits

from . import hostile
from .hostile import DEFLATED, DESCRIBED, FILE, MANIFEST, SIGNATURE, UTF8, Item, extra, file, package
from .samples import manifest

A = '"files/a.txt"'
GOOD = package(FILE)
UMLAUT = "ü".encode()
UT = extra(0x5455, b"\1" + bytes(4))
END = hostile.END.size


def descriptor(item: Item, magic: bytes = b"PK\7\x08", **changes: int) -> bytes:
    values = {"crc": zlib.crc32(item.content), "packed": len(item.packed), "unpacked": len(item.content)} | changes
    return magic + struct.pack("<3L", *values.values())


def with_entry(path: str) -> Item:
    return replace(MANIFEST, content=json.dumps(manifest(entry=path)).encode())


STREAMED = file(method=DEFLATED, flags=DESCRIBED)


def unicode_path(name: bytes, of: bytes | None = None, version: int = 1) -> bytes:
    return extra(0x7075, struct.pack("<BL", version, zlib.crc32(name if of is None else of)) + name)


def zip64(unpacked: int, packed: int) -> bytes:
    return extra(1, struct.pack("<2Q", unpacked, packed))


FORCED = file(
    local={"needed": 45, "packed": 2**32 - 1, "unpacked": 2**32 - 1},
    central={"needed": 45},
    local_extra=zip64(len(FILE.content), len(FILE.content)),
)

REFUSED: dict[str, tuple[bytes, list[str]]] = {
    # the end record
    "empty": (b"", ["no end of central directory"]),
    "short": (b"PK\5\6", ["no end of central directory"]),
    "text": (b"hello, world\n" * 100, ["no end of central directory"]),
    "zeros": (bytes(100_000), ["no end of central directory"]),
    "truncated": (GOOD[:-1], ["no end of central directory"]),
    "no entries": (
        hostile.build([]),
        ["manifest.json is missing.", "META-INF/mosis.sig is missing: sign the package with `mosis sign`."],
    ),
    "trailing byte": (GOOD + b"\0", ["The archive is padded: 1 zero bytes follow"]),
    "trailing archive tail": (GOOD + GOOD[-END:], ["does not follow the central directory"]),
    "trailing line break": (GOOD + b"\r\n", ["A line break follows the archive"]),
    "trailing text": (GOOD + b"text", ["appended data: 4 bytes follow"]),
    "comment": (
        package(FILE, suffix=b"comment", comment=7),
        ["as `git archive` writes its commit. Remove it with `zip -z`"],
    ),
    "announced comment": (package(FILE, comment=7), ["comment of 7 bytes that is missing"]),
    "prefix": (b"#!/bin/sh\n" + GOOD, ["does not follow the central directory"]),
    "prefix with right offsets": (package(FILE, prefix=b"#!/bin/sh\n"), ["first 10 bytes of the file belong to no"]),
    "two archives": (GOOD + GOOD, ["does not follow the central directory"]),
    "multi-disk": (package(FILE, disk=1), ["one part of a multi-part archive"]),
    "multi-disk start": (package(FILE, first_disk=1), ["one part of a multi-part archive"]),
    "multi-disk count": (package(FILE, here=2), ["one part of a multi-part archive"]),
    "gap after directory": (package(FILE, after_directory=b"hidden"), ["does not follow the central directory"]),
    "gap before directory": (
        package(FILE, before_directory=bytes(500)),
        ['mosis.sig" is followed by up to 500 bytes'],
    ),
    "small gap before directory": (
        package(FILE, before_directory=b"hid"),
        ['"META-INF/mosis.sig" has 3 bytes around it that belong to no entry.'],
    ),
    "zip64 count": (package(FILE, count=0xFFFF, here=0xFFFF), ["uses ZIP64"]),
    "zip64 start": (package(FILE, start=0xFFFFFFFF), ["uses ZIP64"]),
    "zip64 length": (package(FILE, length=0xFFFFFFFF), ["uses ZIP64"]),
    "zip64 locator": (package(FILE, after_directory=b"PK\6\7" + bytes(16)), ["uses ZIP64"]),
    # the central directory
    "count too high": (package(FILE, count=4, here=4), ["is truncated before record 4 of 4"]),
    "count too low": (package(FILE, count=2, here=2), ["bytes after its 2 entries"]),
    "count far too low": (package(FILE, count=0, here=0), ["too long for 0 entries"]),
    "too many entries": (package(FILE, count=10_001, here=10_001), ["10001 entries, more than the 10000"]),
    "directory offset": (package(FILE, start=0), ["does not follow the central directory"]),
    "directory magic": (package(file(central={"magic": b"PK\1\3"})), ["is truncated before record 2 of 3"]),
    "name longer than directory": (
        hostile.build([MANIFEST, replace(SIGNATURE, central={"name_length": 500})]),
        ["Record 2 of the central directory extends beyond"],
    ),
    "central comment": (package(file(comment=b"comment")), [f"{A} has a comment."]),
    "other disk": (package(file(central={"disk": 1})), [f"{A} is on another disk of a multi-part archive."]),
    # where entries are
    "gap": (
        package(file(before=bytes(500))),
        ['"manifest.json" is followed by up to 500 bytes that'],
    ),
    "small gap": (
        package(file(before=b"hid")),
        ['"manifest.json" has 3 bytes around it that belong to no entry.'],
    ),
    "unlisted entry": (
        package(file(before=file(name=b"hidden").local_record())),
        ['"manifest.json" is followed by up to 166 bytes that belong to no entry.'],
    ),
    "same data twice": (
        package(file(name=b"b", central={"offset": 0})),
        [
            '"manifest.json" overlaps the next record by 156 bytes.',
            '"b" is followed by up to 156 bytes that',
        ],
    ),
    "offset beyond": (
        package(file(central={"offset": 10_000})),
        ['171 bytes that belong to no entry. Likewise "META-INF/mosis.sig".', f"{A} overlaps the next record"],
    ),
    "all offsets shifted": (package(FILE, shift=10), ["does not follow the central directory"]),
    "packed size too large": (
        package(file(central={"packed": 500, "unpacked": 500})),
        [f"{A} overlaps the next record by 370 bytes."],
    ),
    "huge packed size": (package(file(central={"packed": 2**32 - 2, "unpacked": 1})), ["sizes differ", "overlaps"]),
    "size in ZIP64": (package(FILE, file(name=b"b", central={"packed": 2**32 - 1})), ['"b" uses ZIP64']),
    # local headers
    "no local header": (package(file(local={"magic": b"PK\3\5"})), [f"{A} has no local header at byte"]),
    "local flags": (package(file(local={"flags": UTF8})), ["differs in flags between"]),
    "local method": (package(file(local={"method": 8})), ["differs in method between"]),
    "local time": (package(file(local={"time": 1})), ["differs in time between"]),
    "local crc": (package(file(local={"crc": 1})), ["differs in CRC-32 between"]),
    "local packed size": (package(file(local={"packed": 1})), ["differs in packed size between"]),
    "local unpacked size": (package(file(local={"unpacked": 1})), ["differs in unpacked size between"]),
    "local name": (package(file(local={"name": b"files/b.txt"})), ["differs in name between"]),
    "local name length": (package(file(local={"name_length": 5})), ["differs in length of the name between"]),
    "local extra length": (package(file(local={"extra_length": 4})), [f"{A} overlaps the next record by 4 bytes."]),
    "local sizes beside descriptor": (
        package(replace(STREAMED, local={"packed": 5})),
        ["differs in packed size between"],
    ),
    # extra fields
    "zip64 extra": (
        package(file(central_extra=extra(1, bytes(16)))),
        [f"{A} uses ZIP64, which no package of the allowed size needs: set zip64Mode"],
    ),
    "zip64 local extra": (
        package(file(local_extra=extra(1, bytes(16)))),
        [f"{A} uses ZIP64"],
    ),
    "another unicode path": (
        package(file(local_extra=unicode_path(b"files/b.txt"), central_extra=unicode_path(b"files/b.txt"))),
        ["0x7075 (Unicode path) that states another name"],
    ),
    "unicode path of another name": (
        package(file(local_extra=unicode_path(FILE.name, b"files/b.txt"))),
        ["0x7075 (Unicode path) that states another name"],
    ),
    "unicode path in one header": (
        package(
            file(name=UMLAUT, flags=UTF8, central_extra=unicode_path(UMLAUT)),
            file(name=b"b", local_extra=unicode_path(b"b")),
        ),
        ['has an extra field 0x7075 (Unicode path) in only one of its two headers. Likewise "b".'],
    ),
    "empty unicode path": (
        package(file(local_extra=extra(0x7075), central_extra=extra(0x7075))),
        ["0x7075 (Unicode path)"],
    ),
    "unicode path, version 2": (
        package(file(local_extra=unicode_path(FILE.name, version=2), central_extra=unicode_path(FILE.name, version=2))),
        ["0x7075 (Unicode path)"],
    ),
    "zip64 with other sizes": (package(file(local_extra=zip64(130, 129))), [f"{A} uses ZIP64"]),
    "zip64 with a third size": (
        package(file(local_extra=extra(1, struct.pack("<3Q", 130, 130, 0)))),
        [f"{A} uses ZIP64"],
    ),
    "zip64 and a descriptor": (
        package(replace(STREAMED, local_extra=zip64(0, 0))),
        [f"{A} uses ZIP64"],
    ),
    "zip64 as Python forces it": (
        package(
            FORCED,
            replace(FORCED, name=b"b"),
            replace(FORCED, name=b"c"),
        ),
        [f'{A} {NEEDLESS_ZIP64}. Likewise "b" and "c".'],
    ),
    "strong encryption extra": (package(file(central_extra=extra(0x0017, bytes(8)))), ["extra field 0x0017"]),
    "aes extra": (package(file(central_extra=extra(0x9901, bytes(7)))), ["extra field 0x9901"]),
    "long timestamp": (package(file(central_extra=extra(0x5455, bytes(40)))), ["extra field 0x5455 of 40"]),
    "extra twice": (package(file(central_extra=UT + UT)), ["the extra field 0x5455 twice"]),
    "extra cut off": (package(file(central_extra=UT[:-1])), ["a truncated extra field 0x5455"]),
    "extra padding": (package(file(central_extra=UT + b"\0")), ["1 bytes that do not form an extra field"]),
    # flags, methods, kinds
    "encrypted": (package(file(flags=0x0001)), [f"{A} is encrypted."]),
    "strongly encrypted": (package(file(flags=0x0041)), [f"{A} is encrypted.", f"{A} uses strong encryption."]),
    "patched data": (package(file(flags=0x0020)), [f"{A} uses patched data."]),
    "masked headers": (package(file(flags=0x2000)), [f"{A} uses masked headers."]),
    "unknown flag": (package(file(flags=0x8000)), [f"{A} has the flags 0x8000, which are not supported."]),
    "deflate64": (package(file(method=9)), [f"{A} is compressed with method 9"]),
    "bzip2": (package(file(method=12)), [f"{A} is compressed with method 12"]),
    "lzma": (package(file(method=14)), [f"{A} is compressed with method 14"]),
    "zstandard": (package(file(method=93)), [f"{A} is compressed with method 93"]),
    "version 4.5": (
        package(file(central={"needed": 45}, local={"needed": 45})),
        [f"{A} uses ZIP64"],
    ),
    "version 5.1": (
        package(file(central={"needed": 51}, local={"needed": 51})),
        [f"{A} requires version 5.1 of the ZIP format; at most 2.0 is allowed."],
    ),
    "symbolic link": (package(file(central={"external": 0o120777 << 16})), [f"{A} is a link or a device"]),
    "character device": (package(file(central={"external": 0o020666 << 16})), [f"{A} is a link or a device"]),
    "fifo": (package(file(central={"external": 0o010666 << 16})), [f"{A} is a link or a device"]),
    "link made on DOS": (
        package(file(central={"external": 0o120777 << 16, "made_by": 20})),
        [f"{A} is a link or a device"],
    ),
    "set-user-ID": (package(file(central={"external": 0o104755 << 16})), [f"{A} has the mode 4755 with a set-user-ID"]),
    "set-group-ID": (package(file(central={"external": 0o102755 << 16})), ["mode 2755 with a set-user-ID"]),
    "sticky directory": (
        package(Item(b"d/", central={"external": 0o041755 << 16})),
        ['"d/" has the mode 1755 with a set-user-ID, set-group-ID or sticky bit'],
    ),
    "set-user-ID without a kind": (package(file(central={"external": 0o4755 << 16})), ["mode 4755"]),
    "set-user-ID made on DOS": (package(file(central={"external": 0o104755 << 16, "made_by": 20})), ["mode 4755"]),
    "writable by all": (package(file(central={"external": 0o100666 << 16})), ["every user of a device may change it"]),
    "directory writable by all": (
        package(Item(b"d/", central={"external": 0o040777 << 16})),
        ['"d/" has the mode 0777, with which every user of a device may change it: use 0644, or 0755 for'],
    ),
    "mode 0": (package(file(central={"external": 0o100000 << 16})), ["mode 0000, with which its owner cannot read it"]),
    "no mode at all, made on Unix": (package(file(central={"external": 0})), ["mode 0000, with which its"]),
    "made on an Amiga": (package(file(central={"made_by": 0x0114})), ["made on system 1, whose modes readers take"]),
    "directory without x": (package(Item(b"d/", central={"external": 0o040644 << 16})), ["owner cannot read it"]),
    "volume label": (package(file(central={"external": 0x08})), [f"{A} is a link or a device"]),
    "file marked as directory": (package(file(central={"external": 0x10})), ["marked as a directory but not named"]),
    "directory marked as file": (
        package(Item(b"files/", central={"external": 0o100644 << 16})),
        ['"files/" is named like a directory but marked as a file.'],
    ),
    "directory with content": (package(Item(b"files/", b"x")), ['"files/" is a directory with content.']),
    # the entry of the manifest
    "no such entry": (
        hostile.build([with_entry("nope.lua"), FILE, SIGNATURE]),
        ['manifest.json: "entry" is "nope.lua", but the package has no such file.'],
    ),
    "a directory as entry": (
        hostile.build([with_entry("files"), Item(b"files/"), FILE, SIGNATURE]),
        ['"entry" is "files", but the package has no such file.'],
    ),
    "a module as entry": (hostile.build([with_entry("app.main:run"), FILE, SIGNATURE]), ['"entry" is "app.main:run"']),
    # names
    "VMS version": (
        package(file(name=b"a.txt"), file(name=b"a.txt;1")),
        ['"a.txt;1" has a component that ends'],
    ),
    "VMS version, empty": (package(file(name=b"a.txt;")), ["ends with a semicolon"]),
    "VMS version of a directory": (package(file(name=b"a;12/b")), ["ends with a semicolon"]),
    "DOS and beyond ASCII": (
        package(file(name="ü".encode(), flags=UTF8, central={"made_by": 20})),
        ["in an archive marked as made on DOS"],
    ),
    "empty name": (package(file(name=b"")), ['"" has an empty component.']),
    "slash": (package(Item(b"/")), ['"/" is absolute.', '"/" has an empty component.']),
    "absolute": (package(file(name=b"/etc/passwd")), ['"/etc/passwd" is absolute.']),
    "parent": (package(file(name=b"files/../../x")), ["has a `..` component"]),
    "only parent": (package(file(name=b"..")), ['".." has a `..` component']),
    "dot": (package(file(name=b"./x")), ["has a `.` component: pack `*`, not `.`"]),
    "empty component": (package(file(name=b"a//b")), ["has an empty component"]),
    "backslash": (package(file(name=b"..\\x")), ["contains a backslash: separate directories with `/`"]),
    "drive": (package(file(name=b"C:/x")), ["contains a drive"]),
    "alternate stream": (package(file(name=b"x:y")), ["contains a drive"]),
    "nul": (package(file(name=b"a\0.txt")), ['"a\\u0000.txt" contains a control']),
    "line breaks": (package(file(name=b"a\r\nSet-Cookie x")), ['"a\\r\\nSet-Cookie x" contains a control']),
    "delete": (package(file(name=b"a\x7f")), ["contains a control"]),
    "right to left": (
        package(file(name="a\u202egnp.exe".encode(), flags=UTF8)),
        ['"a\\u202egnp.exe" contains a control'],
    ),
    "zero width": (package(file(name="a\u200b".encode(), flags=UTF8)), ["contains a control"]),
    "line separator": (package(file(name="a\u2028".encode(), flags=UTF8)), ["contains a control"]),
    "unassigned": (package(file(name="a\U000e0fff".encode(), flags=UTF8)), ["contains a control"]),
    "not UTF-8": (package(file(name=b"\xff\xfe", flags=UTF8)), ["is not a UTF-8 name"]),
    "overlong UTF-8": (package(file(name=b"\xc0\xae\xc0\xae/x", flags=UTF8)), ["is not a UTF-8 name"]),
    "surrogate": (package(file(name=b"\xed\xa0\x80", flags=UTF8)), ["is not a UTF-8 name"]),
    "not marked UTF-8": (
        package(file(name="ä".encode())),
        ["without the UTF-8 flag, which Info-ZIP's zip does not set: use `mosis pack`"],
    ),
    "not NFC": (package(file(name="a\u0308".encode(), flags=UTF8)), ["is not in Unicode normalization form NFC"]),
    "long name": (package(file(name=b"a/" * 300 + b"b")), ["is longer than 512 bytes"]),
    "long component": (package(file(name=b"a" * 256)), ["has a component longer than 255 bytes"]),
    "deep": (package(file(name=b"a/" * 32 + b"b")), ["is more than 32 directories deep"]),
    "device name": (package(file(name=b"files/NUL.txt")), ["a device name on Windows"]),
    "device name, padded": (package(file(name=b"nul .txt")), ["a device name on Windows"]),
    "console": (package(file(name=b"CONOUT$")), ["a device name on Windows"]),
    "trailing dot": (package(file(name=b"files./x")), ["ends with a space or a dot"]),
    "trailing space": (package(file(name=b"x ")), ["ends with a space or a dot"]),
    "@eaDir": (package(file(name=b"files/@eaDir/x")), ["reserved by an operating system: leave it out"]),
    "__MACOSX": (package(file(name=b"__MACOSX/x")), ["reserved by an operating system: leave it out"]),
    "AppleDouble": (package(file(name=b"files/._x")), ["reserved by an operating system: leave it out"]),
    "twice": (package(FILE, FILE), [f"{A} is listed twice."]),
    "manifest twice": (package(MANIFEST), ['"manifest.json" is listed twice.']),
    "case": (package(FILE, file(name=b"files/A.TXT")), ["differ only in case"]),
    "case of a directory": (package(FILE, file(name=b"Files/b.txt")), ['"Files" and "files" differ only in case']),
    "case beyond ASCII": (
        package(file(name="stra\u00dfe".encode(), flags=UTF8), file(name=b"STRASSE")),
        ["differ only in case"],
    ),
    "file and directory": (package(file(name=b"x"), Item(b"x/")), ['"x" is both a file and a directory.']),
    "file and implied directory": (package(file(name=b"x/y"), file(name=b"x")), ['"x" is both a file and a']),
    # data
    "stored sizes": (
        package(file(central={"unpacked": 131}, local={"unpacked": 131})),
        ["packed and unpacked sizes differ"],
    ),
    "crc": (
        package(file(central={"crc": 1}, local={"crc": 1})),
        [
            f"{A} has the CRC-32",
        ],
    ),
    "no deflate": (package(file(method=DEFLATED, data=b"\xff" * 130)), [f"{A} is not a deflate stream"]),
    "zlib header": (package(file(method=DEFLATED, data=zlib.compress(FILE.content))), [f"{A} is not a deflate stream"]),
    "deflate cut off": (package(file(method=DEFLATED, data=STREAMED.packed[:-3])), ["truncated deflate stream"]),
    "no deflate data": (
        package(file(method=DEFLATED, content=b"", data=b"")),
        [f"{A} has a truncated deflate stream."],
    ),
    "data after deflate": (
        package(file(method=DEFLATED, data=STREAMED.packed + b"hidden")),
        [f"{A} has 6 bytes after the end of its deflate stream."],
    ),
    "unpacks to more": (
        package(file(method=DEFLATED, central={"unpacked": 9}, local={"unpacked": 9})),
        [f"{A} unpacks to more than the 9 bytes declared."],
    ),
    "unpacks to less": (
        package(file(method=DEFLATED, central={"unpacked": 131}, local={"unpacked": 131})),
        [f"{A} unpacks to 130 bytes instead of the 131 declared."],
    ),
    "empty that is not": (
        package(file(method=DEFLATED, central={"unpacked": 0}, local={"unpacked": 0})),
        [f"{A} unpacks to more than the 0 bytes declared."],
    ),
    "ratio": (
        package(file(method=DEFLATED, content=bytes(2_000_000))),
        ["more than 100 to 1: store it"],
    ),
    "something from nothing": (
        package(file(central={"packed": 0}, local={"packed": 0}, data=b"")),
        ["sizes differ"],
    ),
    # descriptors
    "descriptor of stored data": (package(file(flags=DESCRIBED)), ["is stored with a data descriptor"]),
    "descriptor missing": (
        package(replace(STREAMED, descriptor=b""), replace(STREAMED, name=b"b", descriptor=b"", local_extra=UT)),
        [f'{A} announces a data descriptor that is not there: pack the files anew. Likewise "b".'],
    ),
    "descriptor without signature": (
        package(replace(STREAMED, descriptor=descriptor(STREAMED, b""))),
        [f"{A} has a data descriptor without its signature PK\\7\\8."],
    ),
    "descriptor without signature after extra fields": (
        package(replace(STREAMED, descriptor=descriptor(STREAMED, b""), local_extra=UT)),
        [f"{A} has a data descriptor without its signature PK\\7\\8."],
    ),
    "descriptor magic": (package(replace(STREAMED, descriptor=descriptor(STREAMED, b"PK\7\7"))), ["data descriptor"]),
    "descriptor crc": (package(replace(STREAMED, descriptor=descriptor(STREAMED, crc=1))), ["data descriptor"]),
    "descriptor size": (package(replace(STREAMED, descriptor=descriptor(STREAMED, packed=1))), ["data descriptor"]),
    "descriptor before a gap": (
        package(STREAMED, file(name=b"b", before=b"hid")),
        [f"{A} has 3 bytes around it that belong to no entry."],
    ),
    "zip64 descriptor": (
        package(replace(STREAMED, descriptor=descriptor(STREAMED) + bytes(8))),
        [f"{A} uses ZIP64"],
    ),
    "descriptor of nothing, stored": (
        package(Item(b"d/", flags=DESCRIBED), file(content=b"", flags=DESCRIBED)),
        ['"d/" is stored with a data descriptor, so a streaming reader cannot find its end; deflate it. Likewise "fil'],
    ),
}

ACCEPTED: dict[str, bytes] = {
    "stored": GOOD,
    "deflated": package(file(method=DEFLATED)),
    "streamed": package(STREAMED),
    "streamed, sizes known": package(replace(STREAMED, local={"unpacked": len(FILE.content)})),
    "streamed empty file": package(file(content=b"", method=DEFLATED, flags=DESCRIBED)),
    "small file, steep": package(file(method=DEFLATED, content=bytes(2**20))),
    "sizes again in ZIP64": package(file(local_extra=zip64(len(FILE.content), len(FILE.content)))),
    "name again in Unicode path": package(
        file(name=UMLAUT, flags=UTF8, local_extra=unicode_path(UMLAUT), central_extra=unicode_path(UMLAUT))
    ),
    "name again in Unicode path, on DOS": package(
        file(
            name=UMLAUT,
            flags=UTF8,
            local_extra=unicode_path(UMLAUT),
            central_extra=unicode_path(UMLAUT),
            central={"made_by": 20},
        )
    ),
    "writable by the group": package(file(central={"external": 0o100664 << 16})),
    "private": package(file(central={"external": 0o600 << 16})),
    "joiners": package(file(name="می‌خواهم/👩‍💻.txt".encode(), flags=UTF8)),
    "no-break space": package(file(name="a\u00a0b".encode(), flags=UTF8)),
    "emoji of Unicode 15": package(file(name="\U0001fae8".encode(), flags=UTF8)),
    "entry": hostile.build([with_entry("files/a.txt"), FILE, SIGNATURE]),
    "semicolon": package(file(name=b"a;b;1x")),
    "deflated directory": package(Item(b"files/", method=DEFLATED)),
    "another version in the local header": package(file(local={"needed": 10})),
    "empty file": package(file(content=b"")),
    "empty file, deflated": package(file(content=b"", method=DEFLATED)),
    "directory": package(Item(b"files/"), FILE),
    "directory after its files": package(FILE, Item(b"files/")),
    "beyond ASCII": package(file(name="bücher/日本語.txt".encode(), flags=UTF8)),
    "timestamps": package(file(local_extra=extra(0x5455, b"\3" + bytes(8)), central_extra=UT)),
    "owner": package(file(local_extra=UT + extra(0x7875, bytes(11)), central_extra=UT + extra(0x7875, bytes(11)))),
    "NTFS times": package(file(central_extra=extra(0x000A, bytes(32)))),
    "executable JAR": package(file(local_extra=extra(0xCAFE), central_extra=extra(0xCAFE))),
    "nested archive": package(file(name=b"nested.zip", content=GOOD)),
    "executable": package(file(central={"external": 0o100755 << 16})),
    "made on DOS": package(file(central={"external": 0x20, "made_by": 20})),
    "version 1.0": package(file(central={"needed": 10}, local={"needed": 10})),
}


@pytest.mark.parametrize(("data", "reasons"), REFUSED.values(), ids=REFUSED)
def test_refused(data: bytes, reasons: list[str], tmp_path: Path) -> None:
    path = tmp_path / "package.mosis"
    path.write_bytes(data)
    with pytest.raises(PackageRejected) as refusal:
        packages.read(path)
    errors = refusal.value.errors
    assert len(errors) == len(reasons), errors
    assert all(reason in error for reason, error in zip(reasons, errors, strict=True)), errors
    assert all(error.isprintable() and error.endswith(".") for error in errors)


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "package.mosis"
    path.write_bytes(data)
    assert packages.read(path).manifest.id == "org.example.reader"


def test_order_of_directory_is_free(tmp_path: Path) -> None:
    items = [MANIFEST, FILE, SIGNATURE]
    offsets = [0, len(MANIFEST.local_record()), len(MANIFEST.local_record() + FILE.local_record())]
    body = b"".join(item.local_record() for item in items)
    records = [item.central_record(offset) for item, offset in zip(items, offsets, strict=True)]
    directory = b"".join(reversed(records))
    path = tmp_path / "package.mosis"
    path.write_bytes(body + directory + hostile.END.pack(b"PK\5\6", 0, 0, 3, 3, len(directory), len(body), 0))
    assert packages.read(path).entries == 3


def test_every_reason_at_once(tmp_path: Path) -> None:
    path = tmp_path / "package.mosis"
    path.write_bytes(
        hostile.build(
            [
                replace(MANIFEST, content=b'{"manifest_version": 2, "id": "x"}'),
                file(name=b"../x", central={"crc": 0}, local={"crc": 0}),
                file(name=b"con", method=DEFLATED, data=b"\xff" * 9),
                replace(SIGNATURE, content=b"{}"),
            ]
        )
    )
    with pytest.raises(PackageRejected) as refusal:
        packages.read(path)
    text = "\n".join(refusal.value.errors)
    for reason in ("`..`", "device name", "CRC-32", "deflate stream", '"manifest_version"', '"id"', '"name"', '"alg"'):
        assert reason in text, text


def test_a_thousand_entries_with_one_fault_are_one_reason(tmp_path: Path) -> None:
    path = tmp_path / "package.mosis"
    path.write_bytes(package(*(Item(b"../%d" % number) for number in range(1000))))
    with pytest.raises(PackageRejected) as refusal:
        packages.read(path)
    assert refusal.value.errors == ['"../0" has a `..` component. Likewise "../1", "../2", "../3" and 996 more.']


def test_hundreds_of_reasons_are_counted() -> None:
    refusal = PackageRejected(f"Reason {number}." for number in range(1000))
    assert len(refusal.errors) == 101
    assert refusal.errors[-1] == "There are 900 more reasons."


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(package_bytes=len(GOOD) - 1), f"The package has {len(GOOD)} bytes ("),
        (Limits(unpacked_bytes=100), "more than the 100 (100 B) allowed."),
        (Limits(entries=2), "The archive has 3 entries, more than the 2 allowed."),
        (Limits(manifest_bytes=50), '"manifest.json" is '),
    ],
    ids=["package", "unpacked", "entries", "manifest"],
)
def test_limits(limits: Limits, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "package.mosis"
    path.write_bytes(GOOD)
    with pytest.raises(PackageRejected) as refusal:
        packages.read(path, limits)
    assert len(refusal.value.errors) == 1
    assert reason in refusal.value.errors[0]


def test_a_missing_file_is_no_refusal(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        packages.read(tmp_path / "package.mosis")


def test_a_header_full_of_bad_extra_fields_has_one_reason():
    data = package(file(central_extra=extra(0x9999) * 300))
    directory = read_directory(BytesIO(data), len(data), DEFAULT_LIMITS)
    assert [fault.text for fault in directory.faults if "0x9999" in fault.text] == [
        "has an extra field 0x9999 of 0 bytes, which is not allowed"
    ]
