"""A run of the page, from the form's values to the result; plain functions of plain values."""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import tempfile
import time
import typing

import numpy as np

from blindsr_jax.demo import handmade_kernels, restoring, views
from blindsr_jax.demo.model_choices import ModelChoice, kernel_side
from blindsr_jax.demo.sizes import brought_to_size, shrunk_picture
from blindsr_jax.demo.synthetic_test import SyntheticTest, blur_and_shrink
from blindsr_jax.demo.uploads import Picture
from blindsr_jax.errors import BlindSRError, DataError
from blindsr_jax.files import atomic_path
from blindsr_jax.images.reading import ImageFile
from blindsr_jax.images.srgb import srgb_of
from blindsr_jax.images.writing import write_image
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restorer import Restorer
from blindsr_jax.inference.shrinking import checked_factor
from blindsr_jax.metrics import psnr
from blindsr_jax.pictures import from_unit

SMALL, SHARP = "Small or soft: enlarge it", "Sharp: blur it first, as a test"
FOUND, TRUE, GAUSSIAN, DRAWN, FILE = "Find it", "The true one", "A Gaussian", "Draw it", "From a file"

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Form:
    """The values on the page when a run begins, in the order of the page's inputs.

    Attributes:
      picture: the opened picture.
      use: ``SMALL`` or ``SHARP``.
      test_x, test_y, test_angle, test_noise: blur and noise of the synthetic test, from its sliders.
      family, scale: the model's family and scale.
      blur: source of the blur kernel: ``FOUND``, ``TRUE``, ``GAUSSIAN``, ``DRAWN`` or ``FILE``.
      width_x, width_y, angle: widths and angle of the Gaussian.
      cells, file: the drawing, and the path of the uploaded kernel.
      noise: noise level for a solver, 0 to 255.
      same_size: the result has the picture's own size: the picture is shrunk as much as the model enlarges.
      shrink: the picture is shrunk first if it has more pixels than detail.
    """

    picture: Picture | None
    use: str
    test_x: float
    test_y: float
    test_angle: float
    test_noise: float
    family: str
    scale: int
    blur: str
    width_x: float
    width_y: float
    angle: float
    cells: str
    file: str | None
    noise: float
    same_size: bool = False
    shrink: bool = False


class Result(typing.NamedTuple):
    """The result of a run, as the page shows it.

    Attributes:
      before, after: uint8 [H, W, 3] of equal size, in sRGB.
      text: size, time and scores.
      kernels: captions and kernels.
      steps: caption, picture and kernel of each unfolded step.
      image_file, kernel_file: files to download; ``kernel_file`` is None for models without kernels.
      caption: what ``before`` is.
    """

    before: np.ndarray
    after: np.ndarray
    text: str
    kernels: list[tuple[str, np.ndarray | None]]
    steps: list[tuple[str, np.ndarray, np.ndarray | None]]
    image_file: pathlib.Path
    kernel_file: pathlib.Path | None
    caption: str = "bicubic interpolation"


def blur_choices(model: Restorer, use: str) -> list[str]:
    """The sources that a model's blur kernel can come from."""
    choices = [FOUND] if model.estimates_kernel or not model.takes_kernel else []
    if model.takes_kernel:
        choices += [TRUE] if use == SHARP else []
        choices += [GAUSSIAN, DRAWN, FILE]
    return choices


def chosen_model(model_choices: typing.Sequence[ModelChoice], family: str, scale: int) -> Restorer:
    """Find the model of a family and scale. Raises DataError if the page does not offer it."""
    for choice in model_choices:
        if choice.name == family and scale in choice.models:
            return choice.models[scale]
    raise DataError(f"this page offers no model {family} at scale {scale}: choose one of the list")


