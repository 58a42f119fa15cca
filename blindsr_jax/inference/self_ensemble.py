"""Self-ensemble: the mean of the results for an image's eight flips and turns (EDSR, CVPRW 2017, section 3.4)."""

from __future__ import annotations

import typing

import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.pca import encode
from blindsr_jax.errors import DataError
from blindsr_jax.inference.restorer import Restorer
from blindsr_jax.types import SROutput


def average_of_eight(
    model: Restorer,
    lr: np.ndarray,
    *,
    kernel: np.ndarray | None = None,
    iterations: int | None = None,
    image_only: bool = False,
) -> SROutput:
    """Restore a batch in its eight orientations, turn the results back and average them.

    A given kernel is turned with the image. Estimated kernels are turned back and averaged, and the code is that of the
    mean kernel.

    For the arguments and errors see ``Model.__call__``. Raises DataError also for models of s-fold sampling: see
    ``refuse_s_fold``.
    """
    refuse_s_fold(model)
    images, kernels = [], []
    for orientation in range(8):
        image = turned(np.asarray(lr), orientation, rows=-3)
        turned_kernel = None if kernel is None else turned(np.asarray(kernel), orientation, rows=-2)
        output = model(image, kernel=turned_kernel, iterations=iterations, image_only=image_only)
        if output.sr is not None:
            images.append(turned_back(np.asarray(output.sr), orientation, rows=-3))
        kernels.append(output.kernel)
    return SROutput(sum(images) / 8 if images else None, *mean_kernel(model, kernels))


def mean_kernel(
    model: Restorer, kernels: typing.Sequence[np.ndarray | None]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Turn the kernels of the eight orientations back and average them: the mean and its code, or None for each."""
    found = [(orientation, np.asarray(kernel)) for orientation, kernel in enumerate(kernels) if kernel is not None]
    if not found:
        return None, None
    mean = sum(turned_back(kernel, orientation, rows=-2) for orientation, kernel in found) / 8
    if model.pca_basis is None:
        return mean, None
    return mean, np.asarray(encode(jnp.asarray(mean), jnp.asarray(model.pca_basis)))


def refuse_s_fold(model: Restorer) -> None:
    """Raise DataError for a model that restores images of s-fold sampling.

    Such a pixel is the upper-left sample of its block. Flipping the image would make it another sample.
    """
    if model.downsample == "s_fold" and model.restores and model.scale > 1:
        raise DataError("self-ensemble turns images about their pixels' centres: not for a model of s-fold sampling")


def turned(x: np.ndarray, orientation: int, rows: int) -> np.ndarray:
    """Turn arrays to one of eight orientations; ``rows`` is the axis of their rows, and columns are the next axis."""
    for bit, axis in ((1, rows), (2, rows + 1)):
        x = np.flip(x, axis) if orientation & bit else x
    return np.swapaxes(x, rows, rows + 1) if orientation & 4 else x


def turned_back(x: np.ndarray, orientation: int, rows: int) -> np.ndarray:
    """Undo ``turned``."""
    x = np.swapaxes(x, rows, rows + 1) if orientation & 4 else x
    for bit, axis in ((1, rows), (2, rows + 1)):
        x = np.flip(x, axis) if orientation & bit else x
    return x
