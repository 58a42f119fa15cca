"""Reader for blur kernels in NumPy's .npy and MATLAB's .mat files, one kernel or many. Unpickles nothing.

Files need not be trusted: sizes are compared with limits and with the file before memory is taken.
"""

from __future__ import annotations

import math
import os
import pathlib
import typing

import numpy as np

from blindsr_jax.errors import DataError
from blindsr_jax.files import open_regular
from blindsr_jax.images.mat_files import MOST_MEMBERS, MOST_NUMBERS, variables_of

_LARGEST_SIDE = 1023  # of a kernel
_LARGEST_FILE = 2**28  # bytes of a .mat file, which is read whole


def read_kernels(path: str | os.PathLike) -> list[np.ndarray]:
    """Read the kernels of a file. They may differ in size. The content decides the format, not the extension.

    A .npy file holds one array. A .mat file (MATLAB 5 to 7.2) holds one variable, or one whose name begins with
    "kernel" among others. The array is [K, K], [N, K, K], [K, K, N] or a cell array of [K, K]. Axes of one element in
    front do not count: [1, 1, K, K] is [K, K].

    Returns:
      A list of float64 [K, K], odd K, each summing to one.

    Raises:
      DataError: the file is missing or of another format, an entry is not a kernel or larger than 1023 a side, or
        there are more than 32,768 kernels or 16,777,216 numbers.
    """
    path = pathlib.Path(path)
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(520)
        file.seek(0)
        if start.startswith(b"\x93NUMPY"):
            array: np.ndarray | list[np.ndarray] = _from_npy(path, file, size)
        elif start[126:128] in (b"IM", b"MI") and b"MATLAB 7.3" not in start[:116]:
            if size > _LARGEST_FILE:
                raise DataError(f"{path}: {size:,} bytes are too many for kernels; save the kernels alone")
            array = _from_mat(path, file.read(size))
        else:
            raise DataError(f"{path}: not a .npy file or a .mat file of MATLAB 5 to 7.2; {_reason(start)}")
    members = array if isinstance(array, list) else _split(path, array)
    if not members:
        raise DataError(f"{path}: there is no kernel in it")
    if len(members) > MOST_MEMBERS:
        raise DataError(f"{path}: {len(members):,} kernels, at most {MOST_MEMBERS:,} are read")
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


def _from_npy(path: pathlib.Path, file: typing.BinaryIO, size: int) -> np.ndarray:
    """Read an array of numbers. Its size is compared with that of the file before memory is taken."""
    try:
        version = np.lib.format.read_magic(file)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, by_column, dtype = header[version](file)
    except Exception as error:  # NumPy raises many kinds for damaged files
        raise DataError(f"{path}: not a .npy file with a kernel ({error})") from None
    if dtype.hasobject or dtype.kind not in "fiu":
        raise DataError(f"{path}: a kernel [K, K] of numbers was expected, got {dtype} of shape {shape}")
    count = math.prod(shape)  # Python's integers do not overflow
    if min(shape, default=1) < 1:
        raise DataError(f"{path}: there is no kernel in it, its shape is {shape}")
    if count > MOST_NUMBERS:
        raise DataError(f"{path}: too many numbers for kernels, at most {MOST_NUMBERS:,} are read")
    if count * dtype.itemsize > size - file.tell():
        raise DataError(f"{path}: damaged, it ends before its {count:,} numbers do; copy it again")
    data = file.read(count * dtype.itemsize)
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_column else "C")


def _from_mat(path: pathlib.Path, data: bytes) -> np.ndarray | list[np.ndarray]:
    try:
        variables = {variable.name: variable for variable in variables_of(data)}
        named = [name for name in variables if name.lower().startswith("kernel")] or list(variables)
        if len(named) == 1:
            return variables[named[0]].read()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    held = ", ".join(ascii(name)[1:-1] for name in list(variables)[:10]) or "none"
    raise DataError(f"{path}: one variable with kernels was expected, it holds {held}")


def _reason(start: bytes) -> str:
    """Name the kind of a file by its first bytes, and say how to get a kernel from it."""
    if b"MATLAB 7.3" in start[:116] or start[512:].startswith(b"\x89HDF"):
        return "it is of MATLAB 7.3: save it with save(..., '-v7')"
    if start.startswith(b"\x89HDF"):
        return "it is an HDF5 file: save the kernel with numpy.save"
    if start.startswith(b"PK\3\4"):
        return "it is an archive such as .npz: save its array alone with numpy.save"
    if start.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")):
        return "it is a picture, whose levels are too coarse for a kernel: give the numbers"
    return "it is something else" if start else "it is empty"


def _split(path: pathlib.Path, array: np.ndarray) -> list[np.ndarray]:
    while array.ndim > 2 and len(array) == 1:
        array = array[0]
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
    if len(kernel) > _LARGEST_SIDE:
        raise DataError(f"{path}: a kernel of {len(kernel)}x{len(kernel)} is larger than {_LARGEST_SIDE} pixels a side")
    kernel = kernel.astype(np.float64)
    with np.errstate(over="ignore"):
        total = kernel.sum()
    if not np.isfinite(kernel).all() or not 0 < total < np.inf:
        raise DataError(f"{path}: a kernel must hold finite numbers with a finite, positive sum")
    return kernel / total
