"""HTML and JavaScript of the small square where visitors draw a kernel. Its value is JSON, a number for each cell."""

from __future__ import annotations

import typing

from blindsr_jax.demo.handmade_kernels import DRAWING_SIDE

_TEMPLATE = """
<canvas class="drawing" width="210" height="210" role="img"
  aria-label="Draw the path that a point of light took: hold the mouse button and move"></canvas>
<button type="button" class="clear">Clear</button>
"""

# Redrawing from `ink` keeps the picture where the page renders the template anew.
_SCRIPT = """
const side = SIDE, ink = new Float64Array(side * side);
const show = () => {
  const canvas = element.querySelector("canvas"), pen = canvas.getContext("2d"), cell = canvas.width / side;
  for (let i = 0; i < ink.length; i++) {
    const grey = Math.round(255 * ink[i]);
    pen.fillStyle = `rgb(${grey},${grey},${grey})`;
    pen.fillRect((i % side) * cell, Math.floor(i / side) * cell, cell, cell);
  }
};
const hand = () => {
  props.value = JSON.stringify(Array.from(ink, x => Math.round(100 * x) / 100));
  requestAnimationFrame(show);
};
const dab = event => {
  const box = element.querySelector("canvas").getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * side, y = (event.clientY - box.top) / box.height * side;
  for (let i = 0; i < ink.length; i++) {
    const distance = Math.hypot(i % side + 0.5 - x, Math.floor(i / side) + 0.5 - y);
    ink[i] = Math.max(ink[i], Math.min(1, Math.max(0, 1.3 - distance)));
  }
  show();
};
let drawing = false;
element.addEventListener("pointerdown", event => {
  if (event.target.tagName !== "CANVAS") return;
  drawing = true;
  event.preventDefault();
  dab(event);
});
window.addEventListener("pointermove", event => { if (drawing) dab(event); });
window.addEventListener("pointerup", () => { if (drawing) { drawing = false; hand(); } });
element.addEventListener("click", event => {
  if (event.target.className !== "clear") return;
  ink.fill(0);
  hand();
});
show();
"""


def drawing_options() -> dict[str, typing.Any]:
    """Arguments of ``gr.HTML`` that make it such a square."""
    return {"value": "", "html_template": _TEMPLATE, "js_on_load": _SCRIPT.replace("SIDE", str(DRAWING_SIDE))}
