"""Kernel pools: finite sets of blur kernels for training KernelNet and USRNet, built here or supplied by the user.

A pool is an array [N, K, K] in a .npy or .mat file. Each kernel is non-negative, sums to one, and has its centre of
mass in the central pixel. ``images.kernel_arrays.read_pool`` reads it. KernelNet's own pool comes from a camera
(section 3.3) and is not public. Ours has the same Gaussians. In place of the camera's kernels it has as many irregular
ones of three kinds: Gaussians with uneven weights, two to four blobs, and short paths of a shaken camera. They are so
irregular that the best fixed Gaussian has an ℓ1 error of about 0.3, as in KernelNet's table 2.

``shaken_kernels`` draws what no Gaussian resembles, for tests: paths of a shaken camera in focus, discs of a lens out
of focus, and sums of both. ``shaken_pool`` is a pool to train on, of which such kernels are one half.

USRNet has a single pool for all scales (``solver_pool``), with Gaussians and paths. Its kernels need not be centred,
because USRNet gets them as input.
"""

from __future__ import annotations

import typing

import numpy as np
import scipy  # brings in its parts when they are first used

from blindsr_jax.degradations.kernels import isotropic_gaussian, move_kernel
from blindsr_jax.degradations.real_kernels import disk
from blindsr_jax.errors import InputError

# Lowest and highest width in HR pixels by scale: KernelNet, sections 3.3 and 3.4.
POOL_WIDTHS = {2: (1.2, 2.0), 3: (1.2 * 2**0.5, 2.0 * 2**0.5), 4: (2.4, 4.0)}
# Kernel size by scale: about four of the largest widths on each side.
POOL_SIZES = {2: 17, 3: 23, 4: 31}
# Of the paper's pool at ×2: 420 round and 204 other Gaussians beside 1092 kernels of a camera.
ISOTROPIC_SHARE, ANISOTROPIC_SHARE = 0.24, 0.12
# USRNet: the window (section 4.1), and the square roots of the variances that its authors' code draws, 0.6 and 12.
SOLVER_SIZE, SOLVER_WIDTHS = 25, (0.6**0.5, 12**0.5)


def kernel_pool(
    scale: int, *, count: int = 1716, size: int | None = None, seed: int = 0, irregular: bool = True
) -> np.ndarray:
    """Draw a pool with KernelNet's ranges of width (``POOL_WIDTHS``).

    Args:
      scale: 2, 3 or 4.
      count: N; by default that of the paper's pool at ×2.
      size: K, odd; by default ``POOL_SIZES`` of the scale.
      seed: equal seeds give equal pools.
      irregular: include irregular kernels; otherwise all are Gaussians, and two thirds of them are round.

    Returns:
      float32 [N, K, K], in random order.

    Raises:
      InputError: the scale is none of these, the count not positive, or the size even or too small for the widths.
    """
    if scale not in POOL_WIDTHS:
        raise InputError(f"pools are defined for scales {', '.join(map(str, POOL_WIDTHS))}, not {scale}")
    if count < 1:
        raise InputError(f"a pool needs at least one kernel, got {count}")
    widths = POOL_WIDTHS[scale]
    size = POOL_SIZES[scale] if size is None else size
    smallest = 2 * int(np.ceil(3 * widths[1])) + 1
    if size % 2 == 0 or size < smallest:
        raise InputError(f"kernels of scale {scale} need an odd size of at least {smallest}, got {size}")
    rng = np.random.default_rng(seed)
    gaussians = ISOTROPIC_SHARE + ANISOTROPIC_SHARE
    shares = (ISOTROPIC_SHARE, ANISOTROPIC_SHARE, *[(1 - gaussians) / 3] * 3) if irregular else (2 / 3, 1 / 3)
    kinds = rng.permutation(np.searchsorted(np.cumsum(shares), (np.arange(count) + 0.5) / count))
    return np.array([_DRAW[kind](rng, widths, size) for kind in kinds], np.float32)


