"""Every way in which files tell their colours, and what becomes of it: a table of ``docs/files.md``, and tests."""

from __future__ import annotations

import dataclasses
import functools
import io
import struct
import zlib

import numpy as np
import pyvips
from PIL import Image, ImageCms

from tests.images.picture_bytes import Make, saved

RGB, GREY = (200, 100, 50), 55  # the colour of all pictures
FORMATS = ("png", "jpg", "tiff", "webp", "avif", "bmp")

# Linear RGB to XYZ of D65: Display P3 and sRGB of CSS Color 4, Adobe RGB (1998).
_P3 = [[608311 / 1250200, 189793 / 714400, 198249 / 1000160], [35783 / 156275, 247089 / 357200, 198249 / 2500400]]
_P3 += [[0, 32229 / 714400, 5220557 / 5000800]]
_TO_SRGB = [[12831 / 3959, -329 / 214, -1974 / 3959], [-851781 / 878810, 1648619 / 878810, 36519 / 878810]]
_TO_SRGB += [[705 / 12673, -2585 / 12673, 705 / 667]]
_ADOBE = [[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]]


@dataclasses.dataclass(frozen=True)
class Tag:
    """A way to tell colours.

    Attributes:
      what: in words, and in which files it is.
      make: a file of one colour with it.
      fate: words for each of ``FORMATS`` where they differ from the first, which is for all others.
      seen: RGB of sRGB that a viewer shows; () where the file is refused.
      message: of the refusal.
    """

    what: str
    make: Make
    fate: dict[str, str]
    seen: tuple[float, ...] = ()
    message: str = ""

    def row(self) -> str:
        if self.message:
            return f"| {self.what} | refused: “{self.message}” |" + " |" * (len(FORMATS) - 1)
        return f"| {self.what} | " + " | ".join(self.fate.get(form, self.fate[""]) for form in FORMATS) + " |"


