"""ZSSR (Shocher et al., CVPR 2018): learn to undo the blur of a picture from the picture itself, made smaller again."""

from __future__ import annotations

import dataclasses
import time
import typing

import jax
import numpy as np

from blindsr_jax.errors import DataError
from blindsr_jax.internal_learning import zssr_step
from blindsr_jax.internal_learning.adam import no_moments
from blindsr_jax.internal_learning.crops import loss_map
from blindsr_jax.internal_learning.estimated_kernels import to_block_centres
from blindsr_jax.internal_learning.learning_rates import TEST_EVERY, ErrorLine, Policy, annealed
from blindsr_jax.internal_learning.resampling import Sampling
from blindsr_jax.internal_learning.watching import Learned, Watch, unwatched

_SIDE = 128  # pixels: side of the fathers
_WINDOW = 256  # pixels: side of the windows that a trained network is applied to
_KERNEL_SIDES = 8  # kernels are padded to sides of a multiple of this and one, so that they share programs
_REAL_NOISE = 0.0125  # standard deviation of the noise in sons of real pictures
_EVERY = 10  # iterations between two looks


@dataclasses.dataclass(frozen=True)
class ZSSROptions:
    """How to learn.

    Attributes:
      steps: iterations at most.
      seconds: time of the training at most; 0 for any time. The rate then falls with the time, see ``policy``.
      policy: ``annealed`` lowers the learning rate by a fixed course. ``published`` watches the error of the whole
        picture's reconstruction, and ends when it no longer falls; ``numpy_1_16`` is the same with a later NumPy.
      start: see ``zssr_step.init_filters``.
      seed: of crops, noise and the network.
      real: for pictures that no kernel made exactly: noise in sons, no back-projection.
      back_projections: rounds on the result.
      moves_kernel: move the kernel to the blocks' centres first, as the public code does, even if it is there already.
      ensemble: median of the results for the picture's eight flips and turns.
    """

    steps: int = 1000
    seconds: float = 0.0
    policy: Policy = "annealed"
    start: zssr_step.Start = "he"
    seed: int = 1
    real: bool = False
    back_projections: int = 4
    moves_kernel: bool = False
    ensemble: bool = False


def restore(
    lr: np.ndarray,
    kernel: np.ndarray,
    scale: int,
    options: ZSSROptions,
    *,
    sigma: float = 0.0,
    watch: Watch = unwatched,
) -> np.ndarray:
    """Restore one picture by a network that is trained on it alone.

    Args:
      lr: [H, W, 3] in [0, 1].
      kernel: [K, K], odd K, a correlation kernel of s-fold sampling.
      scale: s.
      options: see there.
      sigma: standard deviation of the noise that sons get, in [0, 1].
      watch: called every few iterations.

    Returns:
      float32 [sH, sW, 3] in [0, 1].

    Raises:
      DataError: the picture is too small for the kernel, or the training failed.
    """
    kernel = to_block_centres(kernel, scale) if options.moves_kernel else kernel
    sampling = Sampling(_padded(kernel / kernel.sum()), scale)
    _check_size(lr.shape[:2], sampling, options)
    sigma = max(sigma, _REAL_NOISE) if options.real else sigma
    filters = train(lr.astype(np.float32), sampling, options, sigma, watch)
    enlarged = sampling.enlarge(lr)
    orientations = range(8 if options.ensemble else 1)
    results = [_seen_from(filters, enlarged, orientation) for orientation in orientations]
    sr = np.clip(np.median(results, axis=0) if options.ensemble else results[0], 0, 1)
    return sampling.back_project(sr, lr, 0 if options.real else options.back_projections)


