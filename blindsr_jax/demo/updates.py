"""The page's responses to events, as updates of its parts in the order that ``page`` lists them."""

from __future__ import annotations

import pathlib
import threading
import typing

import gradio as gr

from blindsr_jax.demo import restoring, views
from blindsr_jax.demo.model_choices import ModelChoice
from blindsr_jax.demo.run import Form, Result, restore, sentence
from blindsr_jax.demo.stopping import until
from blindsr_jax.demo.uploads import describe, read_upload
from blindsr_jax.errors import DataError

_READY = "This picture is opened; press Restore."
WELCOME = "Choose a picture and press Restore. The result appears here."


def opened(path: str, megapixels: float, use: typing.Any) -> list[typing.Any]:
    """Open a file: updates of the picture, its message, its use, the drop zone and the first parts of the result."""
    hide = gr.update(visible=False)
    try:
        picture = read_upload(path, megapixels)
    except DataError as error:
        message = views.message(sentence(str(error)), "error")
        return [None, message, gr.update(), None, views.message(WELCOME), hide, hide, hide]
    view = gr.update(value=views.shown(picture.pixels), visible=True)
    return [picture, views.message(describe(picture)), use, None, views.message(_READY), view, hide, hide]


def run_updates(
    model_choices: typing.Sequence[ModelChoice],
    folder: pathlib.Path,
    stop: threading.Event,
    values: typing.Sequence[typing.Any],
) -> typing.Iterator[list[typing.Any]]:
    """Run the form: updates of the go and stop buttons, the steps, the message and the parts of the result.

    Once ``stop`` is set, the message says so and the run ends.
    """
    nothing = [gr.update()] * 11
    for stage in until(stop, restore(model_choices, Form(*values), folder)):
        if isinstance(stage, restoring.Progress):
            message = views.progress(stage.share, stage.text)
            yield [gr.update(interactive=False), gr.update(interactive=True), gr.update(), message, *nothing]
        elif isinstance(stage, DataError):
            yield [*_idle(), gr.update(), views.message(str(stage), "error"), *nothing]
        else:
            yield [*_idle(), stage.steps, *_shown_result(stage)]
            return
    if stop.is_set():
        yield [*_idle(), gr.update(), views.message("Stopped."), *nothing]


def _idle() -> list[typing.Any]:
    return [gr.update(interactive=True), gr.update(interactive=False)]


def _shown_result(result: Result) -> list[typing.Any]:
    count = len(result.steps)
    last = show_step(result.steps, count)
    return [
        views.message(result.text),
        gr.update(visible=False),
        gr.update(visible=True),
        gr.update(visible=True),
        (result.before, result.after),
        views.kernel_row(result.kernels),
        gr.update(visible=count > 1),
        gr.update(maximum=max(count, 2), value=max(count, 1)),
        *last,
        gr.update(value=str(result.image_file)),
        gr.update(value=result.kernel_file and str(result.kernel_file), visible=result.kernel_file is not None),
    ]


def show_step(steps: list[tuple[str, typing.Any, typing.Any]], step: int) -> list[typing.Any]:
    """Updates of picture and kernel for an unfolded step, counted from one; empty if there is no such step."""
    if not 1 <= step <= len(steps):
        return [None, ""]
    caption, image, kernel = steps[int(step) - 1]
    return [gr.update(value=image, label=caption), views.kernel_row([(caption, kernel)])]
