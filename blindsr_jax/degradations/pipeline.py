"""``degrade``: make an LR batch, with its kernels, from an HR batch by the steps of a degradation."""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.blur_steps import Blur
from blindsr_jax.degradations.kernels import dirac
from blindsr_jax.degradations.notation import steps_from_text
from blindsr_jax.degradations.orders import classic
from blindsr_jax.degradations.pca import pca_basis
from blindsr_jax.degradations.samplers import Kernels, kernels_of, options_of
from blindsr_jax.degradations.size_steps import Downsampling
from blindsr_jax.degradations.steps import NO_JPEG, Batch, Keys, Range, Steps, Task, run_steps
from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import check_images
from blindsr_jax.ops.blur import BorderMode
from blindsr_jax.types import Degraded

Downsample = Downsampling
BASIS_KERNELS = 30_000  # number of kernels that the published bases were computed from


def degrade(
    key: jax.Array,
    hr: jax.Array,
    *,
    scale: int,
    steps: Steps | str | None = None,
    kernel: str | jax.Array = "isotropic",
    kernel_size: int = 21,
    sigma: Range = (0.2, 4.0),
    multiplicative_noise: float = 0.25,
    isotropic_rate: float = 0.0,
    downsample: Downsampling = "bicubic",
    blur_mode: BorderMode = "reflect",
    noise: Range = (0.0, 0.0),
    noise_free_rate: float = 0.0,
    round_8bit: bool = True,
    pool: jax.Array | None = None,
) -> Degraded:
    """Make LR images by steps; the default is the classic degradation y = round(((x ⊗ k)↓s) + n) (DAN eq. 1).

    The function is pure: the same key gives the same batch on any number of devices. All options except arrays are
    static under jit. The gradient of rounding to 8 bits and of JPEG is zero: use ``round_8bit=False`` to differentiate.

    Args:
      key: PRNG key of this batch.
      hr: [B, s·H, s·W, C] in [0, 1].
      scale: s.
      steps: steps, or their text (``degradations.notation``) such as ``"photo"``. Of the options below, only ``kernel``
        as an array, ``kernel_size`` and ``pool`` then have an effect.
      kernel: name of a sampler, or kernels [B, K, K] (or [1, K, K]).
      kernel_size: K of drawn kernels, odd.
      sigma: lowest and highest width of drawn Gaussians in HR pixels.
      multiplicative_noise: anisotropic kernels only; largest relative increase of a kernel's pixel.
      isotropic_rate: anisotropic kernels only; share of round kernels among them.
      downsample: ``bicubic`` (MATLAB imresize; DAN's and DSSR's tables) or ``s_fold`` (upper-left pixel).
      blur_mode: border of the blur; see ``ops.blur``.
      noise: lowest and highest standard deviation of the white noise on the 0–255 scale, drawn per image.
      noise_free_rate: share of images without noise.
      round_8bit: clip and round the result to 8 bits, as in an LR file.
      pool: [N, K, K], the kernels that the sampler ``pool`` draws from.

    Returns:
      Degraded(lr [B, H, W, C], kernel [B, K, K], sigma [B], quality [B], drawn), as described at ``steps.Batch``. The
      kernel is the Dirac kernel if no step blurs. Sigma does not include the rounding error.

    Raises:
      InputError: the HR size is no multiple of the scale, or an option is unknown.
    """
    given = None if isinstance(kernel, str) else kernel
    levels: typing.Any = tuple(noise)  # of a list in a config; ``classic`` checks its length
    if isinstance(steps, str):
        steps = steps_from_text(steps, scale)
    if steps is None:
        options = {"sigma": sigma, "multiplicative_noise": multiplicative_noise, "isotropic_rate": isotropic_rate}
        steps = classic(
            scale,
            kernels=named_kernels(kernel, size=kernel_size, **options) if isinstance(kernel, str) else None,
            downsample=downsample,
            blur_mode=blur_mode,
            noise=levels,
            noise_free_rate=noise_free_rate,
            round_8bit=round_8bit,
        )
    return degrade_by(steps, key, hr, scale=scale, kernel=given, kernel_size=kernel_size, pool=pool)


