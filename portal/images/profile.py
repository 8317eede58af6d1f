"""ICC profiles (ICC.1:2010, version 4.3) of RGB spaces that are given by primaries, white point and curve."""

import struct
from collections.abc import Sequence

Matrix = tuple[tuple[float, ...], ...]
Primaries = tuple[float, ...]
"""x and y of white, red, green and blue."""
Curve = tuple[float, float, float, float, float]
"""g, a, b, c, d of Y = (aX + b)^g where X >= d, else cX: parametricCurveType 3."""


def gamma(exponent: float) -> Curve:
    return exponent, 1.0, 0.0, 0.0, 0.0


LINEAR, GAMMA_22 = gamma(1.0), gamma(2.2)
BT_1886 = gamma(2.4)  # how screens show BT.709; its camera's curve is another
SRGB: Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
SMPTE_240M: Curve = (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 0.0913)

D50 = (0.9642, 1.0, 0.8249)  # the white of every profile
BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


def made(primaries: Primaries, curve: Curve) -> bytes | None:
    """The profile; None where the chromaticities or the curve cannot be."""
    try:
        columns = tuple(zip(*_to_d50(primaries), strict=True))
        tags = {
            b"wtpt": _xyz(D50),
            **{name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)},
            **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), b"para" + struct.pack(">4xH2x5i", 3, *map(_fixed, curve))),
        }
    except (ZeroDivisionError, OverflowError, struct.error):
        return None
    directory, content = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        directory += struct.pack(">4sII", name, 128 + 4 + 12 * len(tags) + len(content), len(body))
        content += body
    size = 128 + len(directory) + len(content)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x", size, 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp", *map(_fixed, D50)
    )
    return header + directory + content


def _to_d50(primaries: Primaries) -> Matrix:
    """From linear RGB to XYZ, adapted from the white point to D50 (Bradford)."""
    (x, y), *_ = points = tuple(zip(primaries[::2], primaries[1::2], strict=True))
    white = (x / y, 1.0, (1 - x - y) / y)
    rgb = tuple((x, y, 1 - x - y) for x, y in points[1:])
    columns = _transposed(rgb)
    intensities = _times(_inverse(columns), _transposed((white,)))
    space = tuple(tuple(v * i[0] for v, i in zip(row, intensities, strict=True)) for row in columns)
    source, target = _times(BRADFORD, _transposed((white,))), _times(BRADFORD, _transposed((D50,)))
    scaled = tuple(tuple(v * t[0] / s[0] for v in row) for row, t, s in zip(BRADFORD, target, source, strict=True))
    return _times(_times(_inverse(BRADFORD), scaled), space)


def _times(one: Matrix, other: Matrix) -> Matrix:
    return tuple(
        tuple(sum(a * b for a, b in zip(row, column, strict=True)) for column in _transposed(other)) for row in one
    )


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _inverse(matrix: Matrix) -> Matrix:
    """By cofactors. Raises ZeroDivisionError for one that has none."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    return tuple(tuple(v / determinant for v in row) for row in cofactors)


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ " + struct.pack(">4x3i", *map(_fixed, values))


def _fixed(value: float) -> int:
    """As s15Fixed16Number."""
    return round(value * 65536)