def train(
    lr: np.ndarray, sampling: Sampling, options: ZSSROptions, sigma: float = 0.0, watch: Watch = unwatched
) -> zssr_step.Filters:
    """Train a network on crops of one picture. For the arguments see ``restore``."""
    rng, scale = np.random.default_rng(options.seed), sampling.scale
    side = _SIDE // scale * scale
    filters: typing.Any = jax.device_put(zssr_step.init_filters(rng, options.start))
    moments: typing.Any = jax.device_put(no_moments(filters))
    image, weights = jax.device_put(_large_enough(lr, side))
    corners = rng.integers(0, np.array(image.shape[:2]) - side + 1, (options.steps, 2), np.int32)
    given = jax.device_put((sampling.kernel, sampling.matrices(side // scale)))
    line = ErrorLine(options.policy) if options.policy != "annealed" else None
    start = time.monotonic()
    for step in range(options.steps):
        spent = (time.monotonic() - start) / options.seconds if options.seconds else 0.0
        rate = line.rate if line else annealed(max(step / options.steps, spent))
        father = zssr_step.crop(image, weights, corners[step], side)
        noise = sigma * rng.standard_normal((side // scale, side // scale, 3), np.float32)
        filters, moments, loss = zssr_step.one_iteration(
            filters, moments, *father, *given, np.float32(noise), np.float32(rate), scale=scale
        )
        if line and step % TEST_EVERY == 0:
            line.add(step, reconstruction_error(filters, lr, sampling))
        if line:
            line.look(step)
        if step % _EVERY == 0:
            jax.block_until_ready(loss)
            watch(Learned("ZSSR", step, options.steps))
        if spent >= 1 or (line and line.ended):
            break
    if not np.isfinite(loss):
        raise DataError("the training of ZSSR failed: its loss is not finite")
    return filters


def reconstruction_error(filters: zssr_step.Filters, lr: np.ndarray, sampling: Sampling) -> float:
    """The mean square error of the picture as the network makes it from its son."""
    height, width = (side // sampling.scale * sampling.scale for side in lr.shape[:2])
    father = lr[:height, :width]
    made = applied(filters, sampling.enlarge(np.clip(sampling.degrade(father), 0, 1)))
    return float(np.square(np.clip(made, 0, 1) - father).mean())


def applied(filters: zssr_step.Filters, enlarged: np.ndarray) -> np.ndarray:
    """Apply the network to a picture [H, W, 3] in windows of one size; the result is that of the whole picture."""
    reach, side = zssr_step.REACH, _WINDOW + 2 * zssr_step.REACH
    height, width = enlarged.shape[:2]
    after = [(reach, reach + -length % _WINDOW) for length in (height, width)]
    padded = np.pad(enlarged, [*after, (0, 0)])
    inside = np.pad(np.ones((height, width, 1), np.float32), [*after, (0, 0)])
    result = np.empty_like(enlarged)
    for top in range(0, height, _WINDOW):
        for left in range(0, width, _WINDOW):
            window = np.s_[top : top + side, left : left + side]
            seen = np.asarray(zssr_step.apply(filters, padded[window], inside[window]))[reach:-reach, reach:-reach]
            part = result[top : top + _WINDOW, left : left + _WINDOW]
            part[:] = seen[: part.shape[0], : part.shape[1]]
    return result


def _seen_from(filters: zssr_step.Filters, enlarged: np.ndarray, orientation: int) -> np.ndarray:
    """Apply the network to the picture flipped or turned, and turn the result back."""
    turns, flips = orientation % 4, orientation >= 4
    image = np.rot90(enlarged[:, ::-1] if flips else enlarged, turns)
    result = np.rot90(applied(filters, np.ascontiguousarray(image)), -turns)
    return result[:, ::-1] if flips else result


def _check_size(size: tuple[int, ...], sampling: Sampling, options: ZSSROptions) -> None:
    """Raise DataError if the kernel reaches farther than what is blurred: the result, or the picture by its policy."""
    height, width = size
    blurred = [side * sampling.scale for side in size] if options.back_projections and not options.real else []
    blurred += [side // sampling.scale * sampling.scale for side in size] if options.policy != "annealed" else []
    reach = sampling.kernel.shape[0] // 2
    if blurred and min(blurred) < reach:
        raise DataError(
            f"ZSSR: a picture of {width}x{height} pixels is too small for a kernel that reaches {reach} pixels"
        )


def _padded(kernel: np.ndarray) -> np.ndarray:
    return np.pad(kernel, -(kernel.shape[0] - 1) % (2 * (_KERNEL_SIDES // 2)) // 2)


def _large_enough(lr: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture and the weights of its pixels; smaller ones are mirrored to a father's size, without weight there."""
    more = [(0, max(side - length, 0)) for length in lr.shape[:2]]
    weights = np.pad(loss_map(lr).astype(np.float32), more)
    return np.pad(lr, [*more, (0, 0)], "symmetric"), weights
