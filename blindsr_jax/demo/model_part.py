"""The part of the page where a visitor chooses a model."""

from __future__ import annotations

import typing

import gradio as gr

from blindsr_jax.demo.blur_part import QUICK
from blindsr_jax.demo.model_choices import ModelChoice


def model_part(
    model_choices: typing.Sequence[ModelChoice],
) -> tuple[gr.Dropdown, gr.Radio, gr.Slider, gr.Checkbox, gr.Checkbox]:
    """The model's family and scale, the noise level for solvers, and the size of the result."""
    gr.Markdown("### Model")
    first = model_choices[0]
    value = first.scales[-1]
    family = gr.Dropdown(
        [(choice.title, choice.name) for choice in model_choices],
        **{"value": first.name, "label": "Kind of picture", "info": first.line, "elem_id": "family"},
    )
    scale = gr.Radio(_scale_choices(first), value=value, label="Times larger", elem_id="scale")
    noise = gr.Slider(
        **{"minimum": 0, "maximum": 50, "value": 0, "step": 0.5, "label": "its noise, on the scale of 255"},
        **{"visible": first.models[value].takes_sigma, "elem_id": "noise"},
    )

    def changed(name: str, now: int) -> list[typing.Any]:
        choice = next(choice for choice in model_choices if choice.name == name)
        value = now if now in choice.scales else choice.scales[-1]
        choices = gr.update(choices=_scale_choices(choice), value=value)
        return [gr.update(info=choice.line), choices, gr.update(visible=choice.models[value].takes_sigma)]

    family.change(changed, [family, scale], [family, scale, noise], **QUICK)
    same_size = gr.Checkbox(label="Keep the picture’s size: shrink it as much before", elem_id="same-size")
    shrink = gr.Checkbox(label="Shrink it before if it has more pixels than detail", elem_id="shrink")
    return family, scale, noise, same_size, shrink


def _scale_choices(choice: ModelChoice) -> list[tuple[str, int]]:
    return [(f"×{scale}", scale) for scale in choice.scales]
