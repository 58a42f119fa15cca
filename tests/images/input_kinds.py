"""Every kind of image file that somebody may hand to ``blindsr restore``, and what is to come of it.

The tests make each file and run the command on it; the table of ``docs/files.md`` is printed from this list:

python -m tests.images.input_kinds > docs/files.md
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib

import numpy as np

from tests.images import colour_kinds
from tests.images.picture_bytes import (
    COLOURS,
    HEIGHT,
    WIDTH,
    Make,
    claiming,
    cut,
    deep,
    described,
    few_bits,
    flipped_bit,
    frame_header,
    frames,
    of_compression,
    opaque_to,
    plain,
    premultiplied,
    profile,
    saved,
    scene,
    scene_first,
    tiff_of,
    turned,
)


@dataclasses.dataclass(frozen=True)
class Written:
    """A picture comes out.

    Attributes:
      mode: of the picture, as Pillow calls them.
      bits: of a channel.
      name: of the file.
      scene: which colours its quarters have: "colour", "grey", "bilevel", "on white" for the last quarter white.
      says: what else is to be told to readers of the table.
      metadata: whether EXIF and XMP are there (None: the input has none).
      profile: whether a colour profile is there.
      alpha: of the visible quarters.
    """

    mode: str
    bits: int = 8
    name: str = ""
    scene: str = ""
    says: str = ""
    metadata: bool | None = None
    profile: bool = False
    alpha: int = 255

    def text(self) -> str:
        mode = {"L": "grey", "LA": "grey and alpha"}.get(self.mode, self.mode)
        return f"{mode}, {self.bits} bits" + (f", as `{self.name}`" if self.name else "") + f"{self.says}"


@dataclasses.dataclass(frozen=True)
class Refused:
    """No picture comes out, and a message that has this in it; ``code`` 2 if nothing is tried at all."""

    message: str
    code: int = 1

    def text(self) -> str:
        return f"refused: “{self.message}”"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
      what: in words.
      name: of the file.
      make: its bytes.
      outcome: of the command.
      options: of the command.
    """

    what: str
    name: str
    make: Make
    outcome: Written | Refused
    options: tuple[str, ...] = ()


NOT_AN_IMAGE = "not an image; expected PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF"
DAMAGED = "cannot be read as an image, it may be damaged"
_PNG, _JPEG = functools.partial(plain, form="PNG"), functools.partial(plain, form="JPEG", quality=95)

