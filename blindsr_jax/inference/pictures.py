"""Pictures that explain: a kernel one can read, the panel of an unfolded restoration and of an estimation."""

from __future__ import annotations

import typing

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_CAPTION = 22  # pixels of the line above each picture
_GAP = 6
BACKGROUND, _TEXT = (24, 24, 24), (235, 235, 235)


def kernel_picture(kernel: np.ndarray, side: int = 210) -> Image.Image:
    """A blur kernel as a grey square, its largest weight white, each weight a block of whole pixels.

    Args:
      kernel: [K, K].
      side: about how large, in pixels.
    """
    kernel = np.asarray(kernel, np.float64)
    grey = np.uint8(np.round(255 * np.clip(kernel / max(kernel.max(), 1e-12), 0, 1)))
    block = max(side // kernel.shape[0], 1)
    return Image.fromarray(np.kron(grey, np.ones((block, block), np.uint8)))


def panel(
    lr: np.ndarray,
    bicubic: tuple[str, np.ndarray],
    steps: typing.Sequence[tuple[str, np.ndarray]],
    hr: np.ndarray,
    kernels: typing.Sequence[tuple[str, np.ndarray]],
) -> Image.Image:
    """What an unfolded network did to one image, side by side with captions.

    Args:
      lr: uint8 [H, W, 3]; drawn enlarged, pixel by pixel.
      bicubic: caption and uint8 [sH, sW, 3].
      steps: caption and uint8 [sH, sW, 3] of each unfolded step.
      hr: the truth, uint8 [sH, sW, 3].
      kernels: caption and [K, K] of the true and the estimated kernel.

    Returns:
      An RGB picture: LR, bicubic, steps, truth in rows of at most four; the kernels last.
    """
    size = (hr.shape[1], hr.shape[0])
    nearest = Image.fromarray(lr).resize(size, Image.Resampling.NEAREST)
    cells = [("LR, enlarged", nearest)]
    cells += [(caption, Image.fromarray(image)) for caption, image in (bicubic, *steps)]
    cells.append(("truth", Image.fromarray(hr)))
    side = min(size)
    cells += [(caption, kernel_picture(kernel, side).convert("RGB")) for caption, kernel in kernels]
    return grid(cells, size, columns=min(4, len(cells)))


def estimation_panel(
    lr: np.ndarray, gradients: typing.Sequence[tuple[str, np.ndarray]], kernels: typing.Sequence[tuple[str, np.ndarray]]
) -> Image.Image:
    """How a blur was found in one image, side by side with captions (as KernelNet's figures 5 and 6).

    Args:
      lr: uint8 [H, W, 3].
      gradients: caption and [H, W] of each direction; grey is none.
      kernels: caption and [K, K], of any sizes.

    Returns:
      An RGB picture in rows of at most four.
    """
    factor = max(256 // min(lr.shape[:2]), 1)
    size = (lr.shape[1] * factor, lr.shape[0] * factor)
    images = [("LR image" + (", enlarged" if factor > 1 else ""), lr)]
    images += [(caption, gradient_levels(gradient)) for caption, gradient in gradients]
    cells = [(text, Image.fromarray(x).convert("RGB").resize(size, Image.Resampling.NEAREST)) for text, x in images]
    cells += [(caption, kernel_picture(kernel, min(size)).convert("RGB")) for caption, kernel in kernels]
    return grid(cells, size, columns=min(4, len(cells)))


def gradient_levels(gradient: np.ndarray) -> np.ndarray:
    """Signed values [H, W] as grey levels, uint8: 128 for zero; all but the largest hundredth keep inside black, white.

    Square roots of the magnitudes are drawn, since few gradients of a photograph are large.
    """
    gradient = np.asarray(gradient, np.float64)
    largest = max(np.quantile(np.abs(gradient), 0.99), 1e-12)
    levels = np.sign(gradient) * np.sqrt(np.minimum(np.abs(gradient) / largest, 1))
    return np.uint8(np.round(127.5 + 127.5 * levels))


def grid(cells: list[tuple[str, Image.Image]], size: tuple[int, int], columns: int) -> Image.Image:
    """Captions and pictures in rows, each in a cell of a size (w, h) that none is larger than."""
    rows = -(-len(cells) // columns)
    step_x, step_y = size[0] + _GAP, size[1] + _CAPTION + _GAP
    canvas = Image.new("RGB", (columns * step_x + _GAP, rows * step_y + _GAP), BACKGROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(15)
    for i, (caption, picture) in enumerate(cells):
        x, y = _GAP + i % columns * step_x, _GAP + i // columns * step_y
        draw.text((x, y), caption, fill=_TEXT, font=font)
        canvas.paste(picture, (x, y + _CAPTION))
    return canvas
