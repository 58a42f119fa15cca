"""Colours that files give in other ways than by an ICC profile.

libvips keeps ICC profiles and nothing else. What is found here becomes a profile, so that it lasts in every format.
"""

from __future__ import annotations

import struct
import typing

from blindsr_jax.errors import DataError
from blindsr_jax.images.colour_profiles import (
    ADOBE_RGB_GAMMA,
    ADOBE_RGB_PRIMARIES,
    SRGB_PRIMARIES,
    Chromaticities,
    Colours,
)
from blindsr_jax.images.containers import png_chunks

_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
_NTSC = (0.630, 0.340, 0.310, 0.595, 0.155, 0.070)
_P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
# ITU-T H.273, table 2; 2 means unspecified.
_PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB_PRIMARIES,
    2: SRGB_PRIMARIES,
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, *_NTSC),
    7: (*_D65, *_NTSC),
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, *_P3),
    12: (*_D65, *_P3),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
# Table 3. The curves of television, 1, 6, 14 and 15, are those of its cameras; stills that name them hold sRGB's.
_GAMMAS: dict[int, float | None] = {**dict.fromkeys((1, 2, 6, 13, 14, 15)), 4: 2.2, 5: 2.8, 8: 1.0}
_HDR = {16: "PQ", 18: "HLG"}
_USUAL_GAMMA = (0.45, 0.46)  # of gAMA chunks that stand for sRGB


def coded_colours(name: str, primaries: int, transfer: int) -> Colours:
    """The colours of code points of ITU-T H.273, as in ``nclx`` and ``cICP``.

    Raises:
      DataError: high dynamic range, or code points without a profile. ``name`` is the file's.
    """
    advice = "convert it to sRGB or Display P3 first"
    if transfer in _HDR:
        raise DataError(f"{name}: pictures of high dynamic range ({_HDR[transfer]}) are not read here; {advice}")
    if primaries not in _PRIMARIES or transfer not in _GAMMAS:
        codes = f"primaries {primaries}, transfer {transfer} of ITU-T H.273"
        raise DataError(f"{name}: its colours ({codes}) are not read here; {advice}")
    return Colours(_PRIMARIES[primaries], _GAMMAS[transfer])


def png_colours(file: typing.BinaryIO, name: str) -> tuple[Colours | None, bool]:
    """The colours that chunks of a PNG tell, in their order of precedence: cICP, iCCP, sRGB, gAMA and cHRM.

    Returns:
      The colours, None if there are no such chunks or a profile has precedence; and whether they replace a profile.

    Raises:
      DataError: as ``coded_colours``; or the pixels are coded as in video.
    """
    chunks = png_chunks(file, (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"))
    coded = chunks.get(b"cICP", b"")
    if len(coded) == 4:
        if coded[2:] != b"\0\1":
            raise DataError(f"{name}: PNGs with the range or the matrix of video (cICP) are not read here; convert it")
        return coded_colours(name, coded[0], coded[1]), True
    if b"iCCP" in chunks or b"sRGB" in chunks:
        return None, False
    return _measured(chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")), False


def exif_colours(fields: typing.Mapping[str, bytes | str]) -> Colours | None:
    """Adobe RGB if EXIF names it: by the interoperability index R03 of DCF, or by some cameras' colour space 2."""
    index, space = (str(fields.get(f"exif-ifd{name}", "")) for name in ("4-InteroperabilityIndex", "2-ColorSpace"))
    if index.startswith("R03") or space.startswith("2 "):
        return Colours(ADOBE_RGB_PRIMARIES, ADOBE_RGB_GAMMA)
    return None


def _measured(gama: bytes, chrm: bytes) -> Colours | None:
    """The colours of gAMA and cHRM chunks. Values that cannot be are left out, as libpng does."""
    exponent = struct.unpack(">I", gama)[0] / 1e5 if len(gama) == 4 else 0
    primaries = tuple(x / 1e5 for x in struct.unpack(">8I", chrm)) if len(chrm) == 32 else SRGB_PRIMARIES
    if not all(0 < y < 1 for y in primaries[1::2]) or max(primaries) > 1:
        primaries = SRGB_PRIMARIES
    if not 0.1 <= exponent <= 10:
        return Colours(primaries)
    usual = Colours(primaries).usual and _USUAL_GAMMA[0] <= exponent <= _USUAL_GAMMA[1]
    return Colours(primaries, None if usual else 1 / exponent)
