"""Blur kernels as users hold them: .npy files, pictures beside an image, and a short notation."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from blindsr_jax.data.images import KERNEL_PICTURE
from blindsr_jax.degradations.kernels import anisotropic_gaussian, isotropic_gaussian
from blindsr_jax.errors import DataError
from blindsr_jax.files import atomic_path
from blindsr_jax.inference.model import fit_kernel
from blindsr_jax.inference.pictures import kernel_picture


def read_kernel(path: str | os.PathLike) -> np.ndarray:
    """A kernel from a .npy file; nothing is unpickled.

    Returns:
      float32 [K, K], odd K, summing to one.

    Raises:
      DataError: the file is missing, no .npy file, or holds no kernel.
    """
    try:
        with open(path, "rb") as file:
            kernel = np.lib.format.read_array(file, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: not a .npy file with a kernel ({error})") from None
    if kernel.ndim != 2 or kernel.dtype.kind not in "fiu":
        raise DataError(f"{path}: a kernel [K, K] of numbers was expected, got {kernel.dtype} of shape {kernel.shape}")
    try:
        return fit_kernel(kernel, kernel.shape[0])[0]
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def write_kernel(image_path: pathlib.Path, kernel: np.ndarray) -> None:
    """Writes ``photo.png.kernel.npy`` and ``photo.png.kernel.png`` beside ``photo.png``.

    Raises:
      DataError: a file cannot be written.
    """
    with atomic_path(image_path.with_name(image_path.name + ".kernel.npy")) as temporary:
        np.save(temporary, kernel)
    with atomic_path(image_path.with_name(image_path.name + KERNEL_PICTURE)) as temporary:
        kernel_picture(kernel).save(temporary)


def kernel_from_text(text: str) -> np.ndarray:
    """A kernel as users write it: ``iso:2.4``, ``aniso:SX,SY,DEGREES`` or a .npy file.

    Returns:
      float32 [K, K], summing to one; K is 21 for round kernels, 31 for the others.

    Raises:
      DataError: the text is none of these, or the file holds no kernel.
    """
    kind, _, numbers = text.partition(":")
    if kind not in ("iso", "aniso"):
        return read_kernel(text)
    try:
        values = [float(number) for number in numbers.split(",")]
    except ValueError:
        values = []
    widths = values[:2]
    if len(values) != {"iso": 1, "aniso": 3}[kind] or not all(np.isfinite(values)) or min(widths) <= 0:
        raise DataError(f"--kernel {text}: expected iso:SIGMA, aniso:SIGMA_X,SIGMA_Y,DEGREES or a .npy file")
    if kind == "iso":
        return np.asarray(isotropic_gaussian(values[0], 21))
    return np.asarray(anisotropic_gaussian(*widths, np.deg2rad(values[2]), 31))
