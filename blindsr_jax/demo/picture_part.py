"""The part of the page where a visitor chooses a picture."""

from __future__ import annotations

import typing

import gradio as gr

from blindsr_jax.demo import updates
from blindsr_jax.demo.blur_part import QUICK, gaussian_sliders
from blindsr_jax.demo.keeping import Kept
from blindsr_jax.demo.run import SHARP, SMALL
from blindsr_jax.demo.uploads import MEGAPIXELS, samples


class PicturePart(typing.NamedTuple):
    """Its components: the drop zone, the samples, a message, the choice for large pictures, the picture's use, and the
    sliders of a synthetic test."""

    file: gr.File
    gallery: gr.Gallery
    message: gr.HTML
    fit: gr.Radio
    use: gr.Radio
    test: list[gr.Slider]


def picture_part(megapixels: float) -> PicturePart:
    """Make the part."""
    gr.Markdown(f"### Picture\nDrop one of yours, or take one of ours. Up to {megapixels:g} megapixels at once.")
    file = gr.File(label="your picture", height=104, elem_id="file")
    gallery = gr.Gallery(
        [(str(path), path.stem) for path in samples()],
        **{"label": "our pictures", "columns": 3, "height": 104, "object_fit": "cover", "buttons": []},
        **{"allow_preview": False, "interactive": False, "elem_id": "ours", "format": "jpeg"},
    )
    message = gr.HTML(elem_id="picture-message")
    fit = gr.Radio(
        [updates.SHRINK, updates.PART],
        **{"value": updates.SHRINK, "label": "It is too large to restore at once", "visible": False, "elem_id": "fit"},
    )
    use = gr.Radio([SMALL, SHARP], value=SMALL, label="This picture is", elem_id="use")
    with gr.Accordion("The test’s blur and noise", open=False, visible=False, elem_id="test") as group:
        test = gaussian_sliders("test", (1.8, 1.8, 0))
        test.append(gr.Slider(0, 50, 0, step=1, label="noise, on the scale of 255", elem_id="test-noise"))
    use.change(lambda use: gr.update(visible=use == SHARP), use, group, **QUICK)
    return PicturePart(file, gallery, message, fit, use, test)


def connect_pictures(
    part: PicturePart, kept: Kept, picture: gr.State, results: list[typing.Any], megapixels: float
) -> None:
    """Open a picture when the visitor chooses it, and cut or shrink a large one.

    Args:
      part: the part.
      kept: what the page remembers.
      picture: the key of the visitor's picture.
      results: message, opened picture, tabs and downloads of the result.
      megapixels: the most that is restored at once.
    """
    outputs = [picture, part.message, part.use, part.file, part.fit, *results]
    view = results[1]

    def upload(path: str | None, key: str | None) -> list[typing.Any]:
        return updates.opened(kept, key, path or "", megapixels, gr.update())

    def take(key: str | None, chosen: gr.SelectData) -> list[typing.Any]:
        path = str(samples()[chosen.index])
        return updates.opened(kept, key, path, max(megapixels, MEGAPIXELS), SHARP)  # packaged ones are sharp

    def fit(key: str | None, kind: str) -> list[typing.Any]:
        return updates.fitted(kept, key, kind, (0.5, 0.5), megapixels)

    def move(key: str | None, kind: str, tapped: gr.SelectData) -> list[typing.Any]:
        upload = kept.get(key)
        if upload is None or kind != updates.PART:
            return [gr.update()] * 3
        x, y = tapped.index
        height, width = upload.view.shape[:2]
        return updates.fitted(kept, key, kind, (y / height, x / width), megapixels)

    part.file.upload(upload, [part.file, picture], outputs, **QUICK)
    part.gallery.select(take, picture, outputs, **QUICK)
    part.fit.input(fit, [picture, part.fit], [picture, part.message, view], **QUICK)
    view.select(move, [picture, part.fit], [picture, part.message, view], **QUICK)
