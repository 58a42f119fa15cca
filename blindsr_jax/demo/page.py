"""The page's layout, from top to bottom, and the functions that its events call."""

from __future__ import annotations

import pathlib
import typing

import gradio as gr

from blindsr_jax.demo import stopping, updates, views
from blindsr_jax.demo.drawing import drawing_options
from blindsr_jax.demo.handmade_kernels import WIDTHS, gaussian
from blindsr_jax.demo.model_choices import ModelChoice
from blindsr_jax.demo.run import DRAWN, FILE, GAUSSIAN, SHARP, SMALL, blur_choices, chosen_model
from blindsr_jax.demo.uploads import MEGAPIXELS, samples
from blindsr_jax.errors import DataError

STYLE = (pathlib.Path(__file__).parent / "page.css").read_text()
_KEPT_SECONDS = 3600  # how long uploads and results are kept
_HEAD = """
# blindsr
Makes a small, blurred picture several times larger and sharp, without being told how it was blurred.
Everything is computed on this machine; nothing is sent anywhere else.
"""


def build(model_choices: typing.Sequence[ModelChoice], megapixels: float, folder: pathlib.Path) -> gr.Blocks:
    """Build the page, ready to launch.

    Args:
      model_choices: the models to offer.
      megapixels: size of the largest picture that is accepted.
      folder: folder for files to download, until the page has copied them.
    """
    with gr.Blocks(title="blindsr", analytics_enabled=False, delete_cache=(600, _KEPT_SECONDS)) as page:
        picture = gr.State(None, time_to_live=_KEPT_SECONDS)
        steps = gr.State([], time_to_live=_KEPT_SECONDS)
        gr.Markdown(_HEAD, elem_id="head")
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=340, elem_id="form"):
                file, gallery, picture_message, use, test = _picture_part(megapixels)
                family, scale, noise = _model_part(model_choices)
                blur, kernel_parts = _blur_part(model_choices, use, family, scale)
            with gr.Column(scale=5, min_width=420, elem_id="results"):
                with gr.Row(elem_id="top"):
                    message = gr.HTML(views.message(updates.WELCOME), elem_id="message")
                    go = gr.Button("Restore", variant="primary", scale=0, min_width=150, elem_id="go")
                    stop = gr.Button("Stop", scale=0, min_width=90, interactive=False, elem_id="stop")
                results = [message, *_result_part(steps)]
        opening = [picture, picture_message, use, file, *results[:4]]
        _connect_uploads(file, gallery, opening, megapixels)
        runs = stopping.Runs()

        def run(request: gr.Request, *values: typing.Any) -> typing.Iterator[list[typing.Any]]:
            with runs.running(request.session_hash) as stop_event:
                yield from updates.run_updates(model_choices, folder, stop_event, values)

        def halt(request: gr.Request) -> None:
            runs.stop(request.session_hash)

        go.click(
            run,
            [picture, use, *test, family, scale, blur, *kernel_parts, noise],
            [go, stop, steps, *results],
            show_progress="minimal",
            show_progress_on=results[:1],
            concurrency_limit=1,
            api_visibility="private",
        )
        stop.click(halt, **_QUICK)
    return page


