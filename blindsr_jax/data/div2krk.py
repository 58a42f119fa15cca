"""Reader for DIV2KRK (Bell-Kligler et al., NeurIPS 2019) and sets with its layout: HR, LR and true kernel files."""

from __future__ import annotations

import os
import pathlib
import re
import typing

import numpy as np

from blindsr_jax.errors import DataError
from blindsr_jax.images.folders import list_images
from blindsr_jax.images.kernel_arrays import read_kernel
from blindsr_jax.images.reading import read_rgb


class Stored(typing.NamedTuple):
    """A test image as stored in the files.

    Attributes:
      hr: uint8 [sH, sW, 3].
      lr: uint8 [H, W, 3].
      kernel: float64 [K, K], summing to one; None if the set has no kernels.
    """

    hr: np.ndarray
    lr: np.ndarray
    kernel: np.ndarray | None


class Div2krkSource:
    """Files ``gt/im_N.png``, ``lr_xS/im_N.png`` and ``gt_k_xS/kernel_N.mat``, paired by the number in their names.

    The other common naming, ``gt/img_N_gt.png``, works as well.

    Args:
      root: the folder that contains these three folders.
      scale: s.

    Attributes:
      names: names of the HR files that have an LR file.
      left_out: a line for each HR file that has no LR file.

    Raises:
      DataError: a folder is missing, two files have the same number, or there is no HR/LR pair.
    """

    def __init__(self, root: str | os.PathLike, scale: int):
        root = pathlib.Path(root)
        self.scale = scale
        for name in ("gt", f"lr_x{scale}"):
            if not (root / name).is_dir():
                raise DataError(
                    f"{root}: expected DIV2KRK's folders gt, lr_x{scale} and gt_k_x{scale}; {name} is missing"
                )
        self._hr = _by_number(list_images(root / "gt"))
        self._lr = _by_number(list_images(root / f"lr_x{scale}"))
        kernels = root / f"gt_k_x{scale}"
        self._kernels = _by_number(sorted(kernels.glob("*.mat"))) if kernels.is_dir() else None
        self._numbers = sorted(self._hr.keys() & self._lr.keys())
        self.names = [self._hr[number].name for number in self._numbers]
        alone = sorted(self._hr.keys() - self._lr.keys())
        self.left_out = [f"{self._hr[number]}: no file of number {number} in lr_x{scale}" for number in alone]
        if not self.names:
            raise DataError(f"{root}: no number stands both in a name in gt and in one in lr_x{scale}")

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> Stored:
        """Read one test image. The HR image is cropped to s times the LR image's size.

        Raises:
          DataError: a file is damaged or missing, or the HR and LR sizes do not match.
        """
        number = self._numbers[index]
        hr, lr = read_rgb(self._hr[number]), read_rgb(self._lr[number])
        height, width = (side * self.scale for side in lr.shape[:2])
        beyond = (hr.shape[0] - height, hr.shape[1] - width)
        if not all(0 <= rest < self.scale for rest in beyond):
            raise DataError(
                f"{self._lr[number]}: {lr.shape[1]}x{lr.shape[0]} pixels times {self.scale} is not the size of "
                f"{self._hr[number].name}, {hr.shape[1]}x{hr.shape[0]}"
            )
        return Stored(hr[:height, :width], lr, self._kernel(number))

    def _kernel(self, number: int) -> np.ndarray | None:
        if self._kernels is None:
            return None
        if number not in self._kernels:
            raise DataError(f"{self._hr[number]}: no kernel of number {number} in gt_k_x{self.scale}")
        return read_kernel(self._kernels[number])


def _by_number(paths: list[pathlib.Path]) -> dict[int, pathlib.Path]:
    found: dict[int, pathlib.Path] = {}
    for path in paths:
        digits = re.search(r"\d+", path.stem)
        if digits is None:
            continue
        number = int(digits.group())
        if number in found:
            raise DataError(f"{path} and {found[number].name} have the same number {number}: leave one of them out")
        found[number] = path
    return found
