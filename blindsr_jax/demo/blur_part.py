"""The part of the page where a visitor says where the blur comes from."""

from __future__ import annotations

import typing

import gradio as gr

from blindsr_jax.demo import views
from blindsr_jax.demo.drawing import drawing_options
from blindsr_jax.demo.handmade_kernels import WIDTHS, gaussian
from blindsr_jax.demo.model_choices import ModelChoice
from blindsr_jax.demo.run import DRAWN, FILE, GAUSSIAN, SMALL, blur_choices, chosen_model
from blindsr_jax.errors import DataError

# Options of events that answer at once.
QUICK: dict[str, typing.Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def blur_part(
    model_choices: typing.Sequence[ModelChoice], use: gr.Radio, family: gr.Dropdown, scale: gr.Radio
) -> tuple[gr.Radio, list[typing.Any]]:
    """The source of the blur kernel, with the Gaussian's sliders, the drawing and the file."""
    gr.Markdown("### Blur")
    first = model_choices[0]
    choices = blur_choices(first.models[first.scales[-1]], SMALL)
    blur = gr.Radio(choices, value=choices[0], label="Where the blur comes from", elem_id="blur")
    with gr.Group(visible=False) as by_sliders:
        sliders = gaussian_sliders("blur", (1.8, 1.8, 0))
    with gr.Column(visible=False) as by_hand:
        cells = gr.HTML(**drawing_options(), elem_id="drawing")
    file = gr.File(label="a kernel, .npy or .mat", visible=False, height=110, elem_id="kernel-file")

    def offered(use: str, name: str, scale: int, now: str) -> typing.Any:
        try:
            choices = blur_choices(chosen_model(model_choices, name, scale), use)
        except DataError:  # name and scale change one after the other
            return gr.update()
        return gr.update(choices=choices, value=now if now in choices else choices[0])

    for part in (use, family, scale):
        part.change(offered, [use, family, scale, blur], blur, **QUICK)
    groups = {GAUSSIAN: by_sliders, DRAWN: by_hand, FILE: file}
    blur.change(lambda blur: [gr.update(visible=blur == kind) for kind in groups], blur, list(groups.values()), **QUICK)
    return blur, [*sliders, cells, file]


def gaussian_sliders(name: str, values: tuple[float, float, float]) -> list[gr.Slider]:
    """Sliders for a Gaussian's widths and angle, with a live picture of the kernel."""
    lowest, highest = WIDTHS
    sliders = [
        gr.Slider(lowest, highest, values[0], step=0.1, label="width along, pixels", elem_id=f"{name}-x"),
        gr.Slider(lowest, highest, values[1], step=0.1, label="width across, pixels", elem_id=f"{name}-y"),
        gr.Slider(-90, 90, values[2], step=5, label="angle, degrees", elem_id=f"{name}-angle"),
    ]

    def picture(along: float, across: float, degrees: float) -> str:
        return views.kernel_row([("blur", gaussian(along, across, degrees, 21))])

    live = gr.HTML(picture(*values), elem_id=f"{name}-kernel")
    for slider in sliders:
        slider.change(picture, sliders, live, trigger_mode="always_last", **QUICK)
    return sliders
