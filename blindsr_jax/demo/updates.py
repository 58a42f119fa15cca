"""The page's responses to events, as updates of its parts in the order that ``page`` lists them."""

from __future__ import annotations

import pathlib
import threading
import typing

import gradio as gr

from blindsr_jax.demo import restoring, views
from blindsr_jax.demo.compare import comparison, sweep_views
from blindsr_jax.demo.keeping import Kept
from blindsr_jax.demo.model_choices import ModelChoice
from blindsr_jax.demo.run import Form, Result, restore, sentence
from blindsr_jax.demo.stopping import until
from blindsr_jax.demo.turns import Turns
from blindsr_jax.demo.uploads import describe, read_upload
from blindsr_jax.errors import DataError

KEPT_SECONDS = 3600  # how long uploads and results are kept
SHRINK, PART = "Shrink it", "Use a part of it at full size"
_READY = "This picture is opened; press Restore."
WELCOME = "Choose a picture and press Restore. Below is an example."
_LOST = "Your picture is no longer kept, because it was not used for long or many came after it: choose it again."


def opened(kept: Kept, key: str | None, path: str, megapixels: float, use: typing.Any) -> list[typing.Any]:
    """Open a file: updates of the picture, its message, its use, the drop zone, the choice for large pictures, and the
    message, the picture, the tabs and the downloads of the result."""
    hide = gr.update(visible=False)
    try:
        upload = read_upload(path, megapixels)
    except DataError as error:
        message = views.message(sentence(str(error)), "error")
        return [None, message, gr.update(), None, hide, gr.update(), hide, gr.update(), gr.update()]
    key = kept.put(upload, upload.bytes, instead_of=key)
    choice = gr.update(visible=bool(upload.change), value=SHRINK)
    view = gr.update(value=upload.view, visible=True)
    return [key, views.message(describe(upload)), use, None, choice, views.message(_READY), view, hide, hide]


def fitted(kept: Kept, key: str | None, fit: str, centre: tuple[float, float], megapixels: float) -> list[typing.Any]:
    """Shrink or cut a picture that is too large: updates of the picture, its message and its view."""
    upload = kept.get(key)
    if upload is None or not upload.change:
        return [gr.update()] * 3
    try:
        upload = read_upload(upload.path, megapixels, centre if fit == PART else None)
    except DataError:
        return [None, views.message(_LOST, "error"), gr.update()]
    return [kept.put(upload, upload.bytes, instead_of=key), views.message(describe(upload)), upload.view]


class Shared(typing.NamedTuple):
    """The state that all runs of a page share.

    Attributes:
      model_choices: the models on the page.
      folder: folder for files to download, until the page has copied them.
      seen: folder for pictures to compare, which the page serves.
      kept: the visitors' pictures and steps.
      turns: the queue of runs.
    """

    model_choices: typing.Sequence[ModelChoice]
    folder: pathlib.Path
    seen: pathlib.Path
    kept: Kept
    turns: Turns


def run_updates(
    shared: Shared, visitor: str, stop: threading.Event, values: typing.Sequence[typing.Any], address: str = ""
) -> typing.Iterator[list[typing.Any]]:
    """Run the form when it is the visitor's turn: updates of the go and stop buttons, the steps, the message and the
    parts of the result.

    Once ``stop`` is set, the message says so and the run ends.
    """
    nothing = [gr.update()] * 10
    key, *others = values
    upload = shared.kept.get(key)
    if key and upload is None:
        yield [*_idle(), gr.update(), views.message(_LOST, "error"), *nothing]
        return
    form = Form(upload and upload.picture, *others)
    busy = [gr.update(interactive=False), gr.update(interactive=True), gr.update()]
    stages: typing.Any = until(stop, restore(shared.model_choices, form, shared.folder))
    try:
        for stage in shared.turns.running(visitor, stop, stages, address):
            if isinstance(stage, int):
                yield [*busy, views.waiting(stage), *nothing]
            elif isinstance(stage, restoring.Progress):
                yield [*busy, views.progress(stage.share, stage.text), *nothing]
            elif isinstance(stage, DataError):
                yield [*_idle(), gr.update(), views.message(str(stage), "error"), *nothing]
            else:
                size = sum(image.nbytes for _, image, _ in stage.steps)
                steps = shared.kept.put(stage.steps, size) if size else None
                yield [*_idle(), steps, *_shown_result(stage, shared.seen)]
                return
    except DataError as error:
        yield [*_idle(), gr.update(), views.message(str(error), "error"), *nothing]
    if stop.is_set():
        yield [*_idle(), gr.update(), views.message("Stopped."), *nothing]


def _idle() -> list[typing.Any]:
    return [gr.update(interactive=True), gr.update(interactive=False)]


def _shown_result(result: Result, seen: pathlib.Path) -> list[typing.Any]:
    count = len(result.steps)
    sweep_views(seen, KEPT_SECONDS)
    return [
        views.message(result.text),
        gr.update(visible=False),
        gr.update(visible=True),
        gr.update(visible=True),
        comparison(result.before, result.after, seen, result.caption) + views.kernel_row(result.kernels),
        gr.update(visible=count > 1),
        gr.update(maximum=max(count, 2), value=max(count, 1)),
        *show_step(result.steps, count),
        gr.update(value=str(result.image_file)),
        gr.update(value=result.kernel_file and str(result.kernel_file), visible=result.kernel_file is not None),
    ]


def show_step(steps: list[tuple[str, typing.Any, typing.Any]] | None, step: int) -> list[typing.Any]:
    """Updates of picture and kernel for an unfolded step, counted from one; empty if there is no such step."""
    if not steps or not 1 <= step <= len(steps):
        return [None, ""]
    caption, image, kernel = steps[int(step) - 1]
    return [gr.update(value=image, label=caption), views.kernel_row([(caption, kernel)])]
