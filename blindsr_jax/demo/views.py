"""Results for the browser: pictures reduced to a size that it can show, kernels as small squares with captions."""

from __future__ import annotations

import base64
import html
import io
import typing

import numpy as np
from PIL import Image

from blindsr_jax.images.srgb import srgb_of
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.pictures import from_unit, kernel_picture

MOST_PIXELS = 2_000_000  # the most pixels of a picture that is shown; files to download are not reduced
_KERNEL_SIDE = 168


def shown(image: np.ndarray, profile: bytes | None = None) -> np.ndarray:
    """Convert a picture of any kind to uint8 sRGB and reduce it to at most ``MOST_PIXELS``.

    Args:
      image: as for ``Model.restore``.
      profile: the colour profile of its numbers; None for sRGB.

    Returns:
      uint8 [H', W', 3].
    """
    pixels = Pixels(image)
    rgb = from_unit(pixels.rgb(), np.dtype(np.uint8))
    height, width = rgb.shape[:2]
    factor = (MOST_PIXELS / (height * width)) ** 0.5
    if factor < 1:
        size = (max(1, int(width * factor)), max(1, int(height * factor)))
        rgb = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS))
    return srgb_of(rgb, profile, grey=pixels.grey)


def kernel_row(kernels: typing.Sequence[tuple[str, np.ndarray | None]]) -> str:
    """Show kernels side by side with captions, as self-contained HTML; kernels that are None are left out."""
    figures = [
        f'<figure><img alt="{html.escape(caption)}" src="{_data_uri(kernel)}"><figcaption>{html.escape(caption)}, '
        f"{len(kernel)}×{len(kernel)}</figcaption></figure>"
        for caption, kernel in kernels
        if kernel is not None
    ]
    return f'<div class="kernels">{"".join(figures)}</div>' if figures else ""


def message(text: str, kind: typing.Literal["note", "error"] = "note") -> str:
    """Format a sentence for the visitor as HTML; screen readers announce errors."""
    if not text:
        return ""
    role = "alert" if kind == "error" else "status"
    return f'<p class="message {kind}" role="{role}">{html.escape(text)}</p>'


def progress(share: float, text: str) -> str:
    """Format a run's progress, 0 to 1, as HTML."""
    bar = f'<progress max="1" value="{share:.3f}"></progress>'
    return f'<div class="progress" role="status">{bar}{html.escape(text)} …</div>'


def waiting(before: int) -> str:
    """Format the number of runs before this one as HTML."""
    return f'<div class="progress" role="status">Waiting: {before} before you. Your run begins by itself.</div>'


def _data_uri(kernel: np.ndarray) -> str:
    file = io.BytesIO()
    kernel_picture(np.maximum(kernel, 0), _KERNEL_SIDE).save(file, "png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
