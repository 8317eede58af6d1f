"""CBOR as authenticators write it (CTAP 2.2, section 8): no tags, definite lengths, at most a few levels.

A decoder follows tags that share values (28 and 29) into structures that a few hundred bytes make exponentially large:
to hash or to encode one never ends. So what has a tag never reaches the decoder.
"""

import struct

LEVELS_MAX = 4  # that CTAP allows
_LENGTHS = {24: ">B", 25: ">H", 26: ">L", 27: ">Q"}
_ATTESTED, _EXTENDED = 0x40, 0x80  # flags of the authenticator data
_FLAGS_AT, _DATA_AT, _ID_LENGTH_AT = 32, 37, 53


def items(data: bytes, position: int = 0) -> None:
    """Require that `data` is a sequence of such items from `position` on. Raises ValueError; the work is linear."""
    while position < len(data):
        position = _item(data, position, LEVELS_MAX)


def authenticator_data(data: bytes) -> None:
    """Require the same of what authenticator data (WebAuthn, section 6.1) has in CBOR. Raises ValueError."""
    if len(data) <= _FLAGS_AT:
        raise ValueError("authenticator data ends early")
    position = _DATA_AT
    if data[_FLAGS_AT] & _ATTESTED:
        position = _ID_LENGTH_AT + 2 + int.from_bytes(data[_ID_LENGTH_AT : _ID_LENGTH_AT + 2], "big")
    if data[_FLAGS_AT] & (_ATTESTED | _EXTENDED):
        items(data, position)


def _item(data: bytes, position: int, levels: int) -> int:
    """The position after one item."""
    kind, position, length = _head(data, position)
    if kind in (2, 3):  # bytes, text
        position += length
    elif kind in (4, 5):  # an array, a map
        if not levels:
            raise ValueError(f"more than {LEVELS_MAX} levels")
        for _ in range(length * (kind - 3)):
            position = _item(data, position, levels - 1)
    elif kind == 6:
        raise ValueError(f"the tag {length}")
    if position > len(data):
        raise ValueError("an item is cut short")
    return position


def _head(data: bytes, position: int) -> tuple[int, int, int]:
    """The major type, where the content begins, and its length or value."""
    if position >= len(data):
        raise ValueError("an item is missing")
    kind, short = divmod(data[position], 32)
    if short < 24:
        return kind, position + 1, short
    form = _LENGTHS.get(short)
    if form is None or len(data) < position + 1 + struct.calcsize(form):
        raise ValueError("an item of indefinite length, or cut short")
    return kind, position + 1 + struct.calcsize(form), struct.unpack_from(form, data, position + 1)[0]
