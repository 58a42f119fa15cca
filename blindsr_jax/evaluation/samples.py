"""Samples: a test image under one blur, made by a protocol or read from a test set's files."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import typing
import zlib

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.data.div2krk import Div2krkSource
from blindsr_jax.data.pairs import PairedFiles, PairFolder
from blindsr_jax.data.sources import Source, open_source
from blindsr_jax.degradations.div2krk import div2krk_lr
from blindsr_jax.degradations.file_steps import Round8
from blindsr_jax.degradations.kernels import move_kernel
from blindsr_jax.degradations.noise_steps import Noise
from blindsr_jax.degradations.pipeline import start_batch
from blindsr_jax.degradations.size_steps import Downsample
from blindsr_jax.degradations.steps import Batch, Keys, Step, Steps, Task, run_steps
from blindsr_jax.errors import DataError, InputError
from blindsr_jax.evaluation.protocols import Case, Protocol
from blindsr_jax.pictures import from_unit

_TWO_BLOCKS = 16  # pixels: pictures need two of JPEG's blocks in each direction


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """A model's input and the truth.

    Attributes:
      image: name of the test image.
      case: label of the blur.
      sigma: width of the blur in HR pixels if it is a round Gaussian.
      hr: uint8 [sH, sW, 3]; None if there is no ground truth.
      lr: uint8 [H, W, 3].
      kernel: the true kernel [K, K], or None if it is not known.
      remade: share of the pixels of ``lr`` that ``hr`` and the kernel make again, for files of DIV2KRK.
    """

    image: str
    case: str
    sigma: float | None
    hr: np.ndarray | None
    lr: np.ndarray
    kernel: np.ndarray | None
    remade: float | None = None


class EvaluationImage(typing.NamedTuple):
    """A test image in memory.

    Attributes:
      name: its name, unique in its set.
      digest: checksum of its pixels, which reveals that an image was replaced.
      samples: its samples, made one by one during iteration. Iterating raises DataError if one cannot be made.
    """

    name: str
    digest: str
    samples: typing.Iterable[Sample]


class EvaluationSet(typing.Protocol):
    """A set of test images.

    Attributes:
      names: names of the images.
      left_out: a line for each file that cannot be used.
      protocol: the protocol of the set.
      samples_per_image: number of samples for each image.
    """

    names: list[str]
    left_out: list[str]
    protocol: Protocol
    samples_per_image: int

    def open(self, index: int) -> EvaluationImage:
        """Read the image with this number. Raises DataError if it is damaged."""
        ...


class SyntheticTests:
    """HR images whose LR images a protocol makes.

    Args:
      source: HR images, used at their own sizes.
      protocol: blurs and downsampling.
      limit: number of images to use, from the first; 0 for all.
      crop: side in HR pixels of the central part of each image to use; 0 for whole images.
    """

    def __init__(self, source: Source, protocol: Protocol, *, limit: int = 0, crop: int = 0):
        self._source, self._crop, self.protocol = source, crop, protocol
        self.names = source.names[: limit or None]
        self.left_out: list[str] = list(getattr(source, "left_out", []))
        self.samples_per_image = 1 if protocol.one_case_per_image else len(protocol.cases)

    def open(self, index: int) -> EvaluationImage:
        """Read an image; it has one sample for each of its cases in the protocol."""
        hr, name = self._source.read(index), self.names[index]
        cases = self.protocol.cases_of(index)
        samples = (synthetic_sample(name, hr, self.protocol, case, self._crop) for case in cases)
        return EvaluationImage(name, _digest(hr), samples)


class StoredTests:
    """HR images, LR images and kernels that are stored in files.

    The kernels are centred on their centre of mass, as they were when the set's LR images were made. For a method that
    takes LR pixels to be samples at the centres of blocks, as all models here do, this is the true kernel.

    Args:
      source: the files.
      protocol: how results are scored and LR images are made again.
    """

    def __init__(self, source: PairedFiles, protocol: Protocol):
        self._source, self.protocol = source, protocol
        self.names, self.left_out, self.samples_per_image = source.names, source.left_out, 1

    def open(self, index: int) -> EvaluationImage:
        """Read an image; it has a single sample."""
        stored, name = self._source.read(index), self.names[index]
        kernel, remade = None, None
        if stored.kernel is not None:
            kernel = move_kernel(stored.kernel)
            if self.protocol.tests == "div2krk":
                remade = float((make_lr(stored.hr, self.protocol, stored.kernel) == stored.lr).all(axis=-1).mean())
        sample = Sample(name, "its own", None, stored.hr, stored.lr, kernel, remade)
        return EvaluationImage(name, _digest(stored.hr, stored.lr), [sample])


class Pictures:
    """Pictures without ground truth: each is an LR image.

    Args:
      source: the pictures.
      protocol: the protocol ``no_reference``.
    """

    samples_per_image = 1

    def __init__(self, source: Source, protocol: Protocol):
        self._source, self.protocol, self.names = source, protocol, source.names
        self.left_out: list[str] = list(getattr(source, "left_out", []))

    def open(self, index: int) -> EvaluationImage:
        """Read a picture; it is a single sample."""
        picture, name = self._source.read(index), self.names[index]
        return EvaluationImage(name, _digest(picture), [Sample(name, "its own", None, None, picture, None)])


def open_tests(protocol: Protocol, root: str | os.PathLike) -> EvaluationSet:
    """Open the test set in a folder: HR images, pairs or pictures in any subfolders, or DIV2KRK's folders.

    Raises:
      DataError: the folder has no usable images.
    """
    if protocol.tests == "div2krk":
        return StoredTests(Div2krkSource(root, protocol.scale), protocol)
    if protocol.tests == "pairs":
        return StoredTests(PairFolder(root, protocol.scale), protocol)
    if protocol.tests == "pictures":
        return Pictures(open_source("folder", str(root), smallest=_TWO_BLOCKS), protocol)
    return SyntheticTests(open_source("folder", str(root), smallest=16 * protocol.scale), protocol)


def synthetic_sample(name: str, hr: np.ndarray, protocol: Protocol, case: Case, crop: int = 0) -> Sample:
    """Make a sample from an HR image, uint8 [H, W, 3] of any size, and a case; for ``crop`` see ``SyntheticTests``."""
    hr = prepare_hr(hr, protocol.scale, crop)
    seed = int(_digest(hr), 16), zlib.crc32(case.label.encode())
    return Sample(name, case.label, case.sigma, hr, make_lr(hr, protocol, case.kernel, case, seed), case.kernel)


def prepare_hr(hr: np.ndarray, scale: int, crop: int = 0) -> np.ndarray:
    """Crop an HR image to its central ``crop`` pixels, and below and on the right to a multiple of the scale."""
    if crop:
        height, width = (min(crop, side) for side in hr.shape[:2])
        top, left = (hr.shape[0] - height) // 2, (hr.shape[1] - width) // 2
        hr = hr[top : top + height, left : left + width]
    return hr[: hr.shape[0] // scale * scale, : hr.shape[1] // scale * scale]


def make_lr(
    hr: np.ndarray,
    protocol: Protocol,
    kernel: np.ndarray,
    case: Case | None = None,
    seed: typing.Sequence[int] | None = None,
    *,
    kernel_space: typing.Literal["hr", "lr"] = "hr",
) -> np.ndarray:
    """Make the LR image of a protocol, rounded as its file would be.

    Args:
      hr: uint8 [sH, sW, 3].
      protocol: border, downsampling, noise and rounding.
      kernel: [K, K].
      case: noise and compression besides the blur; None for the protocol's noise and no compression.
      seed: seed of the noise; None for no noise.
      kernel_space: ``hr``, or ``lr`` for a kernel that blurs the HR image after bicubic downsampling.

    Returns:
      uint8 [H, W, 3].

    Raises:
      DataError: the kernel is larger than the image.
    """
    if protocol.block_centres and kernel_space == "hr":
        try:
            return div2krk_lr(hr, kernel, protocol.scale)
        except InputError as error:
            raise DataError(str(error)) from None
    batch = start_batch(jnp.asarray(hr, jnp.float32)[None] / 255, jnp.asarray(kernel, jnp.float32)[None])
    task = Task(protocol.scale, tuple(side // protocol.scale for side in hr.shape[:2]))
    steps = protocol.steps_of(case)
    if kernel_space == "lr":
        blur, _, *after = steps
        steps = Downsample("bicubic"), blur, *after
    unrounded = [step for step in steps if not isinstance(step, Round8)]  # rounded below, in NumPy
    try:
        for noise, group in itertools.groupby(unrounded, _as_noise):
            batch = _with_frozen_noise(noise, batch, seed) if noise else _after(tuple(group), batch, task)
    except ValueError as error:
        raise DataError(str(error)) from None
    lr = np.asarray(batch.image[0])
    if protocol.rounding == "down":
        return (np.clip(lr, 0, 1) * 255).astype(np.uint8)
    return from_unit(lr, np.dtype(np.uint8))


def _as_noise(step: Step) -> Noise | None:
    return step if isinstance(step, Noise) else None


def _with_frozen_noise(step: Noise, batch: Batch, seed: typing.Sequence[int] | None) -> Batch:
    """Add noise of one level, drawn by NumPy: a protocol must not change when JAX's generators do."""
    if not step.level[0] or seed is None:
        return batch
    noise = np.random.default_rng(seed).normal(0, step.level[0] / 255, batch.image.shape)
    return batch._replace(image=typing.cast(jax.Array, np.asarray(batch.image) + noise))  # float64, which JAX has not


@functools.partial(jax.jit, static_argnums=(0, 2))
def _after(steps: Steps, batch: Batch, task: Task) -> Batch:
    """Run steps that draw no random numbers."""
    return run_steps(steps, batch, Keys(jax.random.key(0)), task)


def _digest(*images: np.ndarray) -> str:
    crc = 0
    for image in images:
        crc = zlib.crc32(np.ascontiguousarray(image), zlib.crc32(str(image.shape).encode(), crc))
    return f"{crc:08x}"
