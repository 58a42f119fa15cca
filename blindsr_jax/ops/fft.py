"""Blur in the Fourier domain: transfer functions, and the closed-form data step of the non-blind solvers."""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from blindsr_jax.ops.resize import s_fold_down, s_fold_up


def psf_to_otf(kernel: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """The optical transfer function of a point-spread function, as MATLAB's ``psf2otf``.

    The kernel is padded with zeros to the image's size and rolled by −⌊K/2⌋ on each axis, so that its central pixel
    comes to the origin. This is the one function that takes a convolution kernel: multiplying an image's spectrum by
    the result convolves the image circularly. The kernel that ``blur`` correlates with has to be flipped on both axes
    first.

    Args:
      kernel: [..., K, K], or any two sizes.
      shape: height and width of the image.

    Returns:
      Complex [..., H, W], as ``fft2`` orders frequencies.

    Raises:
      ValueError: the kernel is larger than the image.

    >>> psf_to_otf(jnp.zeros((3, 3)).at[1, 1].set(1.0), (4, 4)).real.mean().item()
    1.0
    """
    height, width = shape
    rows, columns = kernel.shape[-2:]
    if rows > height or columns > width:
        raise ValueError(f"a {rows}x{columns} kernel is larger than the {height}x{width} image")
    leading = [(0, 0)] * (kernel.ndim - 2)
    padded = jnp.pad(kernel, [*leading, (0, height - rows), (0, width - columns)])
    return jnp.fft.fft2(jnp.roll(padded, (-(rows // 2), -(columns // 2)), axis=(-2, -1)))


def data_solution(x: jax.Array, lr: jax.Array, kernel: jax.Array, alpha: jax.Array | float, s: int) -> jax.Array:
    """The image that explains the LR image and stays close to a prior one: argmin_z ‖lr − (z ⊗ k)↓s‖² + α‖z − x‖².

    The blur is ``blur(…, "circular")`` and the sampling ``s_fold_down``; the minimum is exact. Formula: with A the two
    together, z = x + Aᵀ(AAᵀ + α)⁻¹(lr − Ax). AAᵀ is itself a circular blur, of the LR image: its transfer function is
    the mean of |F(k)|² over the s×s blocks of frequencies that the sampling folds together (Zhao et al., TIP 2016;
    USRNet, CVPR 2020, section 3.2). USRNet's form of the same solution subtracts two numbers that agree to within α and
    divides by α; this one keeps its precision when α is small.

    Under ``jit``, FFTs of a batch that is split over devices make some versions of XLA gather it: see ``per_shard``.

    Args:
      x: [B, s·H, s·W, C], the prior image.
      lr: [B, H, W, C].
      kernel: [B, K, K], or [1, K, K] for all images; a correlation kernel as for ``blur``, K odd.
      alpha: weight of the prior, above zero; a number, or [B], one for each image.
      s: scale factor.

    Returns:
      [B, s·H, s·W, C]. Differentiable in all arrays.

    Raises:
      ValueError: the sizes do not belong together, or the kernel is even-sized, not square or larger than the image.
    """
    _check_sizes(x, lr, kernel, s)
    height, width = x.shape[1:3]
    transfer = psf_to_otf(jnp.flip(kernel.astype(x.dtype), (1, 2)), (height, width))
    power = jnp.square(transfer.real) + jnp.square(transfer.imag)
    folded = power.reshape(-1, s, height // s, s, width // s).mean(axis=(1, 3))
    alpha = jnp.reshape(jnp.asarray(alpha, x.dtype), (-1, 1, 1, 1))

    half = transfer[:, :, : width // 2 + 1, None]  # real images: the other half of the spectrum follows
    residual = lr - s_fold_down(_filter(x, half), s)
    correction = _filter(residual, 1 / (folded[:, :, : width // s // 2 + 1, None] + alpha))
    return x + _filter(s_fold_up(correction, s), half.conj())


Function = typing.Callable[..., typing.Any]


def per_shard(function: Function, mesh: Mesh) -> Function:
    """The same function of a batch, computed by each device on the images that it holds, without any communication.

    XLA gathers the whole batch on every device to transform it (seen with jax 0.10, not with 0.12), although the
    images of a batch do not depend on each other. ``jax.shard_map`` says so.

    Args:
      function: of arrays whose first axis is the batch, returning such; no image may depend on another. It may close
        over arrays that are whole on every device, such as a network's parameters, and be differentiated by them.
      mesh: one with an axis ``data`` that divides the batch evenly.

    Returns:
      A function of the same positional arguments: arrays, or trees of them, all [B, ...].
    """
    batch = PartitionSpec("data")
    # The check would refuse loops that start from constants, such as zeros.
    return jax.shard_map(function, mesh=mesh, in_specs=batch, out_specs=batch, check_vma=False)


def _filter(x: jax.Array, transfer: jax.Array) -> jax.Array:
    """A circular filter by its transfer function over half the frequencies, [B, H, W // 2 + 1, 1]."""
    spectrum = jnp.fft.rfft2(x, axes=(1, 2)) * transfer
    return jnp.fft.irfft2(spectrum, x.shape[1:3], axes=(1, 2))


def _check_sizes(x: jax.Array, lr: jax.Array, kernel: jax.Array, s: int) -> None:
    batch, height, width, channels = lr.shape
    if x.shape != (batch, height * s, width * s, channels):
        raise ValueError(f"for LR images {lr.shape} at scale {s}, x must be {s} times larger; its shape is {x.shape}")
    if kernel.ndim != 3 or kernel.shape[1] != kernel.shape[2] or kernel.shape[1] % 2 == 0:
        raise ValueError(f"kernel must be [B, K, K] with odd K, got shape {kernel.shape}")
    if kernel.shape[0] not in (1, batch):
        raise ValueError(f"{kernel.shape[0]} kernels for {batch} images: give one each, or one for all")