def degrade_by(
    steps: Steps,
    key: jax.Array,
    hr: jax.Array,
    *,
    scale: int,
    kernel: jax.Array | None = None,
    kernel_size: int = 21,
    pool: jax.Array | None = None,
) -> Degraded:
    """``degrade`` by steps; a ``Blur()`` without a sampler uses ``kernel``."""
    height, width = check_images("hr", hr).shape[1:3]
    if height % scale or width % scale:
        raise InputError(f"HR size {height}x{width} is no multiple of the scale {scale}: crop it first")
    task = Task(scale, (height // scale, width // scale), pool, kernel_size)
    batch = run_steps(steps, start_batch(hr, kernel), Keys(key), task)
    if batch.size is not None or batch.image.shape[1:3] != task.lr_size:
        raise InputError("a degradation must end at LR size: put downsample() or resize((1, 1)) among its steps")
    drawn = batch.kernel
    if drawn is None:
        drawn = jnp.broadcast_to(dirac(kernel_size), (len(hr), kernel_size, kernel_size))
    return Degraded(batch.image, drawn, batch.sigma, batch.quality, batch.drawn)


def start_batch(hr: jax.Array, kernel: jax.Array | None = None) -> Batch:
    """Make the batch before the first step, optionally with kernels for a ``Blur()`` without a sampler."""
    count = len(hr)
    return Batch(hr, None, kernel, jnp.zeros(count), jnp.full(count, NO_JPEG))


def apply_degradation(
    hr: jax.Array,
    kernel: jax.Array,
    *,
    scale: int,
    downsample: Downsampling = "bicubic",
    blur_mode: BorderMode = "reflect",
) -> jax.Array:
    """The deterministic part of the classic degradation: (x ⊗ k)↓s, not rounded.

    Args:
      hr: [B, s·H, s·W, C] in [0, 1].
      kernel: [B, K, K] or [1, K, K].
      scale: s.
      downsample: ``bicubic`` or ``s_fold``.
      blur_mode: border of the blur; see ``ops.blur``.

    Returns:
      [B, H, W, C].

    Raises:
      InputError: the HR size is no multiple of the scale, or downsample is unknown.
    """
    steps = classic(scale, downsample=downsample, blur_mode=blur_mode, round_8bit=False)
    return degrade_by(steps, jax.random.key(0), hr, scale=scale, kernel=kernel).lr


def named_kernels(sampler: str, **options: typing.Any) -> Kernels:
    """Make ``Kernels`` of a named sampler from the options that it has; raises InputError if the name is unknown."""
    known = options_of(sampler)
    return kernels_of(sampler, **{name: value for name, value in options.items() if name in known})


def kernels_in(steps: Steps) -> Kernels | None:
    """The sampler of a degradation's first blur, whose kernels an Estimator learns to find; None without a blur."""
    for step in steps:
        kernels = step.kernels if isinstance(step, Blur) else kernels_in(getattr(step, "inside", ()))
        if kernels is not None:
            return kernels
    return None


def draw_kernels(
    key: jax.Array, count: int, *, kind: str, size: int, pool: jax.Array | None = None, **options: typing.Any
) -> jax.Array:
    """Draw kernels [count, K, K] from a named sampler; options that it does not have are ignored."""
    return named_kernels(kind, **options).draw(key, count, size=size, pool=pool)


def basis_for(
    length: int,
    *,
    kernels: Kernels | None = None,
    seed: int = 0,
    count: int = BASIS_KERNELS,
    size: int,
    kind: str = "isotropic",
    **options: typing.Any,
) -> np.ndarray:
    """Compute the PCA basis of a kernel distribution from a fixed draw.

    Args:
      length: L.
      kernels: the distribution; if None, ``kind`` and ``options`` define it as in ``draw_kernels``.
      seed: seed of the draw.
      count: number of kernels to draw.
      size: K.

    Returns:
      float32 [K², L].
    """
    kernels = named_kernels(kind, **options) if kernels is None else kernels
    return pca_basis(np.asarray(kernels.draw(jax.random.key(seed), count, size=size)), length)
