"""The kernel code: a kernel's projection on a few principal components (SRMD, CVPR 2018, section 3.2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from blindsr_jax.degradations.kernels import isotropic_gaussian
from blindsr_jax.errors import InputError
from blindsr_jax.ops.arguments import check_floating

_TYPICAL_WIDTH = 2.0


def pca_basis(kernels: npt.ArrayLike, length: int) -> np.ndarray:
    """Compute the first principal directions of a set of kernels: left singular vectors of the centred matrix [K², N].

    The sign of each direction is arbitrary. Here the entry of largest magnitude is positive, so that the basis depends
    on the kernels alone. The function runs in NumPy and float64, once per training, outside jit.

    Args:
      kernels: [N, K, K].
      length: L, at most min(K², N).

    Returns:
      float32 [K², L] with orthonormal columns.

    Raises:
      InputError: length is not in 1 … min(K², N).
    """
    stack = np.asarray(kernels, np.float64)
    matrix = stack.reshape(len(stack), -1)
    check_floating("kernels", matrix)
    if not 1 <= length <= min(matrix.shape):
        raise InputError(
            f"length must be 1 to {min(matrix.shape)} for kernels of shape {np.shape(kernels)}, got {length}"
        )
    centred = matrix - matrix.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    basis = vectors[:, ::-1][:, :length]
    signs = np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(length)])
    return np.ascontiguousarray(basis * signs, np.float32)


def encode(kernel: jax.Array, basis: jax.Array) -> jax.Array:
    """Encode a kernel as its inner products with the basis. As in DAN, the mean kernel is NOT subtracted.

    Args:
      kernel: [..., K, K].
      basis: [K², L].

    Returns:
      [..., L].

    Raises:
      InputError: the kernels are of another size than the basis, or not finite.
    """
    size = round(basis.shape[0] ** 0.5)
    if kernel.shape[-2:] != (size, size):
        raise InputError(f"the basis is of {size}x{size} kernels, got kernels of shape {kernel.shape}")
    check_floating("kernel", kernel)
    flat = kernel.reshape(*kernel.shape[:-2], -1)
    return jnp.matmul(flat, basis, precision=jax.lax.Precision.HIGHEST)


def decode(code: jax.Array, basis: jax.Array) -> jax.Array:
    """Decode a code to a kernel.

    Principal directions of kernels that all sum to one sum to zero, so a code does not describe the part that all
    kernels share: k ≈ B·code + (I − BBᵀ)m for any kernel m of the family that the basis was made from. Because codes
    come without their family's mean, m is a round Gaussian of width 2, which every isotropic setting contains. The
    error in ℓ1 is then 1e-3 for isotropic settings; for anisotropic ones the result is within 0.03 of decoding with the
    true mean.

    Args:
      code: [..., L].
      basis: [K², L].

    Returns:
      [..., K, K], summing to one, possibly slightly negative: see ``normalize_kernel``.

    Raises:
      InputError: the codes are of another length than the basis, or not finite.
    """
    size = round(basis.shape[0] ** 0.5)
    if code.shape[-1:] != basis.shape[1:]:
        raise InputError(f"the basis is of codes of length {basis.shape[1]}, got codes of shape {code.shape}")
    dtype = jnp.promote_types(check_floating("code", code).dtype, basis.dtype)
    typical = isotropic_gaussian(_TYPICAL_WIDTH, size).astype(dtype)
    shift = code - encode(typical, basis).reshape((1,) * (code.ndim - 1) + (-1,))
    flat = jnp.matmul(shift, basis.T, precision=jax.lax.Precision.HIGHEST)
    return flat.reshape(*code.shape[:-1], size, size) + typical.reshape((1,) * (code.ndim - 1) + typical.shape)
