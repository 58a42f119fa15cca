"""Reader for blur kernels in NumPy's .npy and MATLAB's .mat files, one kernel or many. Unpickles nothing."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import scipy  # scipy imports its submodules at first use

from blindsr_jax.errors import DataError


def read_kernels(path: str | os.PathLike) -> list[np.ndarray]:
    """Read the kernels of a file. They may differ in size.

    A .npy file holds one array. A .mat file (MATLAB 5 to 7.2) holds one variable, or one whose name begins with
    "kernel" among others. The array is [K, K], [N, K, K], [K, K, N] or a cell array of [K, K].

    Returns:
      A list of float64 [K, K], odd K, each summing to one.

    Raises:
      DataError: the file is missing or of another format, or an entry is not a kernel.
    """
    path = pathlib.Path(path)
    try:
        array = _from_mat(path) if path.suffix == ".mat" else _from_npy(path)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except DataError:
        raise
    except Exception as error:  # scipy's reader raises many kinds for damaged files
        kind = "a .mat file of MATLAB 5 to 7.2" if path.suffix == ".mat" else "a .npy file with a kernel"
        raise DataError(f"{path}: not {kind} ({error})") from None
    members = list(array.ravel()) if array.dtype == object else _split(path, array)
    if not members:
        raise DataError(f"{path}: there is no kernel in it")
    return [_checked(path, member) for member in members]


def read_kernel(path: str | os.PathLike) -> np.ndarray:
    """Read a file with exactly one kernel: float64 [K, K], odd K, summing to one.

    Raises:
      DataError: as ``read_kernels``, or the file holds several kernels.
    """
    kernels = read_kernels(path)
    if len(kernels) != 1:
        raise DataError(f"{path}: one kernel [K, K] was expected, it holds {len(kernels)}")
    return kernels[0]


def read_pool(path: str | os.PathLike, size: int | None = None) -> np.ndarray:
    """Read a file of kernels as one array.

    Args:
      path: as for ``read_kernels``.
      size: K, odd. Smaller kernels are padded with zeros. Larger ones are cropped if at most 1 % of their weight is
        lost. Without a size, all kernels of the file must have the same size, and they keep it.

    Returns:
      float32 [N, K, K], each summing to one.

    Raises:
      DataError: as ``read_kernels``; the kernels differ in size and no size is given; or one is too wide for ``size``.
      ValueError: ``size`` is even or not positive.
    """
    kernels = read_kernels(path)
    if size is None:
        sides = sorted({len(kernel) for kernel in kernels})
        if len(sides) > 1:
            listed = ", ".join(f"{side}x{side}" for side in sides)
            raise DataError(
                f"{path}: kernels of one size were expected, it holds {listed}: give the size to crop or pad to"
            )
        return np.asarray(kernels, np.float32)
    if size < 1 or size % 2 == 0:
        raise ValueError(f"a kernel's size must be odd and positive, got {size}")
    cut = [in_window(kernel, size, f"{path}: kernel {i}") for i, kernel in enumerate(kernels)]
    return np.asarray(cut, np.float32)


def in_window(kernel: np.ndarray, size: int, name: str = "the kernel") -> np.ndarray:
    """Pad with zeros or crop a kernel [K', K'] that sums to one to [size, size].

    Args:
      kernel: [K', K'], summing to one.
      size: the new side; odd if K' is odd.
      name: the kernel's name in messages.

    Returns:
      [size, size], summing to one.

    Raises:
      DataError: more than 1 % of its weight would be cropped.
    """
    margin = (len(kernel) - size) // 2
    if margin <= 0:
        return np.pad(kernel, -margin)
    inner = kernel[margin:-margin, margin:-margin]
    outside = 1 - inner.sum()
    if abs(outside) > 0.01:
        raise DataError(f"{outside:.0%} of the weight of {name} lies outside {size}x{size} pixels")
    return inner / inner.sum()


def _from_npy(path: pathlib.Path) -> np.ndarray:
    with path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _from_mat(path: pathlib.Path) -> np.ndarray:
    variables = {name: value for name, value in scipy.io.loadmat(path).items() if not name.startswith("__")}
    named = [name for name in variables if name.lower().startswith("kernel")] or list(variables)
    if len(named) != 1:
        raise DataError(f"{path}: one variable with kernels was expected, it holds {', '.join(variables) or 'none'}")
    return np.asarray(variables[named[0]])


def _split(path: pathlib.Path, array: np.ndarray) -> list[np.ndarray]:
    if array.ndim == 2:
        return [array]
    if array.ndim == 3 and array.shape[1] == array.shape[2]:
        return list(array)
    if array.ndim == 3 and array.shape[0] == array.shape[1]:
        return list(np.moveaxis(array, -1, 0))
    raise DataError(f"{path}: kernels [K, K] or [N, K, K] were expected, got shape {array.shape}")


def _checked(path: pathlib.Path, kernel: np.ndarray) -> np.ndarray:
    kernel = np.asarray(kernel)
    if kernel.dtype.kind not in "fiu" or kernel.ndim != 2:
        raise DataError(f"{path}: a kernel [K, K] of numbers was expected, got {kernel.dtype} of shape {kernel.shape}")
    if kernel.shape[0] != kernel.shape[1] or kernel.shape[0] % 2 == 0:
        raise DataError(f"{path}: a kernel must be square with an odd side, got shape {kernel.shape}")
    kernel = kernel.astype(np.float64)
    total = kernel.sum()
    if not np.isfinite(kernel).all() or total <= 0:
        raise DataError(f"{path}: a kernel must hold finite numbers with a positive sum")
    return kernel / total