def shaken_pool(scale: int, *, count: int = 3432, size: int | None = None, seed: int = 0) -> np.ndarray:
    """Draw a pool of which one half is ``kernel_pool``'s, and the other half ``shaken_kernels``'s kinds.

    Of the other half, two in four are paths in focus, one is a disc, and one a sum. The widths are the same.

    Args:
      scale: 2, 3 or 4.
      count: N; by default twice that of ``kernel_pool``.
      size: K, odd; by default ``POOL_SIZES`` of the scale.
      seed: equal seeds give equal pools.

    Returns:
      float32 [N, K, K], in random order.

    Raises:
      InputError: as ``kernel_pool``; the count is at least 2.
    """
    usual = kernel_pool(scale, count=count // 2, size=size, seed=seed)
    rng = np.random.default_rng((seed, 1))
    draws = [_SHAKEN[i % len(_SHAKEN)][1] for i in range(count - len(usual))]
    shaken = [draw(rng, POOL_WIDTHS[scale], usual.shape[-1]) for draw in draws]
    return rng.permutation(np.concatenate([usual, np.array(shaken, np.float32)]))


def solver_pool(*, count: int = 2000, size: int = SOLVER_SIZE, seed: int = 0) -> np.ndarray:
    """Draw a pool for a non-blind solver of scales 1 to 4 (USRNet, section 4.1).

    Half of the kernels are rotated Gaussians. Their centre lies on a diagonal, as far from the central pixel as the
    centre of a block of 1 to 4 pixels lies from its first pixel. The other half are paths of a shaken camera in focus,
    in place of the paper's motion kernels.

    Args:
      count: N.
      size: K, odd.
      seed: equal seeds give equal pools.

    Returns:
      float32 [N, K, K], in random order.

    Raises:
      InputError: the count is not positive, or the size even or too small for the widths.
    """
    if count < 1:
        raise InputError(f"a pool needs at least one kernel, got {count}")
    smallest = 2 * int(np.ceil(3 * SOLVER_WIDTHS[1] + 1)) + 1
    if size % 2 == 0 or size < smallest:
        raise InputError(f"kernels of a solver need an odd size of at least {smallest}, got {size}")
    rng = np.random.default_rng(seed)
    is_path = rng.permutation(np.arange(count) % 2)
    draws = (_path_in_focus if path else _moved for path in is_path)
    return np.array([draw(rng, SOLVER_WIDTHS, size) for draw in draws], np.float32)


def shaken_kernels(widths: typing.Sequence[float], size: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Draw blurs of photographs that are shaken or out of focus: a path, a disc, a path and a sum in turn.

    A path is a slowly turning walk in focus, as of a hand-held camera (Levin et al., CVPR 2009). A disc has sharp
    borders, and twice its width is its radius. A sum has a path and a disc, the path with 30 to 70 % of the weight.

    Args:
      widths: the root of the mean variance along both axes, in pixels, for each kernel.
      size: K, odd.
      seed: equal seeds give equal kernels.

    Returns:
      float64 [K, K] by kind and width, such as ``disc, width 2.0``; rounded to a millionth before the last scaling to
      sum one, so that they are the same on every machine.

    Raises:
      InputError: the size is even, or too small for a width.
    """
    if size % 2 == 0 or size < 6 * max(widths):
        raise InputError(f"blurs of width {max(widths):g} need an odd size of at least {6 * max(widths):g}, got {size}")
    kernels = {}
    for i, width in enumerate(widths):
        kind, draw = _SHAKEN[i % len(_SHAKEN)]
        kernel = np.round(draw(np.random.default_rng((seed, i)), (width, width), size), 6)
        kernels[f"{kind}, width {width:.2f}"] = kernel / kernel.sum()
    return kernels


def split_pool(kernels: np.ndarray, *, test_share: float = 0.2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Split a pool at random into kernels for training and kernels for testing.

    Args:
      kernels: [N, K, K].
      test_share: share of the test kernels, between 0 and 1; each part gets at least one kernel.
      seed: equal seeds give equal splits of equal pools.

    Returns:
      The training and the test kernels, each in the pool's order.

    Raises:
      InputError: there are fewer than two kernels, or the share is not between 0 and 1.
    """
    if len(kernels) < 2 or not 0 < test_share < 1:
        raise InputError(f"{len(kernels)} kernels with a test share of {test_share} cannot be parted in two")
    held_out = min(max(round(len(kernels) * test_share), 1), len(kernels) - 1)
    chosen = np.zeros(len(kernels), bool)
    chosen[np.random.default_rng(seed).permutation(len(kernels))[:held_out]] = True
    return kernels[~chosen], kernels[chosen]


def best_gaussian(kernels: np.ndarray) -> float:
    """Find the width of the round Gaussian that is nearest to a pool in mean ℓ1: the best estimate without an image.

    It is the "Fixed Kernel" of KernelNet's table 2, with widths of 1.6 and 3. Fit it to the training part of a pool.

    Args:
      kernels: [N, K, K].

    Returns:
      The width in pixels, to about 0.01.
    """
    size = kernels.shape[-1]
    found = scipy.optimize.minimize_scalar(
        lambda width: l1_of_gaussian(kernels, width), bounds=(0.1, size / 2), method="bounded", options={"xatol": 5e-3}
    )
    return float(found.x)


def l1_of_gaussian(kernels: np.ndarray, width: float) -> float:
    """Mean ‖k − Gaussian‖₁ over a pool [N, K, K], with the round Gaussian of this width in pixels."""
    gaussian = np.asarray(isotropic_gaussian(width, kernels.shape[-1]))
    return float(np.abs(kernels - gaussian).sum(axis=(1, 2)).mean())


class Moments(typing.NamedTuple):
    """Positions and widths of kernels in pixels.

    Attributes:
      offset: [N], distance from the central pixel to the centre of mass.
      narrow, wide: [N], standard deviations along the principal axes.
    """

    offset: np.ndarray
    narrow: np.ndarray
    wide: np.ndarray


def moments(kernels: np.ndarray) -> Moments:
    """Compute first and second moments of kernels [N, K, K] that sum to one."""
    axis = np.arange(kernels.shape[-1]) - kernels.shape[-1] // 2
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    weights = np.asarray(kernels, np.float64).reshape(len(kernels), -1)
    mean = weights @ points
    covariance = np.einsum("np,pi,pj->nij", weights, points, points) - mean[:, :, None] * mean[:, None]
    variances = np.maximum(np.linalg.eigvalsh(covariance), 0)  # kernels with negative weights have no width
    return Moments(np.hypot(*mean.T), *np.sqrt(variances).T)


Widths = tuple[float, float]


def _isotropic(rng: np.random.Generator, widths: Widths, size: int) -> np.ndarray:
    return _mixture(np.zeros((1, 2)), np.ones(1), rng.uniform(*widths) ** 2 * np.eye(2), size)


def _anisotropic(rng: np.random.Generator, widths: Widths, size: int) -> np.ndarray:
    return _mixture(np.zeros((1, 2)), np.ones(1), _covariance(rng, widths), size)


def _covariance(rng: np.random.Generator, widths: Widths) -> np.ndarray:
    variances, angle = rng.uniform(*widths, 2) ** 2, rng.uniform(-np.pi, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.diag(variances) @ turn.T


def _uneven(rng: np.random.Generator, widths: Widths, size: int) -> np.ndarray:
    """Draw a Gaussian and multiply its weights by smooth log-normal noise."""
    smooth = scipy.ndimage.gaussian_filter(rng.standard_normal((size, size)), widths[0] / 2, mode="wrap")
    return _centred(_anisotropic(rng, widths, size) * np.exp(0.45 * smooth / smooth.std()))


def _blobs(rng: np.random.Generator, widths: Widths, size: int) -> np.ndarray:
    """Draw two to four separate round Gaussians with different weights."""
    points = rng.standard_normal((rng.integers(2, 5), 2))
    return _blobs_of_width(
        points, rng.uniform(0.3, 1.0, len(points)), rng.uniform(0.4, 0.8), rng.uniform(*widths), size
    )


def _path(rng: np.random.Generator, widths: Widths, size: int) -> np.ndarray:
    """Draw a slowly turning random walk, like a shaken camera's, out of focus."""
    points = _walk(rng)
    return _blobs_of_width(points, np.ones(len(points)), rng.uniform(0.4, 0.8), rng.uniform(*widths), size)


def _path_in_focus(rng: np.random.Generator, widths: Widths, size: int) -> np.ndarray:
    """Draw such a walk in focus, as thin as the pixels allow."""
    points, width = _walk(rng), rng.uniform(*widths)
    return _blobs_of_width(points, np.ones(len(points)), min((0.6 / width) ** 2, 1.0), width, size)


def _disc(rng: np.random.Generator, widths: Widths, size: int) -> np.ndarray:
    """Draw a disc, whose standard deviation along an axis is half its radius."""
    return np.asarray(disk(2 * rng.uniform(*widths), size), np.float64)


def _path_and_disc(rng: np.random.Generator, widths: Widths, size: int) -> np.ndarray:
    share = rng.uniform(0.3, 0.7)
    return share * _path_in_focus(rng, widths, size) + (1 - share) * _disc(rng, widths, size)


def _walk(rng: np.random.Generator) -> np.ndarray:
    direction = rng.uniform(-np.pi, np.pi) + np.cumsum(rng.normal(0, 0.35, 24))
    return np.cumsum(np.stack([np.cos(direction), np.sin(direction)], axis=1), axis=0)


def _moved(rng: np.random.Generator, widths: Widths, size: int) -> np.ndarray:
    """Draw a Gaussian that is (s − 1)/2 pixels off centre on both axes, with s from 1 to 4."""
    offset = rng.choice([-1, 1], 2) * rng.integers(4) / 2  # in any of the four diagonal directions
    kernel = _gaussians(offset[None], np.ones(1), _covariance(rng, widths), size)
    return kernel / kernel.sum()


_DRAW = (_isotropic, _anisotropic, _uneven, _blobs, _path)
_SHAKEN = (("path", _path_in_focus), ("disc", _disc), ("path", _path_in_focus), ("sum", _path_and_disc))


def _blobs_of_width(points: np.ndarray, weights: np.ndarray, share: float, width: float, size: int) -> np.ndarray:
    """Place blobs at points and scale everything to this width; ``share`` is each blob's part of the total variance."""
    weights = weights / weights.sum()
    points = points - weights @ points
    variance = weights @ np.square(points).mean(axis=1)
    return _mixture(points * width * np.sqrt((1 - share) / variance), weights, share * width**2 * np.eye(2), size)


def _mixture(points: np.ndarray, weights: np.ndarray, covariance: np.ndarray, size: int) -> np.ndarray:
    """Add Gaussians of one covariance at points [P, 2] (row, column, from the centre) and centre: [size, size]."""
    return _centred(_gaussians(points, weights, covariance, size))


def _gaussians(points: np.ndarray, weights: np.ndarray, covariance: np.ndarray, size: int) -> np.ndarray:
    """Like ``_mixture``, but neither centred nor normalised."""
    axis = np.arange(size) - size // 2
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    away = grid[:, :, None] - points
    exponent = -0.5 * np.einsum("hwpi,ij,hwpj->hwp", away, np.linalg.inv(covariance), away)
    return np.exp(exponent) @ weights


def _centred(kernel: np.ndarray) -> np.ndarray:
    """Centre a kernel by a spline, clip the negative weights that this makes, and normalise."""
    moved = np.maximum(move_kernel(kernel / kernel.sum()), 0)
    return moved / moved.sum()
