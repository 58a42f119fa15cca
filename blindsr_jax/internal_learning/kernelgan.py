"""KernelGAN (Bell-Kligler et al., NeurIPS 2019): learn the kernel of one picture from the picture itself.

A linear generator shrinks crops of the picture, and a discriminator compares the patches with those of the picture.
The generator that cannot be told apart is the picture's own blur and sampling.
"""

from __future__ import annotations

import dataclasses
import logging
import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.errors import DataError
from blindsr_jax.internal_learning import kernelgan_step
from blindsr_jax.internal_learning.crops import coarse_gradient_map, crop_probabilities, draw_corners, gradient_map
from blindsr_jax.internal_learning.kernelgan_losses import Colours
from blindsr_jax.internal_learning.watching import Learned, Watch, unwatched

log = logging.getLogger(__name__)

CROP, PATCH = 64, 26  # sides of the generator's input and of the discriminator's
_SHAVED = 10  # pixels at each side
_REAL_NOISE, _FAKE_NOISE = 2 / 255, 1 / 255  # standard deviations in [−1, 1]
_CHUNK = 20  # iterations between two looks at the kernel
_LEAVES_ZERO_BY = 500  # iterations; a kernel that is still near zero then stays there
_NEAR_ZERO = 0.5  # the sum of such a kernel
_SUM_IS_ONE = 0.1  # how far from one the sum of a learned kernel may be


@dataclasses.dataclass(frozen=True)
class KernelGANOptions:
    """How to learn. The last two are quirks of the public code.

    Attributes:
      steps: iterations; the paper has 3,000.
      seed: of crops, noise and networks.
      attempts: seeds to try before giving up.
      real: use the picture to its borders.
      colours: see ``kernelgan_losses.bicubic_target``.
      noise: ``fresh`` adds noise to each patch that the discriminator sees; ``accumulating`` adds it to the picture
        itself, so it grows where patches overlap, and the generator sees it too.
    """

    steps: int = 2000
    seed: int = 1
    attempts: int = 3
    real: bool = False
    colours: Colours = "each"
    noise: typing.Literal["fresh", "accumulating"] = "fresh"


def learn_kernels(
    images: typing.Sequence[np.ndarray], options: KernelGANOptions, watch: Watch = unwatched
) -> list[np.ndarray]:
    """Learn the raw kernels of several pictures: one after another on a CPU, else all at once.

    A kernel that stays at zero, or whose sum is not one in the end, is learned again with another seed. A warning says
    so.

    Args:
      images: each [H, W, 3] in [0, 1].
      options: see there.
      watch: called every few iterations, with the kernel of the first picture.

    Returns:
      For each picture a float32 correlation kernel [13, 13] of ×2, not yet cleaned or moved.

    Raises:
      DataError: a picture is smaller than 64×64 pixels, or flat; or all attempts failed.
    """
    if jax.default_backend() == "cpu" or len(images) == 1:
        return [_learned([image], options, watch)[0] for image in images]
    return _learned(images, options, watch)


def _learned(images: typing.Sequence[np.ndarray], options: KernelGANOptions, watch: Watch) -> list[np.ndarray]:
    """Learn pictures together; those that fail are tried again."""
    kernels: dict[int, np.ndarray] = {}
    due, failure = list(range(len(images))), ""
    for attempt in range(options.attempts):
        seed = options.seed + attempt
        crops = [Crops(images[i], options, np.random.default_rng([seed, i])) for i in due]
        found = _attempt(crops, options, watch)
        for i, kernel in zip(due, found):
            if failed := _failure(kernel):
                failure = f"the kernel's {failed} with seed {seed}"
                again = f"; again with seed {seed + 1}" if attempt + 1 < options.attempts else ""
                log.warning("KernelGAN: %s%s", failure, again)
            else:
                kernels[i] = kernel
        due = [i for i in due if i not in kernels]
        if not due:
            return [kernels[i] for i in range(len(images))]
    raise DataError(f"KernelGAN found no kernel in {options.attempts} attempts: {failure}. Take KernelNet")