def restore(
    model_choices: typing.Sequence[ModelChoice], form: Form, folder: pathlib.Path
) -> typing.Iterator[restoring.Progress | Result | DataError]:
    """Run the page's form.

    Args:
      model_choices: the models on the page.
      form: the values on the page.
      folder: parent of a temporary folder for the files to download. It is removed when this generator ends, so copy
        the files before.

    Yields:
      Progress, and at the end the Result, or a DataError whose message is a sentence for the visitor.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder) as own:
            yield from _restored(model_choices, form, pathlib.Path(own))
    except BlindSRError as error:
        yield DataError(sentence(str(error)))
    except Exception:
        log.exception("a run of the page failed")
        yield DataError("Something went wrong that should not have; the terminal of 'blindsr demo' says what.")


def _restored(
    model_choices: typing.Sequence[ModelChoice], form: Form, folder: pathlib.Path
) -> typing.Iterator[restoring.Progress | Result]:
    start = time.monotonic()
    model, picture, test = chosen_model(model_choices, form.family, form.scale), form.picture, None
    if picture is None:
        raise DataError("Choose a picture first: drop one of yours, or take one of ours.")
    if model.takes_sigma:
        model = model.with_sigma(form.noise / 255)
    if form.use == SHARP:
        yield restoring.Progress(0, "blurring and shrinking the picture")
        test = _tested(form, model, picture)
        picture = Picture(picture.name, test.lr, picture.metadata.stripped())
    kernel, same_size = _known_kernel(form, model, test), form.same_size and test is None
    factor = 1
    if test is None and model.scale > 1:
        factor = checked_factor("auto" if form.shrink and not same_size else 1, same_size, model.scale, picture.pixels)
    for stage in restoring.run(model, shrunk_picture(picture, factor).pixels, kernel):
        if isinstance(stage, restoring.Progress):
            yield stage
    outcome = brought_to_size(stage, picture, factor, model.scale, same_size)
    took = time.monotonic() - start
    ending = "restored" if same_size else f"x{model.scale}"
    files = _write(folder, f"{picture.name}_{ending}", picture, outcome)
    result = _result(outcome, test, "found" if kernel is None else "given", model.scale, took, files, picture)
    if factor > 1:
        result = result._replace(text=f"{result.text}; shrunk {factor} times before it was restored")
    yield result._replace(caption="the picture as it was") if same_size else result


def _tested(form: Form, model: Restorer, picture: Picture) -> SyntheticTest:
    kernel = handmade_kernels.gaussian(form.test_x, form.test_y, form.test_angle, kernel_side(model))
    return blur_and_shrink(picture, kernel, scale=model.scale, noise=form.test_noise, downsample=model.downsample)


def _known_kernel(form: Form, model: Restorer, test: SyntheticTest | None) -> np.ndarray | None:
    """The kernel to give to the model; None if the model estimates one or works without."""
    if form.blur not in blur_choices(model, form.use):
        raise DataError(f"This model cannot work with the choice “{form.blur}” for the blur: choose another.")
    if form.blur == FOUND:
        return None
    if form.blur == TRUE:
        return test.kernel
    if form.blur == DRAWN:
        return handmade_kernels.drawn(form.cells)
    if form.blur == FILE:
        return handmade_kernels.from_file(form.file)
    return handmade_kernels.gaussian(form.width_x, form.width_y, form.angle, kernel_side(model))


def _write(
    folder: pathlib.Path, name: str, picture: Picture, outcome: restoring.Outcome
) -> tuple[pathlib.Path, pathlib.Path | None]:
    image_file = folder / f"{name}.png"
    write_image(image_file, ImageFile(outcome.image, picture.metadata))
    if outcome.kernel is None:
        return image_file, None
    kernel_file = folder / f"{name}.kernel.npy"
    with atomic_path(kernel_file) as temporary:
        np.save(temporary, outcome.kernel)
    return image_file, kernel_file


def _result(
    outcome: restoring.Outcome,
    test: SyntheticTest | None,
    known: str,
    scale: int,
    seconds: float,
    files: tuple[pathlib.Path, pathlib.Path | None],
    picture: Picture,
) -> Result:
    height, width = outcome.image.shape[:2]
    text = f"{width} × {height} pixels, {seconds:.1f} seconds"
    if not outcome.steps and outcome.too_large:
        text += f"; steps are shown of pictures up to {restoring.STEPS / 1e6:.2f} megapixels"
    if test is not None:
        scores = [psnr(image, test.hr, scale) for image in (outcome.image, outcome.interpolated)]
        text = f"PSNR {scores[0]:.2f} dB, bicubic interpolation {scores[1]:.2f} dB. {text}"
    captions = [f"step {t}" for t in range(1, len(outcome.steps) + 1)]
    if test is not None:
        captions = [
            f"{caption}: {psnr(step.image, test.hr, scale):.2f} dB" for caption, step in zip(captions, outcome.steps)
        ]
    profile, grey = picture.metadata.icc_profile, Pixels(picture.pixels).grey
    restored = from_unit(Pixels(outcome.image).rgb(), np.dtype(np.uint8))
    return Result(
        srgb_of(outcome.interpolated, profile, grey=grey),
        srgb_of(restored, profile, grey=grey),
        text,
        [("true blur", test and test.kernel), (f"{known} blur", outcome.kernel)],
        [(caption, views.shown(step.image, profile), step.kernel) for caption, step in zip(captions, outcome.steps)],
        *files,
    )


def sentence(text: str) -> str:
    """End a message of the library with a full stop, for the page."""
    return text if text.endswith(".") else f"{text}."
