"""Bytes of small image files of every kind, all with a scene of four coloured quarters."""

from __future__ import annotations

import functools
import io
import struct
import typing
import zlib

import numpy as np
from PIL import Image, ImageCms

WIDTH, HEIGHT = 24, 16
COLOURS = ((200, 40, 40), (40, 180, 60), (50, 60, 200), (220, 210, 90))  # colours of the scene's quarters, row by row
Make = typing.Callable[[], bytes]


def scene(mode: str = "RGB") -> Image.Image:
    """Four quarters of one colour each. With alpha, the last quarter is transparent."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for i, colour in enumerate(COLOURS):
        row, column = divmod(i, 2)
        pixels[row * HEIGHT // 2 :, column * WIDTH // 2 :] = colour
    picture = Image.fromarray(pixels)
    if mode in ("RGBA", "LA"):
        alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
        alpha[HEIGHT // 2 :, WIDTH // 2 :] = 0
        picture = picture.convert(mode[:-1])
        picture.putalpha(Image.fromarray(alpha))
        return picture
    return picture.convert(mode, dither=Image.Dither.NONE)


def saved(picture: Image.Image, form: str, **options: typing.Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def plain(mode: str, form: str, **options: typing.Any) -> Make:
    return lambda: saved(scene(mode), form, **options)


def frames(form: str, **options: typing.Any) -> Make:
    """Three pages: black, the scene, white."""

    def make() -> bytes:
        black, white = (Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("black", "white"))
        return saved(black, form, save_all=True, append_images=[scene(), white], **options)

    return make


def scene_first(form: str, **options: typing.Any) -> Make:
    def make() -> bytes:
        white = Image.new("RGB", (WIDTH, HEIGHT), "white")
        return saved(scene(), form, save_all=True, append_images=[white, white], **options)

    return make


def deep(mode: str, saver: str, **options: typing.Any) -> Make:
    """The scene with 16 bits per channel, by libvips."""

    def make() -> bytes:
        import pyvips

        pixels = np.asarray(scene(mode)).astype(np.uint16) * 257
        kind = "rgb16" if mode.startswith("RGB") else "grey16"
        image = pyvips.Image.new_from_array(pixels, interpretation=kind)
        return getattr(image, f"{saver}save_buffer")(**options)

    return make


def few_bits(bits: int) -> Make:
    def make() -> bytes:
        import pyvips

        return pyvips.Image.new_from_array(np.asarray(scene("L")), interpretation="b-w").pngsave_buffer(bitdepth=bits)

    return make


# The transposition that stores the scene in a file with each EXIF orientation.
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def turned(orientation: int, form: str = "JPEG") -> Make:
    def make() -> bytes:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {"quality": 95, "subsampling": 0} if form == "JPEG" else {}
        return saved(scene().transpose(_STORED[orientation]), form, exif=exif, **options)

    return make


def described(form: str) -> Make:
    """With a maker, a thumbnail and an orientation in EXIF, and an XMP packet."""

    def make() -> bytes:
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = 3, "Camera"
        xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/">'
        xmp += b'<x:title tiff:Orientation="3">A title</x:title></x:xmpmeta>'
        data = saved(
            scene().transpose(_STORED[3]), form, exif=_with_thumbnail(exif), xmp=xmp, dpi=(300, 300), quality=95
        )
        assert b"JFIFthumb" in data
        return data

    return make


def _with_thumbnail(exif: Image.Exif) -> bytes:
    """EXIF with a thumbnail in its second directory. The thumbnail's bytes can be recognised in any copy."""
    data = exif.tobytes()
    head, tiff = data[:6], data[6:]
    order = "<" if tiff[:2] == b"II" else ">"
    first = struct.unpack(order + "I", tiff[4:8])[0]
    count = struct.unpack(order + "H", tiff[first : first + 2])[0]
    link = first + 2 + 12 * count
    thumbnail, place = b"\xff\xd8JFIFthumb\xff\xd9", len(tiff)
    entries = [(0x0103, 3, 6), (0x0201, 4, place + 2 + 36 + 4), (0x0202, 4, len(thumbnail))]
    directory = struct.pack(order + "H", 3)
    for tag, kind, value in entries:
        packed = struct.pack(order + ("H2x" if kind == 3 else "I"), value)
        directory += struct.pack(order + "HHI", tag, kind, 1) + packed
    tiff = tiff[:link] + struct.pack(order + "I", place) + tiff[link + 4 :] + directory + bytes(4) + thumbnail
    return head + tiff


