"""Blur kernels for users: files beside an image, and a short notation."""

from __future__ import annotations

import pathlib

import numpy as np

from blindsr_jax.degradations.kernels import anisotropic_gaussian, isotropic_gaussian
from blindsr_jax.errors import UsageError
from blindsr_jax.files import atomic_path
from blindsr_jax.images.folders import KERNEL_PICTURE
from blindsr_jax.images.kernel_arrays import read_kernel
from blindsr_jax.internal_learning.watching import Learned, Watch
from blindsr_jax.pictures import kernel_picture


def kernel_paths(image_path: pathlib.Path) -> list[pathlib.Path]:
    """``photo.png.kernel.npy`` and ``photo.png.kernel.png`` beside ``photo.png``."""
    return [image_path.with_name(image_path.name + ending) for ending in (".kernel.npy", KERNEL_PICTURE)]


def write_kernel(image_path: pathlib.Path, kernel: np.ndarray) -> None:
    """Write the files of ``kernel_paths``.

    Raises:
      DataError: a file cannot be written.
    """
    numbers, picture = kernel_paths(image_path)
    with atomic_path(numbers) as temporary:
        np.save(temporary, kernel)
    with atomic_path(picture) as temporary:
        kernel_picture(kernel).save(temporary)


class FormingKernel:
    """Draws a kernel beside its image while a model learns it: ``photo.png.forming.kernel.png``.

    Args:
      image_path: the image.
      watch: called as well.
    """

    _EVERY = 5  # looks

    def __init__(self, image_path: pathlib.Path, watch: Watch):
        self._watch = watch
        self.path = image_path.with_name(image_path.name + ".forming" + KERNEL_PICTURE)
        self._looks = 0

    def __call__(self, so_far: Learned) -> None:
        """Draw the kernel as it is now, every fifth time."""
        self._watch(so_far)
        self._looks += 1
        if so_far.kernel is not None and self._looks % self._EVERY == 0:
            with atomic_path(self.path) as temporary:
                kernel_picture(so_far.kernel).save(temporary)


def kernel_from_text(text: str) -> np.ndarray:
    """Parse a kernel: ``iso:SIGMA``, ``aniso:SIGMA_X,SIGMA_Y,DEGREES``, or the path of a .npy or .mat file.

    Returns:
      float32 [K, K], summing to one. K is 21 for ``iso`` and 31 for ``aniso``.

    Raises:
      DataError: the text is none of these, or the file holds no kernel.
    """
    kind, _, numbers = text.partition(":")
    if kind not in ("iso", "aniso"):
        return read_kernel(text).astype(np.float32)
    try:
        values = [float(number) for number in numbers.split(",")]
    except ValueError:
        values = []
    widths = values[:2]
    if len(values) != {"iso": 1, "aniso": 3}[kind] or not all(np.isfinite(values)) or min(widths) <= 0:
        raise UsageError(f"--kernel {text}: expected iso:SIGMA, aniso:SIGMA_X,SIGMA_Y,DEGREES, or a .npy or .mat file")
    if kind == "iso":
        return np.asarray(isotropic_gaussian(values[0], 21))
    return np.asarray(anisotropic_gaussian(values[0], values[1], np.deg2rad(values[2]), 31))
