"""The dump that `fs.meta.save` of SeaweedFS writes: entries as protobuf, each after its length in four bytes.

Only what is needed to make files older is understood; everything else is copied.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

VARINT, BYTES = 0, 2  # wire types of protobuf
FIXED = {1: 8, 5: 4}  # and the sizes of the others
DIRECTORY, ENTRY = 1, 2  # fields of an entry of the dump (filer.proto)
NAME, ATTRIBUTES = 1, 4  # of its ENTRY
TIMES = (2, 6)  # of the ATTRIBUTES: modified and created, seconds since 1970


class Field(NamedTuple):
    number: int
    wire: int
    value: int | bytes


def older(dump: bytes, root: str, seconds: Mapping[str, int]) -> Iterator[bytes]:
    """The entries of `dump` that are named in `seconds`, by their path below `root`, so many seconds older."""
    for message in _messages(dump):
        fields = list(_fields(message))
        entry = list(_fields(_get(fields, ENTRY)))
        path = f"{_get(fields, DIRECTORY).decode()}/{_get(entry, NAME).decode()}".removeprefix(root)
        if path in seconds:
            attributes = [
                field._replace(value=field.value - seconds[path]) if field.number in TIMES else field
                for field in _fields(_get(entry, ATTRIBUTES))
            ]
            changed = _message(_set(fields, ENTRY, _message(_set(entry, ATTRIBUTES, _message(attributes)))))
            yield struct.pack(">I", len(changed)) + changed


def _messages(dump: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(dump):
        size = struct.unpack_from(">I", dump, at)[0]
        yield dump[at + 4 : at + 4 + size]
        at += 4 + size


def _fields(message: bytes) -> Iterator[Field]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == VARINT:
            value, at = _varint(message, at)
            yield Field(key >> 3, VARINT, value)
            continue
        size, at = _varint(message, at) if key & 7 == BYTES else (FIXED[key & 7], at)
        yield Field(key >> 3, key & 7, message[at : at + size])
        at += size


def _message(fields: list[Field]) -> bytes:
    return b"".join(_encoded(field) for field in fields)


def _encoded(field: Field) -> bytes:
    key = _number(field.number << 3 | field.wire)
    if isinstance(field.value, int):
        return key + _number(field.value)
    return key + (_number(len(field.value)) if field.wire == BYTES else b"") + field.value


def _get(fields: list[Field], number: int) -> bytes:
    return next(field.value for field in fields if field.number == number and isinstance(field.value, bytes))


def _set(fields: list[Field], number: int, value: bytes) -> list[Field]:
    return [field._replace(value=value) if field.number == number else field for field in fields]


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def _number(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