@functools.cache
def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def tiff(
    pixels: np.ndarray, photometric: int, *, sample: int = 1, extra: int | None = None, dng: bool = False
) -> bytes:
    """A TIFF of one strip, assembled by hand.

    Args:
      pixels: [H, W, C] of any integer or floating-point type.
      photometric: 0 white is zero, 1 black is zero, 2 RGB, 5 CMYK.
      sample: 1 unsigned, 2 signed, 3 floating point.
      extra: meaning of the channel beyond the colours: 0 data, 1 premultiplied alpha, 2 alpha; None leaves it out.
      dng: with the version of a digital negative.
    """
    height, width, channels = pixels.shape
    data, bits = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes(), 8 * pixels.itemsize
    tags: dict[int, tuple[int, list[int]]] = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * channels),
        259: (3, [1]),
        262: (3, [photometric]),
        273: (4, [0]),
        277: (3, [channels]),
        278: (4, [height]),
        279: (4, [len(data)]),
        284: (3, [1]),
        339: (3, [sample] * channels),
    }
    if extra is not None:
        tags[338] = (3, [extra])
    if dng:
        tags[50706] = (4, [0x401])
    rest, entries = b"", b""
    start = 8 + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            place = start + len(rest)
            rest += packed + bytes(len(packed) % 2)
            packed = struct.pack("<I", place)
        entries += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    entries = entries.replace(struct.pack("<HHII", 273, 4, 1, 0), struct.pack("<HHII", 273, 4, 1, start + len(rest)))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + rest + data


def tiff_of(change: typing.Callable[[np.ndarray], np.ndarray], photometric: int, mode: str = "RGB", **options) -> Make:
    def make() -> bytes:
        pixels = np.asarray(scene(mode))
        return tiff(change(pixels.reshape(HEIGHT, WIDTH, -1)), photometric, **options)

    return make


def of_compression(number: int) -> Make:
    """A TIFF that says that its pixels are compressed in a way."""

    def make() -> bytes:
        data = tiff_of(np.uint8, 2)()
        plain_tag = struct.pack("<HHII", 259, 3, 1, 1)
        assert data.count(plain_tag) == 1
        return data.replace(plain_tag, struct.pack("<HHII", 259, 3, 1, number))

    return make


def frame_header(marker: int, bits: int = 8) -> Make:
    """A JPEG that says that it is of another process or depth."""

    def make() -> bytes:
        data = bytearray(plain("RGB", "JPEG")())
        at = data.index(b"\xff\xc0")
        data[at + 1], data[at + 4] = marker, bits
        return bytes(data)

    return make


def opaque_to(alpha: int) -> Image.Image:
    """The scene with an alpha for its visible quarters."""
    picture = scene("RGBA")
    picture.putalpha(picture.getchannel("A").point(lambda x: min(x, alpha)))
    return picture


def cut(make: Make, share: float = 0.6) -> Make:
    def made() -> bytes:
        data = make()
        return data[: int(share * len(data))]

    return made


def flipped_bit(make: Make) -> Make:
    """A PNG with one flipped bit in its compressed pixels."""

    def made() -> bytes:
        data = bytearray(make())
        data[data.index(b"IDAT") + 10] ^= 1
        return bytes(data)

    return made


def claiming(width: int, height: int) -> Make:
    """A PNG whose header declares a size, without the pixels."""

    def made() -> bytes:
        chunks = [
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(b"")),
            (b"IEND", b""),
        ]
        packed = [struct.pack(">I4s", len(x), name) + x + struct.pack(">I", zlib.crc32(name + x)) for name, x in chunks]
        return b"\x89PNG\r\n\x1a\n" + b"".join(packed)

    return made


def premultiplied(pixels: np.ndarray) -> np.ndarray:
    alpha = np.where(pixels[..., 3:] > 0, 200, 0)
    return np.concatenate([np.round(pixels[..., :3] * (alpha / 255)), alpha], axis=-1).astype(np.uint8)
