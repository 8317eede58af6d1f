"""Writing archives of the profile: fixed times and modes, deflated where that makes an entry smaller."""

import zlib
from io import BufferedIOBase, BytesIO
from typing import BinaryIO

from portal.packages.contents import read_exactly
from portal.packages.records import CENTRAL, DEFLATED, END, LOCAL, STORED, UTF8, Entry

_CHUNK = 1024 * 1024  # bytes
_TIME, _DATE = 0, 0x21  # 1980-01-01 00:00, the earliest time in ZIP
_NEEDED = 20  # version 2.0 of the format
_MADE_BY = 3 << 8 | _NEEDED  # on Unix, so that readers apply the modes
_FILE, _EXECUTABLE = 0o100644 << 16, 0o100755 << 16
_OFFSET = slice(CENTRAL.size - 4, CENTRAL.size)


class Writer:
    """Writes an archive to an empty seekable file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._directory: list[bytes] = []

    def add(self, path: str, content: BinaryIO, *, ratio: int, executable: bool = False) -> None:
        """Append `content` (seekable); stored if deflate saves nothing or compresses more than `ratio` to 1."""
        name = path.encode()
        start = self._file.tell()
        data = start + LOCAL.size + len(name)
        self._file.seek(data)
        method, crc, unpacked = DEFLATED, *self._deflate(content)
        packed = self._file.tell() - data
        if packed >= unpacked or unpacked > packed * ratio:
            content.seek(0)
            self._file.seek(data)
            self._file.truncate()
            method, crc, unpacked = STORED, *self._store(content)
            packed = unpacked
        end = self._file.tell()
        common = (_NEEDED, UTF8, method, _TIME, _DATE, crc, packed, unpacked, len(name), 0)
        self._file.seek(start)
        self._file.write(LOCAL.pack(b"PK\3\4", *common) + name)
        self._file.seek(end)
        mode = _EXECUTABLE if executable else _FILE
        self._directory.append(CENTRAL.pack(b"PK\1\2", _MADE_BY, *common, 0, 0, 0, mode, start) + name)

    def add_bytes(self, path: str, content: bytes, *, ratio: int) -> None:
        """Append a small file."""
        self.add(path, BytesIO(content), ratio=ratio)

    def copy(self, entry: Entry, source: BufferedIOBase) -> None:
        """Append an entry of another archive unchanged, without inflating it."""
        offset = self._file.tell().to_bytes(4, "little")
        self._directory.append(entry.record[: _OFFSET.start] + offset + entry.record[_OFFSET.stop :])
        source.seek(entry.header.offset)
        left = entry.end - entry.header.offset
        while left:
            left -= self._file.write(read_exactly(source, min(left, _CHUNK)))

    def close(self) -> None:
        """Write the central directory and the end record."""
        start = self._file.tell()
        directory = b"".join(self._directory)
        count = len(self._directory)
        self._file.write(directory + END.pack(b"PK\5\6", 0, 0, count, count, len(directory), start, 0))
        self._file.flush()

    def _deflate(self, content: BinaryIO) -> tuple[int, int]:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        crc = size = 0
        while chunk := content.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
            size += len(chunk)
            self._file.write(deflater.compress(chunk))
        self._file.write(deflater.flush())
        return crc, size

    def _store(self, content: BinaryIO) -> tuple[int, int]:
        crc = size = 0
        while chunk := content.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
            size += self._file.write(chunk)
        return crc, size
