"""KernelGAN's losses (NeurIPS 2019, section 4.2, and the public code)."""

from __future__ import annotations

import typing

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.internal_learning.generator import KERNEL_SIZE, generate, strided_correlation
from blindsr_jax.ops.resize import resize_matrix

CENTRE = KERNEL_SIZE / 2  # the middle of the central 2×2 block, which an LR pixel of ×2 is the centre of
_FREE = 9  # side of the inner part of a kernel that may have any weights
_TINY = 1e-30  # |k|^0.2 has an infinite slope at zero

Colours = typing.Literal["each", "sum"]


@flax.struct.dataclass
class LossWeights:
    """λ of the terms; the names are those of the public code."""

    sum_to_one: jax.Array | float = 0.5
    bicubic: jax.Array | float = 5.0
    boundaries: jax.Array | float = 0.5
    centralized: jax.Array | float = 0.0
    sparse: jax.Array | float = 0.0


class GeneratorLosses(typing.NamedTuple):
    """The terms of the generator's loss, before their λ."""

    adversarial: jax.Array
    sum_to_one: jax.Array
    bicubic: jax.Array
    boundaries: jax.Array
    centralized: jax.Array
    sparse: jax.Array


def generator_losses(kernel: jax.Array, crop: jax.Array, answers: jax.Array, colours: Colours) -> GeneratorLosses:
    """The terms of the generator's loss.

    Args:
      kernel: [13, 13].
      crop: [H, W, 3], the generator's input in [−1, 1].
      answers: the discriminator's map of the generator's output.
      colours: see ``bicubic_target``.
    """
    target = bicubic_target(crop, colours)
    return GeneratorLosses(
        adversarial=jnp.abs(answers - 1).mean(),
        sum_to_one=jnp.abs(1 - kernel.sum()),
        bicubic=jnp.square(generate(kernel, crop) - target).mean(),
        boundaries=jnp.abs(kernel * boundary_mask()).mean(),
        centralized=jnp.square(centre_of_mass(kernel) - CENTRE).mean(),
        sparse=jnp.power(jnp.abs(kernel) + _TINY, 0.2).mean(),
    )


def weighted(losses: GeneratorLosses, weights: LossWeights) -> jax.Array:
    """The generator's loss: the adversarial term, and the others with their λ."""
    terms = (getattr(weights, name) * value for name, value in losses._asdict().items() if name != "adversarial")
    return losses.adversarial + sum(terms)


def discriminator_loss(fake: jax.Array, real: jax.Array) -> jax.Array:
    """The discriminator's loss of its two maps of answers."""
    return (jnp.abs(fake).mean() + jnp.abs(real - 1).mean()) / 2


def bicubic_target(crop: jax.Array, colours: Colours) -> jax.Array:
    """The crop at half its size by bicubic interpolation, cut to the size of the generator's output.

    Args:
      crop: [H, W, 3].
      colours: ``each`` interpolates each colour alone. ``sum`` gives all three the sum of the colours, which the
        public code does by a filter of wrong shape; the kernel's sum then rises to 3 while this term counts.
    """
    taps = resize_matrix(32, 0.5)[8, 13:21]
    kernel = jnp.asarray(np.outer(taps, taps), crop.dtype)
    cut = (KERNEL_SIZE - len(taps) + 1) // 2  # so that both kernels have their centre in the middle of a 2×2 block
    inner = crop[cut:, cut:]
    rows, columns = ((side - KERNEL_SIZE) // 2 + 1 for side in crop.shape[:2])
    target = strided_correlation(kernel, inner, 2)[:rows, :columns]
    if colours == "sum":
        target = jnp.broadcast_to(target.sum(axis=-1, keepdims=True), target.shape)
    return target


def boundary_mask() -> np.ndarray:
    """Penalty [13, 13] of weights far from the centre: 30 (1 − g/max g), zero in the middle; g a Gaussian of σ = 13."""
    axis = np.arange(KERNEL_SIZE) - KERNEL_SIZE // 2
    gaussian = np.exp(-np.square(axis) / (2 * KERNEL_SIZE**2))
    mask = 30 * (1 - np.outer(gaussian, gaussian))
    margin = (KERNEL_SIZE - _FREE) // 2
    mask[margin:-margin, margin:-margin] = 0
    return mask.astype(np.float32)


def centre_of_mass(kernel: jax.Array) -> jax.Array:
    """Rows and columns [2] of a kernel's centre of mass."""
    axis = jnp.arange(kernel.shape[0], dtype=kernel.dtype)
    return jnp.stack([(kernel.sum(axis=1) * axis).sum(), (kernel.sum(axis=0) * axis).sum()]) / kernel.sum()