KINDS = [
    Kind("PNG, 1 bit", "a.png", _PNG("1"), Written("L", scene="bilevel")),
    Kind("PNG, grey, 2 bits", "a.png", few_bits(2), Written("L", scene="")),
    Kind("PNG, grey", "a.png", _PNG("L"), Written("L", scene="grey")),
    Kind("PNG, grey, 16 bits", "a.png", deep("L", "png"), Written("L", 16, scene="grey")),
    Kind("PNG, grey and alpha", "a.png", _PNG("LA"), Written("LA", scene="grey")),
    Kind("PNG, grey and alpha, 16 bits", "a.png", deep("LA", "png"), Written("LA", 16, scene="grey")),
    Kind("PNG, RGB", "a.png", _PNG("RGB"), Written("RGB", scene="colour")),
    Kind("PNG, RGB, 16 bits", "a.png", deep("RGB", "png"), Written("RGB", 16, scene="colour")),
    Kind("PNG, RGBA", "a.png", _PNG("RGBA"), Written("RGBA", scene="colour")),
    Kind("PNG, RGBA, 16 bits", "a.png", deep("RGBA", "png"), Written("RGBA", 16, scene="colour")),
    Kind("PNG, palette", "a.png", _PNG("P"), Written("RGB")),
    Kind(
        "PNG, palette with a transparent colour",
        "a.png",
        lambda: saved(scene().quantize(4), "PNG", transparency=scene().quantize(4).getpixel((WIDTH - 1, HEIGHT - 1))),
        Written("RGBA", scene="colour"),
    ),
    Kind(
        "PNG, RGB with a transparent colour",
        "a.png",
        plain("RGB", "PNG", transparency=COLOURS[3]),
        Written("RGBA", scene="colour"),
    ),
    Kind("PNG, interlaced, 16 bits", "a.png", deep("RGB", "png", interlace=True), Written("RGB", 16, scene="colour")),
    Kind("PNG with EXIF orientation 6", "a.png", turned(6, "PNG"), Written("RGB", scene="colour", says=", upright")),
    Kind(
        "PNG with a colour profile",
        "a.png",
        lambda: saved(scene(), "PNG", icc_profile=profile()),
        Written("RGB", scene="colour", profile=True, says=", with its profile"),
    ),
    Kind("PNG, animated", "a.png", frames("PNG"), Refused("has 3 pages or frames")),
    Kind("PNG, animated", "a.png", scene_first("PNG"), Written("RGB", scene="colour"), ("--page", "1")),
    Kind(
        "PNG, animated", "a.png", frames("PNG"), Refused("only the first of its 3 frames can be read"), ("--page", "2")
    ),
    Kind("JPEG, grey", "a.jpg", _JPEG("L"), Written("L", scene="grey")),
    Kind("JPEG, RGB", "a.jpg", _JPEG("RGB"), Written("RGB", scene="colour")),
    Kind("JPEG, progressive", "a.jpeg", _JPEG("RGB", progressive=True), Written("RGB", name="a.jpeg", scene="colour")),
    Kind("JPEG, CMYK", "a.jpg", _JPEG("CMYK"), Written("RGB", says=", by the profile in the file or a usual one")),
    *(
        Kind(f"JPEG with EXIF orientation {i}", "a.jpg", turned(i), Written("RGB", scene="colour", says=", upright"))
        for i in range(2, 9)
    ),
    Kind(
        "JPEG with EXIF, XMP and thumbnail",
        "a.jpg",
        described("JPEG"),
        Written("RGB", scene="colour", metadata=True, says=", upright, with EXIF and XMP, without the thumbnail"),
    ),
    Kind(
        "JPEG with EXIF and XMP",
        "a.jpg",
        described("JPEG"),
        Written("RGB", name="a.png", scene="colour", metadata=True, says=", upright, with EXIF and XMP"),
        ("--format", "png"),
    ),
    Kind(
        "JPEG with EXIF and XMP",
        "a.jpg",
        described("JPEG"),
        Written("RGB", name="a.avif", scene="colour", metadata=True, says=", upright, with EXIF and XMP"),
        ("--format", "avif"),
    ),
    Kind(
        "JPEG with EXIF and XMP",
        "a.jpg",
        described("JPEG"),
        Written("RGB", scene="colour", metadata=False, says=", upright, without EXIF and XMP"),
        ("--strip-metadata",),
    ),
    Kind("WebP, lossy", "a.webp", plain("RGB", "WEBP", quality=95), Written("RGB", scene="colour")),
    Kind("WebP, lossless, RGBA", "a.webp", plain("RGBA", "WEBP", lossless=True), Written("RGBA", scene="colour")),
    Kind("WebP, animated", "a.webp", frames("WEBP"), Refused("has 3 pages or frames")),
    Kind("WebP, animated", "a.webp", frames("WEBP", quality=95), Written("RGB", scene="colour"), ("--page", "2")),
    Kind(
        "TIFF, 1 bit, CCITT group 4", "a.tif", plain("1", "TIFF", compression="group4"), Written("L", scene="bilevel")
    ),
    Kind(
        "TIFF, grey, white is zero, 16 bits",
        "a.tif",
        tiff_of(lambda x: (255 - x).astype(np.uint16) * 257, 0, "L"),
        Written("L", 16, scene="grey"),
    ),
    Kind("TIFF, RGB, LZW", "a.tiff", plain("RGB", "TIFF", compression="tiff_lzw"), Written("RGB", scene="colour")),
    Kind("TIFF, RGB, 16 bits", "a.tif", deep("RGB", "tiff"), Written("RGB", 16, scene="colour")),
    Kind(
        "TIFF, RGB, JPEG inside",
        "a.tif",
        plain("RGB", "TIFF", compression="jpeg", quality=95),
        Written("RGB", scene="colour"),
    ),
    Kind("TIFF, tiled, RGBA, 16 bits", "a.tif", deep("RGBA", "tiff", tile=True), Written("RGBA", 16, scene="colour")),
    Kind("BigTIFF, RGB", "a.tif", plain("RGB", "TIFF", big_tiff=True), Written("RGB", scene="colour")),
    Kind(
        "TIFF, RGBA, alpha multiplied into the colours",
        "a.tif",
        tiff_of(premultiplied, 2, "RGBA", extra=1),
        Written("RGBA", scene="colour", alpha=200),
    ),
    Kind(
        "TIFF, CMYK", "a.tif", plain("CMYK", "TIFF"), Written("RGB", says=", by the profile in the file or a usual one")
    ),
    Kind("TIFF, CMYK, 16 bits", "a.tif", tiff_of(lambda x: x.astype(np.uint16) * 257, 5, "CMYK"), Written("RGB", 16)),
    Kind("TIFF with orientation 8", "a.tif", turned(8, "TIFF"), Written("RGB", scene="colour", says=", upright")),
    Kind("TIFF of 3 pages", "a.tif", frames("TIFF"), Refused("has 3 pages or frames")),
    Kind("TIFF of 3 pages", "a.tif", frames("TIFF"), Written("RGB", scene="colour"), ("--page", "2")),
    Kind("TIFF of 3 pages", "a.tif", frames("TIFF"), Refused("there is no page 4, it has 3"), ("--page", "4")),
    Kind(
        "TIFF, floating point",
        "a.tif",
        tiff_of(np.float32, 2, sample=3),
        Refused("pixels in floating point are not supported"),
    ),
    Kind(
        "TIFF, integers of 32 bits",
        "a.tif",
        tiff_of(np.uint32, 2),
        Refused("pixels of 32 bits or more are not supported"),
    ),
    Kind(
        "TIFF, signed integers",
        "a.tif",
        tiff_of(np.int16, 2, sample=2),
        Refused("pixels with a sign are not supported"),
    ),
    Kind(
        "TIFF of 5 channels",
        "a.tif",
        tiff_of(lambda x: np.repeat(x, 5, axis=2), 1, "L"),
        Refused("5 channels (b-w) are not supported"),
    ),
    Kind("TIFF, RGBA, ExtraSamples missing", "a.tif", tiff_of(np.uint8, 2, "RGBA"), Written("RGBA", scene="colour")),
    Kind(
        "TIFF, RGB and a channel of data, such as near infrared",
        "a.tif",
        tiff_of(np.uint8, 2, "RGBA", extra=0),
        Refused("channel 4 is not transparency (ExtraSamples 0)"),
    ),
    Kind(
        "TIFF, grey and a channel of data",
        "a.tif",
        tiff_of(np.uint8, 1, "LA", extra=0),
        Refused("channel 2 is not transparency (ExtraSamples 0)"),
    ),
    Kind(
        "TIFF, two grey channels, ExtraSamples missing",
        "a.tif",
        tiff_of(np.uint8, 1, "LA"),
        Refused("channel 2 is not transparency (ExtraSamples is missing)"),
    ),
    Kind(
        "TIFF, CMYK and a spot colour",
        "a.tif",
        tiff_of(lambda x: np.repeat(x[..., :1], 5, axis=2), 5, "CMYK", extra=0),
        Refused("channel 5 is not transparency (ExtraSamples 0)"),
    ),
    Kind("TIFF, CIELAB", "a.tif", tiff_of(np.uint8, 8), Refused("TIFF in CIELAB is not read here")),
    Kind("TIFF, CIELAB, 16 bits", "a.tif", tiff_of(np.int16, 8), Refused("TIFF in CIELAB is not read here")),
    Kind(
        "TIFF, YCbCr without JPEG",
        "a.tif",
        plain("YCbCr", "TIFF"),
        Refused("TIFF in YCbCr is read only with JPEG inside"),
    ),
    Kind("TIFF, ZSTD", "a.tif", plain("RGB", "TIFF", compression="zstd"), Refused("TIFF with ZSTD inside is not read")),
    Kind("TIFF, LZMA", "a.tif", plain("RGB", "TIFF", compression="lzma"), Refused("TIFF with LZMA inside is not read")),
    Kind(
        "TIFF, JPEG 2000",
        "a.tif",
        of_compression(34712),
        Refused("TIFF with JPEG 2000 inside is not read here"),
    ),
    Kind("TIFF, LERC", "a.tif", of_compression(34887), Refused("TIFF with LERC inside is not read here")),
    Kind("TIFF, JPEG XL", "a.tif", of_compression(52546), Refused("TIFF with JPEG XL inside is not read here")),
    Kind("camera raw (DNG)", "a.dng", tiff_of(np.uint8, 2, dng=True), Refused("camera raw files are not read here")),
    Kind(
        "camera raw (CR2)",
        "a.cr2",
        lambda: b"II*\0\x10\0\0\0CR\2\0" + tiff_of(np.uint8, 2)(),
        Refused("camera raw files are not read here"),
    ),
    Kind("BMP, 1 bit", "a.bmp", plain("1", "BMP"), Written("L", scene="bilevel")),
    Kind("BMP, grey", "a.bmp", plain("L", "BMP"), Written("L", scene="grey")),
    Kind("BMP, palette", "a.bmp", plain("P", "BMP"), Written("RGB")),
    Kind("BMP, RGB", "a.bmp", plain("RGB", "BMP"), Written("RGB", scene="colour")),
    Kind("GIF", "a.gif", lambda: saved(scene().quantize(4), "GIF"), Written("RGB", name="a.png", scene="colour")),
    Kind("GIF, animated", "a.gif", frames("GIF"), Refused("has 3 pages or frames")),
    Kind("GIF, animated", "a.gif", frames("GIF"), Refused("there is no page 9, it has 3"), ("--page", "9")),
    Kind("AVIF", "a.avif", plain("RGB", "AVIF", quality=95), Written("RGB", scene="colour")),
    Kind("AVIF, RGBA", "a.avif", plain("RGBA", "AVIF", quality=95), Written("RGBA", scene="colour")),
    Kind(
        "AVIF, RGBA, alpha multiplied into the colours",
        "a.avif",
        lambda: saved(opaque_to(200), "AVIF", quality=95, alpha_premultiplied=True),
        Written("RGBA", scene="colour", alpha=200),
    ),
    Kind(
        "AVIF, 10 bits",
        "a.avif",
        deep("RGB", "heif", compression="av1", bitdepth=10, Q=95),
        Written("RGB", 12, scene="colour"),
    ),
    Kind(
        "AVIF, 12 bits",
        "a.avif",
        deep("RGB", "heif", compression="av1", bitdepth=12, Q=95),
        Written("RGB", 16, name="a.png", scene="colour"),
        ("--format", "png"),
    ),
    Kind("AVIF, animated", "a.avif", frames("AVIF"), Refused("has 3 pages or frames")),
    Kind(
        "PNG, RGBA",
        "a.png",
        _PNG("RGBA"),
        Written("RGB", name="a.jpg", scene="on white", says=", on white"),
        ("--format", "jpg"),
    ),
    Kind(
        "PNG, RGBA",
        "a.png",
        _PNG("RGBA"),
        Written("RGB", name="a.bmp", scene="on white", says=", on white"),
        ("--format", "bmp"),
    ),
    Kind("PNG, RGBA", "a.png", _PNG("RGBA"), Written("RGBA", name="a.avif", scene="colour"), ("--format", "avif")),
    Kind("PNG, grey", "a.png", _PNG("L"), Written("RGB", name="a.webp", scene="grey"), ("--format", "webp")),
    Kind(
        "PNG, RGB, 16 bits",
        "a.png",
        deep("RGB", "png"),
        Written("RGB", name="a.webp", scene="colour"),
        ("--format", "webp"),
    ),
    Kind("PNG, RGB, 16 bits", "a.png", deep("RGB", "png"), Written("RGB", scene="colour"), ("--depth", "8")),
    Kind(
        "PNG, RGB, 16 bits",
        "a.png",
        deep("RGB", "png"),
        Written("RGB", 12, name="a.avif", scene="colour"),
        ("--format", "avif"),
    ),
    Kind("PNG, RGB", "a.png", _PNG("RGB"), Written("RGB", 16, scene="colour"), ("--depth", "16")),
    Kind(
        "PNG, RGB",
        "a.png",
        _PNG("RGB"),
        Written("RGB", 16, name="a.tiff", scene="colour"),
        ("--depth", "16", "--format", "tiff"),
    ),
    Kind("JPEG, RGB", "a.jpg", _JPEG("RGB"), Refused("a.jpg would hold 8 bits", 2), ("--depth", "16")),
    Kind("PNG, RGB", "a.png", _PNG("RGB"), Refused("--quality: png loses nothing", 2), ("--quality", "50")),
    Kind("JPEG called .png", "a.png", _JPEG("RGB"), Written("RGB", name="a.png", scene="colour")),
    Kind("PNG called .jpg", "a.jpg", _PNG("RGB"), Written("RGB", name="a.jpg", scene="colour")),
    Kind("PNG without extension", "a", _PNG("RGB"), Written("RGB", name="a.png", scene="colour")),
    Kind("PNG, cut off", "a.png", cut(_PNG("RGB")), Refused(DAMAGED)),
    Kind("PNG, one bit flipped", "a.png", flipped_bit(_PNG("RGB")), Refused(DAMAGED)),
    Kind("JPEG, cut off", "a.jpg", cut(_JPEG("RGB"), 0.95), Refused(DAMAGED)),
    Kind("WebP, cut off", "a.webp", cut(plain("RGB", "WEBP")), Refused(DAMAGED)),
    Kind("TIFF, cut off", "a.tif", cut(tiff_of(np.uint8, 2)), Refused(DAMAGED)),
    Kind("BMP, cut off", "a.bmp", cut(plain("RGB", "BMP")), Refused(DAMAGED)),
    Kind("GIF, cut off", "a.gif", cut(plain("RGB", "GIF"), 0.9), Refused(DAMAGED)),
    Kind("AVIF, cut off", "a.avif", cut(plain("RGB", "AVIF"), 0.9), Refused(DAMAGED)),
    Kind("an empty file", "a.png", lambda: b"", Refused("the file is empty")),
    Kind("text called .png", "a.png", lambda: b"hello", Refused(NOT_AN_IMAGE)),
    Kind("SVG called .png", "a.png", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", Refused(NOT_AN_IMAGE)),
    Kind("JPEG XL", "a.jxl", lambda: b"\xff\x0a\xfa\x7f\x01\x90", Refused("JPEG XL is not read here")),
    Kind("JPEG XL, boxed", "a.jxl", lambda: b"\0\0\0\x0cJXL \r\n\x87\n", Refused("JPEG XL is not read here")),
    Kind("JPEG 2000", "a.jp2", plain("RGB", "JPEG2000"), Refused("JPEG 2000 is not read here")),
    Kind("JPEG of 12 bits", "a.jpg", frame_header(0xC1, 12), Refused("JPEG of 12 bits is not read here")),
    Kind("JPEG-LS", "a.jpg", frame_header(0xF7), Refused("JPEG-LS is not read here")),
    Kind("JPEG, lossless", "a.jpg", frame_header(0xC3), Refused("lossless JPEG is not read here")),
    Kind("Photoshop", "a.psd", lambda: b"8BPS\0\1" + bytes(20), Refused("Photoshop (PSD) is not read here")),
    Kind("PDF called .tif", "a.tif", lambda: b"%PDF-1.7\n", Refused(NOT_AN_IMAGE)),
    Kind("HEIC called .jpg", "a.jpg", lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Refused("HEIC is not read here")),
    Kind(
        "PNG that claims 20000×20000 pixels",
        "a.png",
        claiming(20000, 20000),
        Refused("20000x20000, larger than 90,000,000 pixels"),
    ),
    Kind("PNG, RGB", "a.png", _PNG("RGB"), Refused("24x16, larger than 383 pixels"), ("--max-pixels", "383")),
]

_HEAD = """# Image files

The output of `blindsr restore` for each kind of file. A file's content decides its kind, never its extension. The
extension of an output decides its format. An output in a folder has the input's name and extension, unless `--format`
names another format. Channels have 8 bits unless the table says otherwise. Each row is a test
(`tests/images/test_input_kinds.py`). `python -m tests.images.input_kinds` prints this page.

- Colours under full transparency are replaced by those of the nearest visible pixel before restoring, so that cut-outs
  get no fringes. Alpha itself is enlarged by bicubic interpolation.
- EXIF, XMP, IPTC and resolution are kept, colours as the last table says. EXIF and XMP lose orientation, thumbnails,
  sizes in pixels, and what tells of gain maps, videos, depth and panoramas. `--strip-metadata` keeps the profile alone.
- TIFF outputs hold no EXIF, WebP and AVIF no resolution, BMP nothing but resolution.
- WebP and AVIF have no grey: grey becomes RGB there. AVIF holds 12 of 16 bits.
- HEIC is read where libvips has a decoder for it; the libvips that comes with pyvips has none. JPEG XL, JPEG 2000,
  camera raw files, and TIFFs with unusual compression are named as not read.
- A damaged file never becomes half a picture.
- Training, scoring and `blindsr degrade` read the same kinds by the same code, rounded to 8 bits. They drop
  transparency and refuse files of several pages. `blindsr degrade` keeps colour profiles as `restore` does; a grey
  picture with a profile becomes sRGB, because LR images are RGB.
- PNGs, JPEGs and TIFFs of fewer bytes than their pixels can have are refused before the pixels take memory.
- libvips decodes everything except BMP, which Pillow decodes. Scores do not depend on this: a test compares the pixels
  of PNG, JPEG, TIFF and lossless WebP of 8 bits with those that Pillow decodes.

| input | options | output, or why there is none |
|---|---|---|
"""


_KERNELS = """
## Kernels

`--kernel`, `--kernels` and pools take .npy and .mat files (MATLAB 5 to 7.2), told by content. Each row is a test
(`tests/images/test_kernel_arrays.py`, `test_hostile_kernel_files.py`).

| file | what is read |
|---|---|
| .npy | an array of numbers [K, K], [N, K, K] or [1, 1, K, K], odd K |
| .mat | the variable whose name begins with "kernel", or the only one: [K, K], [K, K, N], or a cell array of [K, K] |
| .mat of MATLAB 7.3 | refused: save it with `save(..., '-v7')` |
| .npz, HDF5, a picture | refused by its name; the levels of a picture are too coarse for a kernel |
| more than 32,768 kernels, 16,777,216 numbers or 1023 pixels a side | refused |
"""


def page() -> str:
    """docs/files.md."""
    rows = [
        f"| {kind.what} | {'`' + ' '.join(kind.options) + '`' if kind.options else ''} | {kind.outcome.text()} |"
        for kind in KINDS
    ]
    return _HEAD + "\n".join(rows) + "\n" + colour_kinds.section() + _KERNELS


def write(kind: Kind, folder: pathlib.Path) -> pathlib.Path:
    """The file of a kind."""
    path = folder / kind.name
    path.write_bytes(kind.make())
    return path


if __name__ == "__main__":
    print(page(), end="")
