"""A picture that compares the input, enlarged by bicubic interpolation, with the restored picture."""

from __future__ import annotations

import pathlib
import typing

import numpy as np
from PIL import Image

from blindsr_jax.errors import DataError
from blindsr_jax.files import atomic_path
from blindsr_jax.images.folders import COMPARISON
from blindsr_jax.images.libvips import libvips, pixels_of, words_of
from blindsr_jax.images.opening import open_image
from blindsr_jax.images.reading import ImageFile
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restore import enlarge_bicubic
from blindsr_jax.inference.texture import window_of
from blindsr_jax.pictures import BACKGROUND, grid

Vips = typing.Any  # a pyvips.Image; pyvips is imported when it is first needed
_SIDE = 790  # pixels: longest side of each of two pictures side by side
_KINDS = {1: ("b-w", "grey16"), 2: ("b-w", "grey16"), 3: ("srgb", "rgb16"), 4: ("srgb", "rgb16")}


def comparison_path(image_path: pathlib.Path) -> pathlib.Path:
    """``photo.png.compare.jpg`` beside ``photo.png``."""
    return image_path.with_name(image_path.name + COMPARISON)


def write_comparison(image_path: pathlib.Path, before: ImageFile, scale: int) -> None:
    """Write a picture with the input on the left and the restored picture on the right.

    If the two had to be made smaller to fit, a second row shows a textured part of both at 100 %. Transparent pictures
    are drawn on white. The restored picture is read back from its file a few rows at a time.

    Args:
      image_path: path of the restored picture.
      before: the input.
      scale: ratio of their sizes.

    Raises:
      DataError: the restored picture cannot be read, or the comparison cannot be written.
    """
    try:
        pairs = _pairs(image_path, before.pixels, scale)
    except libvips().Error as error:
        raise DataError(f"{image_path}: cannot be compared with the input ({words_of(error)})") from None
    profile = before.metadata.icc_profile
    with atomic_path(comparison_path(image_path)) as temporary:
        colours = {"icc_profile": profile} if profile and before.pixels.ndim == 3 else {}
        _stacked([grid(pair, pair[0][1].size) for pair in pairs]).save(temporary, "JPEG", quality=92, **colours)


def _pairs(image_path: pathlib.Path, before: np.ndarray, scale: int) -> list[list[tuple[str, Image.Image]]]:
    """Rows of two captioned pictures of equal size."""
    height, width = (scale * side for side in before.shape[:2])
    factor = min(_SIDE / max(height, width), 1)
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    whole = _shown(_of_array(before), size), _shown(_restored(image_path), size)
    enlarged = "" if scale == 1 else f", bicubic x{scale}"
    pairs = [_captioned((f"input{enlarged}", "restored"), whole)]
    if factor == 1:
        return pairs
    rows, columns = window_of(before.shape[:2], Pixels(before).rgb, _SIDE // scale)
    corner, opposite = (columns.start, rows.start), (columns.stop, rows.stop)
    part = tuple(min(b, side) - a for a, b, side in zip(corner, opposite, before.shape[1::-1]))
    place = [scale * number for number in (*corner, *part)]
    small = _shown(_of_array(before).crop(*corner, *part), part)
    detail = enlarge_bicubic(small, scale), _shown(_restored(image_path).crop(*place), place[2:])
    bicubic = "" if scale == 1 else ", bicubic"
    return [*pairs, _captioned((f"input{bicubic}, a detail at 100 %", "restored, a detail at 100 %"), detail)]


def _captioned(captions: tuple[str, str], images: tuple[np.ndarray, np.ndarray]) -> list[tuple[str, Image.Image]]:
    return [(caption, Image.fromarray(image)) for caption, image in zip(captions, images)]


def _stacked(pictures: list[Image.Image]) -> Image.Image:
    canvas = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), BACKGROUND)
    top = 0
    for picture in pictures:
        canvas.paste(picture, (0, top))
        top += picture.height
    return canvas


def _restored(path: pathlib.Path) -> Vips:
    return open_image(path, max_pixels=0).stream()


def _of_array(pixels: np.ndarray) -> Vips:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    kind = _KINDS[channels][int(pixels.dtype == np.uint16)]
    return libvips().Image.new_from_array(np.ascontiguousarray(pixels), interpretation=kind)


def _shown(image: Vips, size: typing.Sequence[int]) -> np.ndarray:
    """Convert an image to uint8 [h, w, 3] on white, resized to (w, h)."""
    deep = image.format == "ushort"
    if image.hasalpha():
        image = image.flatten(background=65535 if deep else 255)
    if deep:
        image = (image / 257).rint().cast("uchar")
    if (image.width, image.height) != tuple(size):
        image = image.resize(size[0] / image.width, vscale=size[1] / image.height, kernel="cubic")
    pixels = pixels_of(image)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
