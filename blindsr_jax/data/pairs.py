"""Stored pairs of HR and LR images, as real data sets have them, and their kernels if there are any."""

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

# Ends of names that tell HR from LR: X_HR and X_LR4 (RealSR), X_x4 and X_x1 (DRealSR), X_gt (DIV2KRK), Xx4 (DIV2K).
_HR_END = re.compile(r"[_-](hr|gt)$", re.IGNORECASE)
_LR_END = re.compile(r"[_-]lr(x?\d)?$", re.IGNORECASE)
_FACTOR = re.compile(r"([_-]|(?<=\d))x\d$", re.IGNORECASE)
_HR_FOLDER = re.compile(r"(^|[_-])(hr|gt|target)($|[_-])", re.IGNORECASE)
_LR_FOLDER = re.compile(r"(^|[_-])(lr|lq|input)", re.IGNORECASE)
_KERNELS = (".npy", ".mat")


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


class PairedFiles:
    """HR and LR files that belong together by their names.

    Names are compared without the ends that tell HR from LR. Files of equal names are a pair; of the others, those with
    the same last number.

    Args:
      hr, lr: the files.
      kernels: kernel files, which are found by name or last number as well; None for a set without kernels.
      scale: s.

    Attributes:
      names: names of the HR files that have an LR file.
      left_out: a line for each file without a partner.

    Raises:
      DataError: two files of one kind have the same name, or there is no pair.
    """

    def __init__(
        self,
        hr: typing.Sequence[pathlib.Path],
        lr: typing.Sequence[pathlib.Path],
        kernels: typing.Sequence[pathlib.Path] | None,
        scale: int,
    ):
        self.scale = scale
        self._pairs, alone = _pairs(sorted(hr, key=_natural), sorted(lr, key=_natural))
        self.left_out = [f"{path}: no file of this name or number among the {other} images" for path, other in alone]
        if not self._pairs:
            first = self.left_out[0] if self.left_out else "there are no files"
            raise DataError(f"no HR image has an LR image; first: {first}")
        self._kernels: dict[pathlib.Path, pathlib.Path] | None = None
        if kernels is not None:
            self._kernels = dict(_pairs([hr for hr, _ in self._pairs], kernels)[0])
        self.names = [path.name for path, _ in self._pairs]

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> Stored:
        """Read one test image. The HR image is cropped to s times the LR image's size.

        Raises:
          DataError: a file is damaged or missing, or the HR and LR sizes do not match.
        """
        paths = self._pairs[index]
        hr, lr = map(read_rgb, paths)
        height, width = (side * self.scale for side in lr.shape[:2])
        beyond = (hr.shape[0] - height, hr.shape[1] - width)
        if not all(0 <= rest < self.scale for rest in beyond):
            sizes = f"{lr.shape[1]}x{lr.shape[0]} pixels times {self.scale}"
            hint = "; it was enlarged already: shrink it first" if hr.shape == lr.shape and self.scale > 1 else ""
            raise DataError(
                f"{paths[1]}: {sizes} is not the size of {paths[0].name}, {hr.shape[1]}x{hr.shape[0]}{hint}"
            )
        return Stored(hr[:height, :width], lr, self._kernel(paths[0]))

    def _kernel(self, hr: pathlib.Path) -> np.ndarray | None:
        if self._kernels is None:
            return None
        if hr not in self._kernels:
            raise DataError(f"{hr}: there are kernels, but none of this name or number")
        return read_kernel(self._kernels[hr])


class PairFolder(PairedFiles):
    """The pairs in a folder, as RealSR, DRealSR and others have them.

    HR and LR files are told apart by their names (``X_HR``, ``X_LR4``), or by the names of their folders (``HR`` and
    ``LR``, ``test_HR`` and ``test_LR``, ``gt`` and ``lr_x4``). Kernels are .npy or .mat files in any other folder.

    Args:
      root: the folder.
      scale: s. LR files of other scales, such as ``X_LR2``, are left out.

    Raises:
      DataError: as ``PairedFiles``.
    """

    def __init__(self, root: str | os.PathLike, scale: int):
        root = pathlib.Path(root)
        hr: list[pathlib.Path] = []
        lr: list[pathlib.Path] = []
        for path in list_images(root):
            kind = _kind(path.relative_to(root), scale) if root.is_dir() else ""
            if kind:
                (hr if kind == "hr" else lr).append(path)
        if not hr or not lr:
            raise DataError(
                f"{root}: no pairs here; expected names such as X_HR.png and X_LR{scale}.png, or folders HR and LR"
            )
        kernels = sorted(path for path in root.rglob("*") if path.suffix.lower() in _KERNELS)
        super().__init__(hr, lr, kernels or None, scale)


def _kind(path: pathlib.Path, scale: int) -> typing.Literal["hr", "lr", ""]:
    """Tell an HR file from an LR file of the scale by its name, or else by its folders, the nearest first."""
    if _HR_END.search(path.stem):
        return "hr"
    if found := _LR_END.search(path.stem):
        digits = re.sub(r"\D", "", found[0])
        return "lr" if digits in ("", str(scale)) else ""
    for folder in reversed(path.parent.parts):
        if _LR_FOLDER.search(folder):
            factor = re.search(r"x(\d)", folder, re.IGNORECASE)
            return "lr" if factor is None or factor[1] == str(scale) else ""
        if _HR_FOLDER.search(folder):
            return "hr"
    return ""


def _pairs(
    first: typing.Sequence[pathlib.Path], second: typing.Sequence[pathlib.Path]
) -> tuple[list[tuple[pathlib.Path, pathlib.Path]], list[tuple[pathlib.Path, str]]]:
    """Pair files of two kinds; return the pairs in the order of ``first``, and each file alone with the other kind."""
    found: dict[pathlib.Path, pathlib.Path] = {}
    for key in (_name, _last_number):
        left = [path for path in first if path not in found]
        others = _by(key, [path for path in second if path not in found.values()])
        for value, path in _by(key, left).items():
            if value in others:
                found[path] = others[value]
    alone = [(path, "LR") for path in first if path not in found]
    alone += [(path, "HR") for path in second if path not in found.values()]
    return [(path, found[path]) for path in first if path in found], alone


def _by(key: typing.Callable[[pathlib.Path], str], paths: typing.Iterable[pathlib.Path]) -> dict[str, pathlib.Path]:
    found: dict[str, pathlib.Path] = {}
    for path in paths:
        value = key(path)
        if value and value in found:
            raise DataError(f"{path} and {found[value].name} have the same name or number: leave one of them out")
        found[value] = path
    found.pop("", None)
    return found


def _name(path: pathlib.Path) -> str:
    stem = path.stem
    for end in (_HR_END, _LR_END, _FACTOR):
        stem = end.sub("", stem)
    return stem.lower()


def _natural(path: pathlib.Path) -> list[tuple[int, str]]:
    """Sort numbers by value: ``im_9`` before ``im_10``."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", str(path))]


def _last_number(path: pathlib.Path) -> str:
    numbers = re.findall(r"\d+", _name(path))
    return str(int(numbers[-1])) if numbers else ""
