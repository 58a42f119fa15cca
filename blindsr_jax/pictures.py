"""Pictures for people: 8-bit images, kernels, and panels of a restoration or of a kernel estimation."""

from __future__ import annotations

import typing

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_CAPTION = 22  # height in pixels of the caption above each picture
_GAP = 6
_WIDEST = 640  # largest width in pixels of an image in a panel
_KERNEL_SIDE = 210
BACKGROUND, _TEXT = (24, 24, 24), (235, 235, 235)


def from_unit(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Convert values in [0, 1] to a file's type: clip, then scale and round if the type is an integer."""
    x = np.clip(x, 0, 1)
    if np.issubdtype(dtype, np.floating):
        return x.astype(dtype)
    return np.round(x * np.iinfo(dtype).max).astype(dtype)


def kernel_picture(kernel: np.ndarray, side: int = _KERNEL_SIDE) -> Image.Image:
    """Draw a blur kernel as a grey square. Each weight is a block of whole pixels; the largest weight is white.

    Args:
      kernel: [K, K].
      side: approximate side of the picture in pixels.
    """
    kernel = np.asarray(kernel, np.float64)
    grey = np.uint8(np.round(255 * np.clip(kernel / max(kernel.max(), 1e-12), 0, 1)))
    block = max(side // kernel.shape[0], 1)
    return Image.fromarray(np.kron(grey, np.ones((block, block), np.uint8)))


def panel(
    lr: np.ndarray | None,
    images: typing.Sequence[tuple[str, np.ndarray]],
    kernels: typing.Sequence[tuple[str, np.ndarray]],
) -> Image.Image:
    """Draw the restoration of one image as captioned pictures side by side.

    Args:
      lr: uint8 [H, W, 3], drawn enlarged by nearest-neighbour interpolation; or None.
      images: captions and uint8 [sH, sW, 3] images: interpolations, unfolded steps, the ground truth.
      kernels: captions and [K, K] kernels, true or estimated.

    Returns:
      An RGB picture with at most four cells per row: LR, images, kernels. Large images are shrunk.

    Raises:
      ValueError: there is neither an LR image nor another image.
    """
    first = images[0][1] if images else lr
    if first is None:
        raise ValueError("a panel needs an image")
    height, width = first.shape[:2]
    factor = min(1.0, _WIDEST / width) if images else max(_KERNEL_SIDE / min(height, width), 1.0)
    size = (round(factor * width), round(factor * height))

    def fitted(image: np.ndarray, resampling: Image.Resampling) -> Image.Image:
        picture = Image.fromarray(image)
        return picture if picture.size == size else picture.resize(size, resampling)

    cells = [] if lr is None else [("LR, enlarged", fitted(lr, Image.Resampling.NEAREST))]
    cells += [(caption, fitted(image, Image.Resampling.LANCZOS)) for caption, image in images]
    cells += [(caption, kernel_picture(kernel, min(size)).convert("RGB")) for caption, kernel in kernels]
    return grid(cells, size)


def steps_panel(
    lr: np.ndarray | None,
    sr: np.ndarray | None,
    kernel: np.ndarray | None,
    sr_steps: np.ndarray | None,
    kernel_steps: np.ndarray | None,
) -> Image.Image:
    """``panel`` of what a network returned: every step if they were kept, else the result.

    Args:
      lr: [H, W, 3] in [0, 1].
      sr: [sH, sW, 3] in [0, 1], not clipped.
      kernel: [K, K].
      sr_steps, kernel_steps: the same of each step, [T, ...].
    """

    def captioned(last: np.ndarray | None, steps: np.ndarray | None, name: str, of_step: str) -> list[typing.Any]:
        if steps is not None:
            return [(f"{of_step} {step}", x) for step, x in enumerate(steps, 1)]
        return [] if last is None else [(name, last)]

    levels = np.dtype(np.uint8)
    images = [(caption, from_unit(x, levels)) for caption, x in captioned(sr, sr_steps, "restored", "step")]
    lr = None if lr is None else from_unit(lr, levels)
    return panel(lr, images, captioned(kernel, kernel_steps, "kernel", "kernel"))


def estimation_panel(
    lr: np.ndarray, gradients: typing.Sequence[tuple[str, np.ndarray]], kernels: typing.Sequence[tuple[str, np.ndarray]]
) -> Image.Image:
    """Draw the kernel estimation of one image as captioned pictures side by side (as in KernelNet's figures 5 and 6).

    Args:
      lr: uint8 [H, W, 3].
      gradients: captions and [H, W] gradients, one for each direction; grey means zero.
      kernels: captions and [K, K] kernels of any sizes.

    Returns:
      An RGB picture with at most four cells per row.
    """
    factor = max(256 // min(lr.shape[:2]), 1)
    size = (lr.shape[1] * factor, lr.shape[0] * factor)
    images = [("LR image" + (", enlarged" if factor > 1 else ""), lr)]
    images += [(caption, gradient_levels(gradient)) for caption, gradient in gradients]
    cells = [(text, Image.fromarray(x).convert("RGB").resize(size, Image.Resampling.NEAREST)) for text, x in images]
    cells += [(caption, kernel_picture(kernel, min(size)).convert("RGB")) for caption, kernel in kernels]
    return grid(cells, size)


def gradient_levels(gradient: np.ndarray) -> np.ndarray:
    """Convert signed values [H, W] to uint8 grey levels, with 128 for zero.

    The largest hundredth of the magnitudes saturates at black or white. Square roots of the magnitudes are drawn
    because few gradients of a photograph are large.
    """
    gradient = np.asarray(gradient, np.float64)
    largest = max(np.quantile(np.abs(gradient), 0.99), 1e-12)
    levels = np.sign(gradient) * np.sqrt(np.minimum(np.abs(gradient) / largest, 1))
    return np.round(127.5 + 127.5 * levels).astype(np.uint8)


def grid(cells: list[tuple[str, Image.Image]], size: tuple[int, int]) -> Image.Image:
    """Arrange captioned pictures in cells of size (width, height), which no picture exceeds.

    A row has at most four cells. The number of columns leaves as few cells empty as possible.
    """
    columns = min(range(min(4, len(cells)), 1, -1), key=lambda n: (-len(cells) % n, -n), default=1)
    rows = -(-len(cells) // columns)
    step_x, step_y = size[0] + _GAP, size[1] + _CAPTION + _GAP
    canvas = Image.new("RGB", (columns * step_x + _GAP, rows * step_y + _GAP), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for i, (caption, picture) in enumerate(cells):
        x, y = _GAP + i % columns * step_x, _GAP + i // columns * step_y
        draw.text((x, y), caption, fill=_TEXT, font=_font_that_fits(caption, size[0]))
        canvas.paste(picture, (x, y + _CAPTION))
    return canvas


def _font_that_fits(text: str, width: int) -> typing.Any:
    """The largest font, from 15 down to 8 pixels, whose text is at most so wide."""
    fonts = [ImageFont.load_default(pixels) for pixels in range(15, 7, -1)]
    return next((font for font in fonts if font.getlength(text) <= width), fonts[-1])
