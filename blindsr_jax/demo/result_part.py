"""The part of the page that shows results."""

from __future__ import annotations

import pathlib
import typing

import gradio as gr

from blindsr_jax.demo import updates
from blindsr_jax.demo.blur_part import QUICK
from blindsr_jax.demo.compare import Pair, compare_html, data_uri
from blindsr_jax.demo.keeping import Kept

_EXAMPLE = pathlib.Path(__file__).parent / "example"
_CENTRE, _WIDTH = (480, 200), 768  # column and row of the example's detail; its width


def example_html() -> str:
    """The finished example that the page begins with."""
    pair = Pair(*(data_uri(_EXAMPLE / f"{name}.jpg") for name in ("before", "after")))
    return compare_html(pair, pair, _CENTRE, _WIDTH)


def result_part(steps: gr.State, kept: Kept) -> list[typing.Any]:
    """The parts that show results below the message, in the order of ``updates.run_updates``."""
    opened = gr.Image(
        **{"label": "the opened picture", "show_label": False, "interactive": False, "height": 520, "visible": False},
        **{"elem_id": "opened", "format": "jpeg", "buttons": []},
    )
    with gr.Tabs() as tabs:
        with gr.Tab("Before and after", elem_id="compared-tab"):
            compared = gr.HTML(example_html(), elem_id="compared")
        with gr.Tab("Step by step", visible=False) as steps_tab:
            gr.Markdown(
                "The network repeats one step: it estimates the blur from the picture, then the picture from the blur."
            )
            step = gr.Slider(1, 2, 1, step=1, label="unfolded step", elem_id="step")
            step_image = gr.Image(
                **{"interactive": False, "show_label": True, "format": "png", "height": 560},
                **{"buttons": ["fullscreen"], "elem_id": "step-image"},
            )
            step_kernel = gr.HTML(elem_id="step-kernel")
    with gr.Row(visible=False, elem_id="downloads") as downloads:
        image_file = gr.DownloadButton("Download the picture (PNG)", elem_id="download")
        kernel_file = gr.DownloadButton("Download the kernel (.npy)", elem_id="download-kernel")

    def show(key: str | None, number: int) -> list[typing.Any]:
        return updates.show_step(kept.get(key), number)

    step.change(show, [steps, step], [step_image, step_kernel], trigger_mode="always_last", **QUICK)
    parts = [opened, tabs, downloads, compared, steps_tab, step, step_image, step_kernel]
    return [*parts, image_file, kernel_file]
