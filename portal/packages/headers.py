"""What the header of one entry may say, without a look at its data."""

import stat
from collections.abc import Iterator

from portal.packages import extra_fields, paths
from portal.packages.extra_fields import NEEDLESS_ZIP64
from portal.packages.limits import Limits
from portal.packages.reasons import Fault
from portal.packages.records import DEFLATED, DESCRIBED, ENCRYPTED, STORED, UTF8, CentralHeader, Entry

_DEFLATE_LEVEL = 0x0006
_FEATURES = {0x0020: "patched data", 0x0040: "strong encryption", 0x2000: "masked headers"}
_ZIP_2_0, _ZIP_4_5 = 20, 45  # the version that deflate needs, and that ZIP64 does
_UNIX = 3
_WITHOUT_MODES = (0, 6, 7, 10, 11, 14, 19)  # DOS, OS/2, Mac, Windows and Darwin, as APPNOTE or Info-ZIP number them
_DOS_VOLUME_OR_DEVICE, _DOS_DIRECTORY = 0x48, 0x10

_USE = "use 0644, or 0755 for programs and directories"
_NOT_MARKED = (
    "is a non-ASCII name without the UTF-8 flag, which Info-ZIP's zip does not set: use `mosis pack`, 7-Zip or Python"
)
_MADE_ON_DOS = (
    "is a non-ASCII name in an archive marked as made on DOS, as Java, Go and git mark it: unzip changes the name; use"
    " `mosis pack`, 7-Zip or Python"
)


def faults(entry: Entry, limits: Limits) -> Iterator[Fault]:
    """The faults of an entry by itself."""
    extra_fault = extra_fields.fault(entry.extra, entry.name)
    texts = (*_name_faults(entry, extra_fault), *_header_faults(entry.header, entry.is_directory, limits), extra_fault)
    return (Fault(entry.path, text) for text in texts if text)


def _name_faults(entry: Entry, extra_fault: str | None) -> Iterator[str]:
    try:
        path = entry.name.decode()
    except UnicodeDecodeError:
        yield "is not a UTF-8 name"
        return
    on_unix = entry.header.made_by >> 8 == _UNIX
    if not path.isascii() and not entry.header.flags & UTF8:
        yield _NOT_MARKED
    elif not (path.isascii() or on_unix or extra_fault or extra_fields.has_unicode_path(entry.extra)):
        yield _MADE_ON_DOS
    yield from paths.faults(path)


def _header_faults(header: CentralHeader, is_directory: bool, limits: Limits) -> Iterator[str]:
    yield from _flag_faults(header.flags)
    yield from _method_faults(header)
    if header.needed == _ZIP_4_5:
        yield NEEDLESS_ZIP64
    elif header.needed > _ZIP_2_0:
        yield f"requires version {header.needed / 10} of the ZIP format; at most 2.0 is allowed"
    if steep(header, limits):
        yield (
            f"expands from {header.packed} to {header.unpacked} bytes, more than {limits.ratio} to 1: store it without"
            " compression, as `mosis pack` does"
        )
    if header.disk:
        yield "is on another disk of a multi-part archive"
    if header.comment_length:
        yield "has a comment"
    yield from _kind_faults(header, is_directory)


def _flag_faults(flags: int) -> Iterator[str]:
    if flags & ENCRYPTED:
        yield "is encrypted"
    for bit, feature in _FEATURES.items():
        if flags & bit:
            yield f"uses {feature}"
    if unknown := flags & ~(ENCRYPTED | DESCRIBED | UTF8 | _DEFLATE_LEVEL | sum(_FEATURES)):
        yield f"has the flags 0x{unknown:04x}, which are not supported"


def _method_faults(header: CentralHeader) -> Iterator[str]:
    if header.method not in (STORED, DEFLATED):
        yield f"is compressed with method {header.method}; only 0 (stored) and 8 (deflate) are allowed"
    if header.method != STORED:
        return
    if header.packed != header.unpacked:
        yield f"is stored, but its packed and unpacked sizes differ: {header.packed} and {header.unpacked} bytes"
    if header.flags & DESCRIBED:
        yield "is stored with a data descriptor, so a streaming reader cannot find its end; deflate it"


def _kind_faults(header: CentralHeader, is_directory: bool) -> Iterator[str]:
    mode = header.external >> 16
    kind = stat.S_IFMT(mode)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or header.external & _DOS_VOLUME_OR_DEVICE:
        yield "is a link or a device; only files and directories are allowed"
    elif is_directory and kind == stat.S_IFREG:
        yield "is named like a directory but marked as a file"
    elif not is_directory and (kind == stat.S_IFDIR or header.external & _DOS_DIRECTORY):
        yield "is marked as a directory but not named like one"
    elif (system := header.made_by >> 8) not in (_UNIX, *_WITHOUT_MODES):
        yield f"is marked as made on system {system}, whose modes readers take differently: mark it as made on Unix"
    elif mode or system == _UNIX:  # there 0 is a mode too, and unzip applies it
        yield from _mode_faults(stat.S_IMODE(mode), is_directory)
    if is_directory and header.unpacked:
        yield "is a directory with content"


def _mode_faults(mode: int, is_directory: bool) -> Iterator[str]:
    """What is wrong if a device applies the mode, which no signature covers."""
    if mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX):
        yield f"has the mode {mode:04o} with a set-user-ID, set-group-ID or sticky bit: {_USE}"
    if mode & stat.S_IWOTH:
        yield f"has the mode {mode:04o}, with which every user of a device may change it: {_USE}"
    needed = stat.S_IRUSR | stat.S_IXUSR if is_directory else stat.S_IRUSR
    if mode & needed != needed:
        yield f"has the mode {mode:04o}, with which its owner cannot read it: {_USE}"


def steep(header: CentralHeader, limits: Limits) -> bool:
    """Whether it expands by more than the ratio allows."""
    return header.unpacked > max(header.packed * limits.ratio, limits.ratio_free_entry)
