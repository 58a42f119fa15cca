"""Safe opening of image files.

The content, not the extension, determines the format. Size and number of pages come from the header, before any pixel
is decoded. A file that is damaged anywhere gives an error, never a partial image. libvips decodes all formats except
BMP, which Pillow decodes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import os
import typing

import numpy as np

from blindsr_jax.errors import DataError
from blindsr_jax.files import open_regular
from blindsr_jax.images.colour_profiles import profile_of
from blindsr_jax.images.colour_tags import exif_colours
from blindsr_jax.images.conversions import UPRIGHT, full_range, in_srgb, unmultiplied
from blindsr_jax.images.headers import Header, bmp_profile, not_read, read_header
from blindsr_jax.images.kinds import KINDS, kind_of, unread_kind
from blindsr_jax.images.libvips import TYPES, libvips, pixels_of, words_of

if typing.TYPE_CHECKING:
    import pyvips

MAX_PIXELS = 90_000_000  # larger pictures may be decompression bombs

_PAGED = ("tiff", "gif", "webp", "heif")  # loaders with the option ``page``
_REFUSED = {"float": "in floating point", "double": "in floating point", "char": "with a sign", "short": "with a sign"}
_CHANNELS = {"b-w": (1, 2), "grey16": (1, 2), "srgb": (3, 4), "rgb16": (3, 4)}
_DPI = 25.4  # dots per inch of one dot per millimetre


@dataclasses.dataclass(frozen=True)
class OpenImage:
    """An image file whose header has been read.

    Attributes:
      size: height and width of the upright image.
      decode: returns the upright pixels, uint8 or uint16 [H, W, C]: grey, grey and alpha, RGB or RGBA. Raises DataError
        if the file is damaged anywhere. Call it once.
      stream: returns a libvips image in the file's orientation. Read it once, from top to bottom.
      fields: EXIF, XMP and IPTC of the file by libvips' names, and its colour profile, or one that is made from its
        other colour tags.
      resolution: horizontal and vertical pixels per millimetre of the upright image; None if the file gives none.
    """

    size: tuple[int, int]
    decode: typing.Callable[[], np.ndarray]
    stream: typing.Callable[[], pyvips.Image]
    fields: dict[str, bytes | str]
    resolution: tuple[float, float] | None


def open_image(
    source: str | os.PathLike | bytes, *, name: str = "", page: int | None = None, max_pixels: int = MAX_PIXELS
) -> OpenImage:
    """Read the header of an image file.

    Args:
      source: a path, or the bytes of a file.
      name: its name in messages; the path by default.
      page: the page or frame to read, from 1; None refuses files with several pages.
      max_pixels: larger images are refused; 0 for no limit.

    Raises:
      DataError: the file is missing or damaged, has an unknown format or an unsupported pixel type, is too large, or
        has several pages and none is chosen.
    """
    name = name or ("the image" if isinstance(source, bytes) else os.fspath(source))
    with _file(source, name) as file:
        head = file.read(64)
        kind = kind_of(head)
        if kind is None:
            raise _no_image(name, head)
        if kind == "bmp":
            file.seek(0)
            _check_page(name, 1, page)
            return _open_bmp(file, name, max_pixels)
        header = read_header(file, kind, name, page or 1)
        try:
            return _open(file, "heif" if kind == "heic" else kind, header, name, page, max_pixels)
        except libvips().Error as error:
            raise _damaged(name, error, header) from None


@contextlib.contextmanager
def _file(source: str | os.PathLike | bytes, name: str) -> typing.Iterator[typing.BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        file = open_regular(source)
    except DataError as error:
        raise DataError(str(error).replace(os.fspath(source), name, 1)) from None
    with file:
        yield file


def _no_image(name: str, head: bytes) -> DataError:
    if not head:
        return DataError(f"{name}: the file is empty")
    known = unread_kind(head)
    return not_read(name, known) if known else DataError(f"{name}: not an image; expected {KINDS}")


def _open(file: typing.BinaryIO, kind: str, header: Header, name: str, page: int | None, max_pixels: int) -> OpenImage:
    vips = libvips()
    data = file.getvalue() if isinstance(file, io.BytesIO) else None

    def load(**options: int) -> pyvips.Image:
        file.seek(0)
        source = vips.Source.new_from_descriptor(file.fileno()) if data is None else vips.Source.new_from_memory(data)
        image = getattr(vips.Image, f"{kind}load_source")(source, access="sequential", fail_on="error", **options)
        image._references.append(source)  # keeps the bytes alive; pyvips does so only if it chooses the loader itself
        return image

    image = load()  # from here on libvips owns the position in the file
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    _check_page(name, max(pages, header.frames), page)
    if page is not None and page > pages:
        raise DataError(f"{name}: only the first of its {header.frames} frames can be read: --page 1")
    if page is not None and pages > 1 and kind in _PAGED:
        image = load(page=page - 1)
    _check_size(name, image.width, image.height, max_pixels)
    depth = image.get("bits-per-sample") if kind == "heif" and image.format == "ushort" else 16
    if image.interpretation == "cmyk":
        image = in_srgb(image, input_profile="cmyk")
    _check_pixels(name, image)
    if header.premultiplied and image.hasalpha():
        image = unmultiplied(image, depth)
    orientation = image.get("orientation") if image.get_typeof("orientation") else 1
    turned = 5 <= orientation <= 8
    present = os.fstat(file.fileno()).st_size if data is None else len(data)

    def decode() -> np.ndarray:
        _check_bytes(name, present, header.least_bytes)
        try:
            return UPRIGHT.get(orientation, lambda x: x)(full_range(pixels_of(image), depth))
        except vips.Error as error:
            raise _damaged(name, error, header) from None

    size, resolution = (image.height, image.width), (image.xres, image.yres)
    if turned:
        size, resolution = size[::-1], resolution[::-1]
    known = resolution if resolution != (1.0, 1.0) else None  # libvips' default for files without a resolution
    return OpenImage(size, decode, lambda: image, _fields(image, header), known)


def _fields(image: pyvips.Image, header: Header) -> dict[str, bytes | str]:
    """libvips' metadata, with a profile for colours that are told in another way."""
    names = [name for name in image.get_fields() if name.startswith("exif-ifd") or name.endswith("-data")]
    found = {name: image.get(name) for name in names}
    fields = {name: bytes(x) if not isinstance(x, str) else x for name, x in found.items()}
    if "icc-profile-data" in fields and not header.replaces_profile:
        return fields
    fields.pop("icc-profile-data", None)
    grey = image.bands <= 2
    colours = header.colours or (None if grey else exif_colours(fields))
    if colours and not colours.usual:
        with contextlib.suppress(ValueError):  # primaries that span no colours: libpng leaves them out too
            fields["icc-profile-data"] = profile_of(colours, grey=grey)
    return fields