def _linear(x):
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _coded(light):
    light = np.clip(light, 0, 1)
    return tuple(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


_SEEN_P3 = _coded(np.array(_TO_SRGB) @ (np.array(_P3) @ _linear(np.array(RGB) / 255)))
_SEEN_ADOBE = _coded(np.array(_TO_SRGB) @ (np.array(_ADOBE) @ (np.array(RGB) / 255) ** (563 / 256)))
_SEEN_LINEAR = _coded(np.array(RGB) / 255)
_SEEN_LINEAR_GREY = _coded(np.full(3, GREY / 255))


def flat(mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (32, 32), GREY if mode == "L" else RGB)


def png(*chunks: tuple[bytes, bytes], mode: str = "RGB") -> Make:
    """A PNG with chunks before its pixels."""

    def make() -> bytes:
        data = saved(flat(mode), "PNG")
        packed = [struct.pack(">I4s", len(x), n) + x + struct.pack(">I", zlib.crc32(n + x)) for n, x in chunks]
        return data[:33] + b"".join(packed) + data[33:]

    return make


def avif(primaries: int, transfer: int) -> Make:
    """An AVIF with other numbers in its ``nclx`` box."""

    def make() -> bytes:
        data = bytearray(saved(flat(), "AVIF", quality=100, subsampling="4:4:4"))
        at = data.index(b"nclx") + 4
        data[at : at + 4] = struct.pack(">HH", primaries, transfer)
        return bytes(data)

    return make


def exif(main: dict[int, bytes | int], camera: dict[int, tuple[int, ...] | int], interoperability: dict) -> bytes:
    """EXIF with three directories. Values are text, a long number, or a tuple of short numbers."""

    def packed(entries: dict, start: int) -> bytes:
        rest, out, place = b"", struct.pack("<H", len(entries)), start + 2 + 12 * len(entries) + 4
        for tag, value in sorted(entries.items()):
            if isinstance(value, bytes):
                kind, count, data = 2, len(value), value
            elif isinstance(value, int):
                kind, count, data = 4, 1, struct.pack("<I", value)
            else:
                kind, count, data = 3, len(value), struct.pack(f"<{len(value)}H", *value)
            if len(data) > 4:
                rest, data = rest + data + bytes(len(data) % 2), struct.pack("<I", place + len(rest))
            out += struct.pack("<HHI", tag, kind, count) + data.ljust(4, b"\0")
        return out + bytes(4) + rest

    main, camera = {**main, 0x8769: 0}, {**camera, 0xA005: 0}
    second = 8 + len(packed(main, 0))
    third = second + len(packed(camera, 0))
    main[0x8769], camera[0xA005] = second, third
    parts = packed(main, 8), packed(camera, second), packed(interoperability, third)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + b"".join(parts)


def with_profile(form: str, name: str = "p3", mode: str = "RGB") -> Make:
    """A file with one of libvips' profiles."""
    options = {"quality": 95, "subsampling": "4:4:4"} if form in ("JPEG", "AVIF") else {}
    options |= {"lossless": True} if form == "WEBP" else {}
    return lambda: saved(flat(mode), form, icc_profile=bytes(pyvips.Operation.call("profile_load", name)), **options)


def _jpeg(**options) -> Make:
    return lambda: saved(flat(), "JPEG", quality=95, subsampling=0, **options)


def bmp_with_profile() -> bytes:
    """A BMP of version 5 with a profile behind its pixels."""
    profile, data = bytes(pyvips.Operation.call("profile_load", "p3")), saved(flat(), "BMP")
    pixels = data[54:]
    header = struct.pack("<I", 124) + data[18:54] + bytes(16) + b"DEBM" + bytes(52)
    header = header.ljust(124 - 16, b"\0")[:108] + struct.pack("<IIII", 4, 124 + len(pixels), len(profile), 0)
    return b"BM" + struct.pack("<IIII", 138 + len(pixels) + len(profile), 0, 138, 124) + header[4:] + pixels + profile


def cmyk(form: str, profile: bool) -> Make:
    options = {"icc_profile": bytes(pyvips.Operation.call("profile_load", "cmyk"))} if profile else {}
    return lambda: saved(Image.new("CMYK", (32, 32), (20, 140, 200, 10)), form, **options)


@functools.cache
def seen_cmyk() -> tuple[float, ...]:
    """By LittleCMS."""
    known = io.BytesIO(pyvips.Operation.call("profile_load", "cmyk")), ImageCms.createProfile("sRGB")
    picture = Image.new("CMYK", (1, 1), (20, 140, 200, 10))
    relative = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return ImageCms.profileToProfile(picture, *known, relative, outputMode="RGB").getpixel((0, 0))


def _srgb_in_grey() -> bytes:
    return saved(flat("L"), "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def _linear_grey_profile() -> bytes:
    from blindsr_jax.images.colour_profiles import Colours, profile_of

    return profile_of(Colours(gamma=1.0), grey=True)


_KEPT, _MADE = {"": "kept", "bmp": "converted to sRGB"}, {"": "kept as a profile", "bmp": "converted to sRGB"}
_KEPT_GREY = {"": "kept"} | dict.fromkeys(("webp", "avif", "bmp"), "converted to sRGB")
_MADE_GREY = {"": "kept as a profile"} | dict.fromkeys(("webp", "avif", "bmp"), "converted to sRGB")
_CONVERTED, _NONE, _OUT = {"": "converted to sRGB"}, {"": "sRGB, no profile"}, {"": "left out"}
_LINEAR = (b"gAMA", struct.pack(">I", 100_000))
_CHRM_P3 = (
    b"cHRM",
    struct.pack(">8I", *(round(1e5 * x) for x in (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06))),
)
_USUAL = (b"gAMA", struct.pack(">I", 45_455))
_HDR = "pictures of high dynamic range ({}) are not read here"

TAGS = [
    Tag("ICC profile of RGB, in PNG", with_profile("PNG"), _KEPT, _SEEN_P3),
    Tag("the same in JPEG", with_profile("JPEG"), _KEPT, _SEEN_P3),
    Tag("the same in WebP", with_profile("WEBP"), _KEPT, _SEEN_P3),
    Tag("the same in TIFF", with_profile("TIFF"), _KEPT, _SEEN_P3),
    Tag("the same in AVIF", with_profile("AVIF"), _KEPT, _SEEN_P3),
    Tag("the same in BMP", bmp_with_profile, _KEPT, _SEEN_P3),
    Tag(
        "ICC profile of grey",
        lambda: saved(flat("L"), "PNG", icc_profile=_linear_grey_profile()),
        _KEPT_GREY,
        _SEEN_LINEAR_GREY,
    ),
    Tag("ICC profile of RGB in a grey picture", _srgb_in_grey, _OUT, (GREY,) * 3),
    Tag("ICC profile of CMYK, in JPEG", cmyk("JPEG", True), _CONVERTED, ("cmyk",)),
    Tag("the same in TIFF", cmyk("TIFF", True), _CONVERTED, ("cmyk",)),
    Tag("CMYK without a profile: a usual one", cmyk("TIFF", False), _CONVERTED, ("cmyk",)),
    Tag("AVIF, nclx: sRGB or not specified", avif(1, 13), _NONE, RGB),
    Tag("AVIF, nclx: the curve of television (1, 6, 14, 15)", avif(1, 1), _NONE, RGB),
    Tag("AVIF, nclx: other primaries or curves, such as Display P3", avif(12, 13), _MADE, _SEEN_P3),
    Tag("AVIF, nclx: linear light", avif(1, 8), _MADE, _SEEN_LINEAR),
    Tag("AVIF, nclx: PQ", avif(9, 16), {}, message=_HDR.format("PQ")),
    Tag("AVIF, nclx: HLG", avif(9, 18), {}, message=_HDR.format("HLG")),
    Tag("AVIF, nclx: rare ones", avif(10, 13), {}, message="its colours (primaries 10, transfer 13 of ITU-T H.273)"),
    Tag("PNG, cICP: sRGB", png((b"cICP", bytes([1, 13, 0, 1]))), _NONE, RGB),
    Tag("PNG, cICP: Display P3 and the like", png((b"cICP", bytes([12, 13, 0, 1]))), _MADE, _SEEN_P3),
    Tag("PNG, cICP: PQ", png((b"cICP", bytes([9, 16, 0, 1]))), {}, message=_HDR.format("PQ")),
    Tag("PNG, cICP: HLG", png((b"cICP", bytes([9, 18, 0, 1]))), {}, message=_HDR.format("HLG")),
    Tag(
        "PNG, cICP: range of video",
        png((b"cICP", bytes([1, 13, 0, 0]))),
        {},
        message="PNGs with the range or the matrix of video (cICP) are not read here",
    ),
    Tag("PNG, sRGB chunk, whatever gAMA and cHRM say", png((b"sRGB", b"\0"), _LINEAR, _CHRM_P3), _NONE, RGB),
    Tag("PNG, gAMA of 0.45", png(_USUAL), _NONE, RGB),
    Tag("PNG, other gAMA, such as 1.0", png(_LINEAR), _MADE, _SEEN_LINEAR),
    Tag("PNG, grey, other gAMA", png(_LINEAR, mode="L"), _MADE_GREY, _SEEN_LINEAR_GREY),
    Tag("PNG, cHRM, such as Display P3's", png(_CHRM_P3), _MADE, _SEEN_P3),
    Tag(
        "EXIF: Adobe RGB (R03 of DCF, or colour space 2)",
        _jpeg(exif=exif({0x10F: b"Camera\0"}, {0xA001: (65535,)}, {1: b"R03\0"})),
        _MADE,
        _SEEN_ADOBE,
    ),
    Tag(
        "EXIF: sRGB or not calibrated",
        _jpeg(exif=exif({0x10F: b"Camera\0"}, {0xA001: (65535,)}, {1: b"R98\0"})),
        _NONE,
        RGB,
    ),
]

_HEAD = f"""
## Colours

The pixels are restored as they are; their colours are told by a profile in the output. Of several tags in a file, cICP
goes before ICC profiles, these before all others, and sRGB before gAMA and cHRM. A tag that means sRGB needs no
profile. Not read are the chromaticities of TIFF, the calibrated colours of BMP, and colours that only the AV1 data of
an AVIF tell. The curves of television (1, 6, 14 and 15 of ITU-T H.273, in nclx and cICP) are those of its cameras,
not of displays: stills that name them are taken for sRGB, and look as they do without the tag. Each row is a test
(`tests/images/test_colours.py`).

| colours told by | {" | ".join(f"to {form}" for form in FORMATS)} |
|{"---|" * (len(FORMATS) + 1)}
"""


def section() -> str:
    """The part of docs/files.md."""
    return _HEAD + "\n".join(tag.row() for tag in TAGS) + "\n"
