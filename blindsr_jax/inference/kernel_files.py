"""Blur kernels as users hold them: .npy files, pictures beside an image, and a short notation."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from blindsr_jax.degradations.kernels import anisotropic_gaussian, isotropic_gaussian
from blindsr_jax.errors import DataError
from blindsr_jax.files import atomic_path
from blindsr_jax.inference.model import fit_kernel
from blindsr_jax.inference.pictures import kernel_picture


def read_kernel(path: str | os.PathLike) -> np.ndarray:
    """A kernel from a .npy file, as it lies there; nothing is unpickled.

    Raises:
      DataError: the file is missing or no .npy file.
    """
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: not a .npy file with a kernel ({error})") from None


def write_kernel(image_path: pathlib.Path, kernel: np.ndarray) -> None:
    """Writes ``photo_kernel.npy`` and ``photo_kernel.png`` beside ``photo.png``. Raises DataError if it cannot."""
    with atomic_path(image_path.with_name(f"{image_path.stem}_kernel.npy")) as temporary:
        np.save(temporary, kernel)
    with atomic_path(image_path.with_name(f"{image_path.stem}_kernel.png")) as temporary:
        kernel_picture(kernel).save(temporary)


def kernel_from_text(text: str) -> np.ndarray:
    """A kernel as users write it: ``iso:2.4``, ``aniso:SX,SY,DEGREES`` or a .npy file.

    Returns:
      float32 [K, K], summing to one; K is 21 for round kernels, 31 for the others.

    Raises:
      DataError: the text is none of these, or the file holds no kernel.
    """
    kind, _, numbers = text.partition(":")
    try:
        values = [float(number) for number in numbers.split(",")] if kind in ("iso", "aniso") else []
        if kind == "iso" and len(values) == 1 and values[0] > 0:
            return np.asarray(isotropic_gaussian(values[0], 21))
        if kind == "aniso" and len(values) == 3 and min(values[:2]) > 0:
            return np.asarray(anisotropic_gaussian(values[0], values[1], np.deg2rad(values[2]), 31))
    except ValueError:
        values = [0.0]
    if values:
        raise DataError(f"--kernel {text}: expected iso:SIGMA, aniso:SIGMA_X,SIGMA_Y,DEGREES or a .npy file")
    kernel = read_kernel(text)
    return fit_kernel(kernel, kernel.shape[-1] if kernel.ndim else 1)[0]
