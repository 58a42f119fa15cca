"""The page's layout, from top to bottom, and the functions that its buttons call."""

from __future__ import annotations

import pathlib
import typing

import gradio as gr

from blindsr_jax.demo import stopping, turns, updates, views
from blindsr_jax.demo.blur_part import QUICK, blur_part
from blindsr_jax.demo.compare import SCRIPT
from blindsr_jax.demo.keeping import Kept
from blindsr_jax.demo.model_choices import ModelChoice
from blindsr_jax.demo.model_part import model_part
from blindsr_jax.demo.picture_part import connect_pictures, picture_part
from blindsr_jax.demo.result_part import result_part

STYLE = (pathlib.Path(__file__).parent / "page.css").read_text()
# Gradio puts its own selectors before those of STYLE, so what concerns its outer parts stands in the page's head.
HEAD = f"""{SCRIPT}<style>
@media (max-width: 700px) {{
  .gradio-container .main {{ box-sizing: border-box; width: 100vw; min-width: 0; padding: 0.5rem 1rem !important; }}
  .gradio-container main.contain, .gradio-container main.contain > .column {{ width: 100%; min-width: 0; }}
}}
</style>"""
_KEPT_BYTES = 2**30  # pictures and steps of all visitors
_TO_RESULT = "() => { if (innerWidth <= 700) document.querySelector('#results').scrollIntoView(); }"
_TITLE = """
# blindsr
Makes a small, blurred picture several times larger and sharp, without being told how it was blurred.
Everything is computed on this machine; nothing is sent anywhere else.
"""


def build(
    model_choices: typing.Sequence[ModelChoice], megapixels: float, folder: pathlib.Path, seen: pathlib.Path
) -> gr.Blocks:
    """Build the page, ready to launch.

    Args:
      model_choices: the models to offer.
      megapixels: the most megapixels that are restored at once.
      folder: folder for files to download, until the page has copied them.
      seen: folder for pictures to compare, which the page serves.
    """
    seconds = updates.KEPT_SECONDS
    kept, runs = Kept(_KEPT_BYTES, seconds), stopping.Runs()
    shared = updates.Shared(model_choices, folder, seen, kept, turns.Turns())
    with gr.Blocks(title="blindsr", analytics_enabled=False, delete_cache=(600, seconds)) as page:
        picture = gr.State(None, time_to_live=seconds)
        steps = gr.State(None, time_to_live=seconds)
        gr.Markdown(_TITLE, elem_id="head")
        with gr.Row(equal_height=False, elem_id="columns"):
            with gr.Column(scale=2, min_width=280, elem_id="form"):
                pictures = picture_part(megapixels)
                family, scale, noise, *sizes = model_part(model_choices)
                blur, kernel_parts = blur_part(model_choices, pictures.use, family, scale)
            with gr.Column(scale=5, min_width=280, elem_id="results"):
                with gr.Row(elem_id="top"):
                    message = gr.HTML(views.message(updates.WELCOME), elem_id="message")
                    go = gr.Button("Restore", variant="primary", scale=0, min_width=120, elem_id="go")
                    stop = gr.Button("Stop", scale=0, min_width=80, interactive=False, elem_id="stop")
                results = [message, *result_part(steps, kept)]
        connect_pictures(pictures, kept, picture, results[:4], megapixels)

        def run(request: gr.Request, *values: typing.Any) -> typing.Iterator[list[typing.Any]]:
            visitor = request.session_hash
            with runs.running(visitor) as stop_event:
                address = request.client.host if request.client else ""
                yield from updates.run_updates(shared, visitor, stop_event, values, address)

        def halt(request: gr.Request) -> None:
            runs.stop(request.session_hash)

        ended = go.click(
            run,
            [picture, pictures.use, *pictures.test, family, scale, blur, *kernel_parts, noise, *sizes],
            [go, stop, steps, *results],
            show_progress="hidden",
            concurrency_limit=None,  # ``turns`` lets one run at a time, and tells the others how many are before them
            api_visibility="private",
        )
        ended.then(None, js=_TO_RESULT)
        stop.click(halt, **QUICK)
    return page