_QUICK: dict[str, typing.Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def _picture_part(megapixels: float) -> tuple[gr.File, gr.Gallery, gr.HTML, gr.Radio, list[gr.Slider]]:
    """The drop zone, the sample pictures, a message, the picture's use, and the sliders of a synthetic test."""
    gr.Markdown(f"### Picture\nDrop one of yours, up to {megapixels:g} megapixels, or take one of ours.")
    file = gr.File(show_label=False, height=104, elem_id="file")
    gallery = gr.Gallery(
        [str(path) for path in samples()],
        **{"show_label": False, "columns": 3, "height": 92, "object_fit": "cover", "buttons": []},
        **{"allow_preview": False, "interactive": False, "elem_id": "ours", "format": "jpeg"},
    )
    picture_message = gr.HTML(elem_id="picture-message")
    use = gr.Radio([SMALL, SHARP], value=SMALL, label="This picture is", elem_id="use")
    with gr.Accordion("The test’s blur and noise", open=False, visible=False, elem_id="test") as group:
        test = _gaussian_sliders("test", (1.8, 1.8, 0))
        test.append(gr.Slider(0, 50, 0, step=1, label="noise, on the scale of 255", elem_id="test-noise"))
    use.change(lambda use: gr.update(visible=use == SHARP), use, group, **_QUICK)
    return file, gallery, picture_message, use, test


def _connect_uploads(file: gr.File, gallery: gr.Gallery, outputs: list[typing.Any], megapixels: float) -> None:
    """Open an uploaded or sample picture when the visitor chooses it."""

    def upload(path: str | None) -> list[typing.Any]:
        return updates.opened(path or "", megapixels, gr.update())

    def take(chosen: gr.SelectData) -> list[typing.Any]:
        return updates.opened(
            str(samples()[chosen.index]), max(megapixels, MEGAPIXELS), SHARP
        )  # packaged ones are sharp

    file.upload(upload, file, outputs, **_QUICK)
    gallery.select(take, None, outputs, **_QUICK)


def _model_part(model_choices: typing.Sequence[ModelChoice]) -> tuple[gr.Dropdown, gr.Radio, gr.Slider]:
    """The model's family and scale, and the noise level for solvers."""
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

    family.change(changed, [family, scale], [family, scale, noise], **_QUICK)
    return family, scale, noise


def _scale_choices(choice: ModelChoice) -> list[tuple[str, int]]:
    return [(f"×{scale}", scale) for scale in choice.scales]


def _blur_part(
    model_choices: typing.Sequence[ModelChoice], use: gr.Radio, family: gr.Dropdown, scale: gr.Radio
) -> tuple[gr.Radio, list[typing.Any]]:
    """The source of the blur kernel, with the Gaussian's sliders, the drawing and the file."""
    gr.Markdown("### Blur")
    first = model_choices[0]
    choices = blur_choices(first.models[first.scales[-1]], SMALL)
    blur = gr.Radio(choices, value=choices[0], show_label=False, elem_id="blur")
    with gr.Group(visible=False) as by_sliders:
        sliders = _gaussian_sliders("blur", (1.8, 1.8, 0))
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
        part.change(offered, [use, family, scale, blur], blur, **_QUICK)
    groups = {GAUSSIAN: by_sliders, DRAWN: by_hand, FILE: file}
    blur.change(
        lambda blur: [gr.update(visible=blur == kind) for kind in groups], blur, list(groups.values()), **_QUICK
    )
    return blur, [*sliders, cells, file]


def _gaussian_sliders(name: str, values: tuple[float, float, float]) -> list[gr.Slider]:
    """Sliders for a Gaussian's widths and angle, with a live picture of the kernel."""
    lowest, highest = WIDTHS
    sliders = [
        gr.Slider(lowest, highest, values[0], step=0.1, label="width along, pixels", elem_id=f"{name}-x"),
        gr.Slider(lowest, highest, values[1], step=0.1, label="width across, pixels", elem_id=f"{name}-y"),
        gr.Slider(-90, 90, values[2], step=5, label="angle, degrees", elem_id=f"{name}-angle"),
    ]

    def picture(*numbers: float) -> str:
        return views.kernel_row([("blur", gaussian(*numbers, 21))])

    live = gr.HTML(picture(*values), elem_id=f"{name}-kernel")
    for slider in sliders:
        slider.change(picture, sliders, live, trigger_mode="always_last", **_QUICK)
    return sliders


def _result_part(steps: gr.State) -> list[typing.Any]:
    """The parts that show results below the message, in the order of ``updates.run_updates``."""
    opened = gr.Image(
        **{"show_label": False, "interactive": False, "height": 520, "visible": False, "buttons": []},
        **{"elem_id": "opened", "format": "jpeg"},
    )
    with gr.Tabs(visible=False) as tabs:
        with gr.Tab("Before and after", elem_id="compared-tab"):
            compared = gr.ImageSlider(
                **{"label": "left: bicubic interpolation, right: restored", "format": "png", "max_height": 720},
                **{"interactive": False, "buttons": ["fullscreen"], "elem_id": "compared"},
            )
            kernels = gr.HTML(elem_id="kernels")
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
    step.change(updates.show_step, [steps, step], [step_image, step_kernel], trigger_mode="always_last", **_QUICK)
    parts = [opened, tabs, downloads, compared, kernels, steps_tab, step, step_image, step_kernel]
    return [*parts, image_file, kernel_file]
