"""ICC profiles for colours that files describe in other ways: by primaries, a white point and a transfer curve."""

from __future__ import annotations

import dataclasses
import struct

import numpy as np

Chromaticities = tuple[float, ...]  # x and y of white, red, green and blue

_D65 = (0.3127, 0.3290)
SRGB_PRIMARIES: Chromaticities = (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
ADOBE_RGB_PRIMARIES: Chromaticities = (*_D65, 0.640, 0.330, 0.210, 0.710, 0.150, 0.060)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # ICC's parametric curve of type 3
ADOBE_RGB_GAMMA = 563 / 256

_D50 = np.array([0.9642, 1.0, 0.8249])  # white of ICC's connection space
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_NAME, _RIGHTS = "Colours as in the picture's file", "No copyright, use freely"


@dataclasses.dataclass(frozen=True)
class Colours:
    """How the numbers of a file become light.

    Attributes:
      primaries: CIE x and y of white, red, green and blue.
      gamma: exponent from numbers to light; None for the curve of sRGB.
    """

    primaries: Chromaticities = SRGB_PRIMARIES
    gamma: float | None = None

    @property
    def usual(self) -> bool:
        """Whether these are the colours of sRGB, which programs suppose for a file without a profile."""
        return self.gamma is None and np.abs(np.subtract(self.primaries, SRGB_PRIMARIES)).max() < 2e-3


def profile_of(colours: Colours, *, grey: bool) -> bytes:
    """An ICC profile (version 4.3, ICC.1:2010) of these colours, for RGB or for grey pixels.

    Raises:
      ValueError: the primaries span no colours.
    """
    curve = _curve(colours.gamma)
    white = _xyz(colours.primaries[:2])
    to_d50 = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white)) @ _BRADFORD
    tags = {b"desc": _text(_NAME), b"cprt": _text(_RIGHTS), b"wtpt": _xyz_tag(_D50)}
    tags[b"chad"] = b"sf32" + bytes(4) + b"".join(map(_fixed, to_d50.ravel()))
    if grey:
        tags[b"kTRC"] = curve
    else:
        columns = np.stack([_xyz(colours.primaries[i : i + 2]) for i in (2, 4, 6)], axis=1)
        if abs(np.linalg.det(columns)) < 1e-6:
            raise ValueError("the primaries lie on one line")
        columns = to_d50 @ (columns * np.linalg.solve(columns, white))
        tags |= {name: _xyz_tag(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T)}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _assembled(tags, b"GRAY" if grey else b"RGB ")


def _xyz(xy: tuple[float, ...]) -> np.ndarray:
    x, y = xy
    if y <= 0:
        raise ValueError("a chromaticity has no light")
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _curve(gamma: float | None) -> bytes:
    kind, numbers = (3, SRGB_CURVE) if gamma is None else (0, (gamma,))
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + b"".join(map(_fixed, numbers))


def _fixed(number: float) -> bytes:
    """ICC's s15Fixed16Number. Raises ValueError if the number is too large for it."""
    if not abs(number) < 2**15:
        raise ValueError("a number is too large for a profile")
    return struct.pack(">i", round(number * 65536))


def _xyz_tag(xyz: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, xyz))


def _text(text: str) -> bytes:
    data = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(data), 28) + data


def _assembled(tags: dict[bytes, bytes], space: bytes) -> bytes:
    start = 128 + 4 + 12 * len(tags)
    table, body, places = b"", b"", {}
    for name, data in tags.items():
        if data not in places:
            places[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", places[data], len(data))
    size = start + len(body)
    header = struct.pack(">I4xI4s4s4s", size, 0x04300000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + b"".join(map(_fixed, _D50))
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