def _attempt(crops: list[Crops], options: KernelGANOptions, watch: Watch) -> np.ndarray:
    """The kernels [B, 13, 13] after all iterations, or earlier if all are lost."""
    advance = _one_by_one if len(crops) == 1 else _together
    states = [kernelgan_step.start(one.rng) for one in crops]
    state = jax.device_put(states[0] if len(states) == 1 else jax.tree.map(lambda *leaves: np.stack(leaves), *states))
    for done in range(0, options.steps, _CHUNK):
        end = min(done + _CHUNK, options.steps)
        state, kernels = advance(state, crops, end - done, options.colours)
        watch(Learned("KernelGAN", end, options.steps, kernels[0]))
        near_zero = end > _LEAVES_ZERO_BY and (kernels.sum(axis=(1, 2)) < _NEAR_ZERO).all()
        if near_zero or not np.isfinite(kernels).all():
            break
    return kernels


def _one_by_one(
    state: kernelgan_step.State, crops: list[Crops], count: int, colours: Colours
) -> tuple[kernelgan_step.State, np.ndarray]:
    for _ in range(count):
        state = kernelgan_step.one_iteration(state, *crops[0].cut(), colours=colours)
    return state, np.asarray(kernelgan_step.kernel_of(state))[None]


def _together(
    states: kernelgan_step.State, crops: list[Crops], count: int, colours: Colours
) -> tuple[kernelgan_step.State, np.ndarray]:
    cut = [[one.cut() for one in crops] for _ in range(count)]
    inputs = (jnp.asarray([[three[i] for three in row] for row in cut]) for i in range(3))
    states = kernelgan_step.many_iterations(states, *inputs, colours=colours)
    return states, np.asarray(kernelgan_step.kernels_of(states))


def _failure(kernel: np.ndarray) -> str:
    """Why a kernel is none; empty if it is one."""
    if not np.isfinite(kernel).all():
        return "weights are not finite"
    total = float(kernel.sum())
    return "" if abs(total - 1) < _SUM_IS_ONE else f"sum is {total:.3f} instead of 1"


class Crops:
    """The crops that one picture is learned from, drawn once where gradients are strong.

    Args:
      image: [H, W, 3] in [0, 1].
      options: see there.
      rng: generator of places and noise, and of the networks.

    Raises:
      DataError: the picture is smaller than 64×64 pixels, or flat.
    """

    def __init__(self, image: np.ndarray, options: KernelGANOptions, rng: np.random.Generator):
        image = seen_part(image, options.real)
        self.rng, self._next = rng, 0
        self._of_discriminator = draw_corners(rng, crop_probabilities(gradient_map(image), PATCH), PATCH, options.steps)
        coarse = crop_probabilities(coarse_gradient_map(image), CROP)
        self._of_generator = draw_corners(rng, coarse, CROP, options.steps)
        self._image = np.ascontiguousarray(2 * image.astype(np.float32) - 1)
        self._accumulates = options.noise == "accumulating"

    def cut(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The next generator's input, true patch with noise, and noise for the generator's output."""
        crop = _square(self._image, self._of_generator[self._next], CROP)
        real = _square(self._image, self._of_discriminator[self._next], PATCH)
        real_noise, fake_noise = self.rng.standard_normal((2, *real.shape), np.float32)
        self._next += 1
        crop, noisy = crop.copy(), real + _REAL_NOISE * real_noise
        if self._accumulates:
            real[:] = noisy
        return crop, noisy, _FAKE_NOISE * fake_noise


def seen_part(image: np.ndarray, real: bool) -> np.ndarray:
    """The part of a picture that is learned from: without ten pixels at each side where it is large enough, even.

    Raises:
      DataError: the picture is smaller than 64×64 pixels.
    """
    height, width = image.shape[:2]
    if min(height, width) < CROP:
        raise DataError(f"KernelGAN cuts crops of {CROP}x{CROP} pixels, the picture has {width}x{height}")
    if not real and min(height, width) >= CROP + 2 * _SHAVED:
        image = image[_SHAVED : height - _SHAVED, _SHAVED : width - _SHAVED]
    return image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]


def _square(image: np.ndarray, corner: np.ndarray, side: int) -> np.ndarray:
    top, left = corner
    return image[top : top + side, left : left + side]
