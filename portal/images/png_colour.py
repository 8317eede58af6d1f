"""The colour space of a PNG, which any of four chunks may name: cICP before iCCP before sRGB before cHRM with gAMA.

That is the order of the specification (PNG 3rd edition, section 13.16). What stands here was compared with Chromium
156, which ignores, as this does: cHRM alone, a gAMA within 5 % of sRGB's, narrow range, unspecified numbers, and a
colour space that cannot be.
"""

import struct
import zlib
from contextlib import suppress

from portal.images import profile
from portal.images.errors import ImageRejected
from portal.images.profile import BT_1886, GAMMA_22, LINEAR, SMPTE_240M, SRGB, Curve, Primaries, gamma

PROFILE_MAX = 8 * 1024 * 1024  # bytes; the largest of printers have 4 MB
D65, C, E, DCI = (0.3127, 0.329), (0.31, 0.316), (1 / 3, 1 / 3), (0.314, 0.351)
SRGB_PRIMARIES = (*D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
PRIMARIES = {  # ITU-T H.273, table 2: white, red, green, blue
    1: SRGB_PRIMARIES,
    4: (*C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    8: (*C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    10: (*E, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    11: (*DCI, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (*D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
TRANSFERS = {  # table 3
    1: BT_1886,
    4: GAMMA_22,
    5: gamma(2.8),
    6: BT_1886,
    7: SMPTE_240M,
    8: LINEAR,
    13: SRGB,
    14: BT_1886,
    15: BT_1886,
}
HDR = {16: "PQ", 18: "HLG"}
SRGB_GAMA, GAMA_TOLERANCE = 45455, 0.05
CHRM_TOLERANCE = 0.005


def profiles(chunks: dict[bytes, bytes]) -> tuple[bytes | None, bytes | None]:
    """The file's own ICC profile or one made of the other chunks; neither where the samples are sRGB.

    Raises ImageRejected for an image that needs tone mapping.
    """
    if space := _cicp(chunks.get(b"cICP", b"")):
        return None, None if space == (SRGB_PRIMARIES, SRGB) else profile.made(*space)
    if icc := _iccp(chunks.get(b"iCCP", b"")):
        return icc, None
    if b"sRGB" in chunks:
        return None, None
    return None, _measured(chunks.get(b"cHRM", b""), chunks.get(b"gAMA", b""))


def _cicp(body: bytes) -> tuple[Primaries, Curve] | None:
    """Only RGB of full range is one that a PNG can have."""
    if len(body) != 4 or body[2:] != b"\0\1" or body[0] not in PRIMARIES:
        return None
    if body[1] in HDR:
        raise ImageRejected("INVALID_IMAGE", f"The image is HDR ({HDR[body[1]]}): export it in sRGB.")
    curve = TRANSFERS.get(body[1])
    return (PRIMARIES[body[0]], curve) if curve else None


def _iccp(body: bytes) -> bytes | None:
    """The profile, if its name ends, its method is the only one, and its stream is whole."""
    name, _, rest = body.partition(b"\0")
    if not 1 <= len(name) <= 79 or not rest.startswith(b"\0"):
        return None
    with suppress(zlib.error):
        stream = zlib.decompressobj()
        content = stream.decompress(rest[1:], PROFILE_MAX)
        return content if stream.eof else None
    return None


def _measured(chrm: bytes, gama: bytes) -> bytes | None:
    """Of cHRM and gAMA, whose numbers are hundred-thousandths; primaries without a curve say nothing."""
    if len(gama) != 4 or (value := int.from_bytes(gama, "big")) == 0:
        return None
    primaries: Primaries = SRGB_PRIMARIES
    if len(chrm) == 32:
        primaries = tuple(number / 100_000 for number in struct.unpack(">8I", chrm))
    is_srgb = all(abs(a - b) <= CHRM_TOLERANCE for a, b in zip(primaries, SRGB_PRIMARIES, strict=True))
    if is_srgb and abs(value / SRGB_GAMA - 1) <= GAMA_TOLERANCE:
        return None
    return profile.made(primaries, gamma(100_000 / value))