def _open_bmp(file: typing.BinaryIO, name: str, max_pixels: int) -> OpenImage:
    from PIL.BmpImagePlugin import BmpImageFile

    data = io.BytesIO(file.read())
    try:
        image = BmpImageFile(data)
    except Exception as error:  # Pillow raises many kinds for damaged files: OSError, SyntaxError, struct.error …
        raise _damaged(name, error) from None
    _check_size(name, *image.size, max_pixels)

    def decode() -> np.ndarray:
        try:
            pixels = np.asarray(image.convert({"1": "L", "P": "RGB"}.get(image.mode, image.mode)))
        except Exception as error:
            raise _damaged(name, error) from None
        return pixels.reshape(*pixels.shape[:2], -1)

    def stream() -> pyvips.Image:
        return libvips().Image.new_from_array(decode())

    dpi = image.info.get("dpi", (0, 0))
    resolution = (dpi[0] / _DPI, dpi[1] / _DPI) if min(dpi) > 0 else None
    profile = bmp_profile(data.getvalue())
    fields: dict[str, bytes | str] = {"icc-profile-data": profile} if profile else {}
    return OpenImage(image.size[::-1], decode, stream, fields, resolution)


def _damaged(name: str, error: Exception, header: Header | None = None) -> DataError:
    if header and header.unread:
        return not_read(name, header.unread)
    return DataError(f"{name}: cannot be read as an image, it may be damaged ({words_of(error)})")


def _check_page(name: str, pages: int, page: int | None) -> None:
    if page is None and pages > 1:
        raise DataError(f"{name}: has {pages} pages or frames; choose one of them (restore: --page 1 to {pages})")
    if page is not None and page > pages:
        raise DataError(f"{name}: there is no page {page}, it has {pages}")


def _check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > (max_pixels or math.inf):
        raise DataError(
            f"{name}: {width}x{height}, larger than {max_pixels:,} pixels; "
            "cut it into parts, or allow as many if you trust the file (restore: --max-pixels)"
        )


def _check_bytes(name: str, present: int, least: int) -> None:
    """Refuse a file that is too short for its pixels, before they take memory."""
    if least > present:
        needs = f"its pixels take {least:,} bytes or more, the file has {present:,}"
        raise DataError(f"{name}: cannot be read as an image, it may be damaged ({needs})")


def _check_pixels(name: str, image: pyvips.Image) -> None:
    if image.format not in TYPES:
        kind = _REFUSED.get(image.format, "of 32 bits or more")
        raise DataError(f"{name}: pixels {kind} are not supported; save it with 8 or 16 bits")
    if image.bands not in _CHANNELS.get(image.interpretation, ()):
        kind = f"{image.bands} channels ({image.interpretation})"
        raise DataError(f"{name}: {kind} are not supported; save it in grey, RGB or CMYK, with or without alpha")
