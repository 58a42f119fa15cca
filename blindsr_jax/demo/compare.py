"""Two pictures above each other with a movable line between them: at 100 %, where most changed, or whole.

Plain HTML with a few lines of JavaScript in the page's head. It is used with mouse, thumb, keyboard and screen reader.
"""

from __future__ import annotations

import base64
import html
import io
import math
import pathlib
import secrets
import time
import typing

import numpy as np
import scipy  # loads its submodules on first use
from PIL import Image

from blindsr_jax.demo.views import shown

MOST_PIXELS = 16_000_000  # the most pixels at 100 %, which every browser can show
_WINDOW = 320  # pixels: side of the square in which the change is measured
_BLOCK = 16
_MEASURED = 4_000_000  # pixels of larger pictures that are compared

SCRIPT = """<script>
window.blindsrCompare = {
  window: box => box.querySelector(box.classList.contains("whole") ? ".full" : ".close"),
  split: box => {
    const view = blindsrCompare.window(box), share = box.querySelector("input").value / 100;
    const at = Math.min(view.scrollLeft + share * view.clientWidth, view.firstElementChild.clientWidth);
    box.style.setProperty("--at", at + "px");
  },
  centre: box => {
    const view = blindsrCompare.window(box);
    view.scrollLeft = box.dataset.x - view.clientWidth / 2;
    view.scrollTop = box.dataset.y - view.clientHeight / 2;
    blindsrCompare.split(box);
  },
  show: (button, whole) => {
    const box = button.closest(".compare");
    box.classList.toggle("whole", whole);
    for (const one of box.querySelectorAll("button")) one.setAttribute("aria-pressed", one === button);
    whole ? blindsrCompare.split(box) : blindsrCompare.centre(box);
  },
  drag: event => {
    if (event.pointerType !== "mouse" || !event.buttons || !event.target.closest(".pictures")) return;
    const box = event.target.closest(".compare"), view = blindsrCompare.window(box);
    const place = view.getBoundingClientRect();
    box.querySelector("input").value = 100 * (event.clientX - place.left) / view.clientWidth;
    blindsrCompare.split(box);
    event.preventDefault();
  },
};
window.addEventListener("resize", () => document.querySelectorAll(".compare").forEach(blindsrCompare.split));
</script>"""


class Pair(typing.NamedTuple):
    """Addresses of two pictures of one size."""

    before: str
    after: str


def comparison(
    before: np.ndarray, after: np.ndarray, folder: pathlib.Path, caption: str = "bicubic interpolation"
) -> str:
    """Write two pictures for the browser, and return the HTML that compares them.

    Args:
      before, after: uint8 [H, W, 3], of one size.
      folder: a folder that the page serves.
      caption: what ``before`` is.
    """
    y, x = most_changed(before, after)
    top, left, height, width = _part((y, x), before.shape[:2])
    part = slice(top, top + height), slice(left, left + width)
    close = Pair(*(_written(image[part], folder) for image in (before, after)))
    whole = close
    if (height, width) != before.shape[:2]:
        whole = Pair(*(_written(shown(image), folder) for image in (before, after)))
    return compare_html(close, whole, (x - left, y - top), width, caption)


def compare_html(
    close: Pair, whole: Pair, centre: tuple[int, int], width: int, caption: str = "bicubic interpolation"
) -> str:
    """The HTML of a comparison: addresses of its pictures, the column and row to open it at, the width at 100 %."""
    x, y = centre

    def view(kind: str, pair: Pair, label: str) -> str:
        pictures = "".join(
            f'<img class="{name}" alt="{html.escape(text)}" src="{html.escape(url)}" draggable="false" '
            f"onload=\"blindsrCompare.centre(this.closest('.compare'))\">"
            for name, url, text in (("after", pair.after, "restored"), ("before", pair.before, caption))
        )
        return (
            f'<div class="view {kind}" tabindex="0" role="group" aria-label="{label}" '
            f"onscroll=\"blindsrCompare.split(this.closest('.compare'))\">"
            f'<div class="pictures">{pictures}<div class="line"></div></div></div>'
        )

    return (
        f'<div class="compare" data-x="{x}" data-y="{y}" style="--width: {width}px" '
        f'onpointerdown="blindsrCompare.drag(event)" onpointermove="blindsrCompare.drag(event)">'
        f'<div class="bar"><div class="zoom">'
        f'<button type="button" class="at-100" aria-pressed="true" onclick="blindsrCompare.show(this, false)">100 %'
        f'</button><button type="button" class="fitted" aria-pressed="false" '
        f'onclick="blindsrCompare.show(this, true)">Whole picture</button></div>'
        f'<span class="sides"><b>left:</b> {html.escape(caption)}, <b>right:</b> restored</span></div>'
        f"{view('close', close, 'the pictures at 100 %; scroll to look elsewhere')}"
        f"{view('full', whole, 'the whole pictures')}"
        f'<input type="range" min="0" max="100" step="any" value="50" aria-label="the line between before and after" '
        f"oninput=\"blindsrCompare.split(this.closest('.compare'))\"></div>"
    )


def most_changed(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    """The row and column at the centre of the part that differs most between two pictures [H, W, 3] of one size."""
    step = max(1, math.ceil((before[..., 0].size / _MEASURED) ** 0.5))
    a, b = (np.float32(image[::step, ::step]).mean(axis=2) for image in (before, after))
    block, side = max(_BLOCK // step, 1), max(_WINDOW // _BLOCK, 1)
    down, across = (n // block for n in a.shape)
    if not down or not across:
        return before.shape[0] // 2, before.shape[1] // 2
    change = np.abs(a - b)[: down * block, : across * block].reshape(down, block, across, block).mean(axis=(1, 3))
    around = scipy.ndimage.uniform_filter(change, size=side, mode="constant")
    row, column = np.unravel_index(around.argmax(), around.shape)
    return int((row + 0.5) * block * step), int((column + 0.5) * block * step)


def data_uri(path: pathlib.Path) -> str:
    """A JPEG file as an address that holds it."""
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"


def sweep_views(folder: pathlib.Path, seconds: float) -> None:
    """Remove pictures that were written longer ago than so many seconds."""
    for path in folder.glob("*.jpg"):
        if time.time() - path.stat().st_mtime > seconds:
            path.unlink(missing_ok=True)


def _part(centre: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, left, height and width of the part around a place that has at most ``MOST_PIXELS``."""
    factor = min(1.0, (MOST_PIXELS / (size[0] * size[1])) ** 0.5)
    sides = [max(1, int(n * factor)) for n in size]
    starts = [min(max(at - side // 2, 0), n - side) for at, side, n in zip(centre, sides, size)]
    return starts[0], starts[1], sides[0], sides[1]


def _written(image: np.ndarray, folder: pathlib.Path) -> str:
    path = folder / f"{secrets.token_hex(12)}.jpg"
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "jpeg", quality=95, subsampling=0)
    path.write_bytes(file.getvalue())
    return f"gradio_api/file={path.as_posix()}"
