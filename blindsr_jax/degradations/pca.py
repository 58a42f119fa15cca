"""The kernel code: a kernel in the few numbers of its principal components (SRMD, CVPR 2018, section 3.2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt


def pca_basis(kernels: npt.ArrayLike, length: int) -> np.ndarray:
    """First principal directions of a set of kernels: left singular vectors of the centred matrix [K², N].

    A sign is free in each direction; here the entry of largest magnitude is positive, so that a basis depends on the
    kernels alone. Runs in NumPy and float64, once per training, outside jit.

    Args:
      kernels: [N, K, K].
      length: L, at most min(K², N).

    Returns:
      float32 [K², L] with orthonormal columns.

    Raises:
      ValueError: length is not in 1 … min(K², N).
    """
    matrix = np.asarray(kernels, np.float64).reshape(len(kernels), -1)
    if not 1 <= length <= min(matrix.shape):
        raise ValueError(f"length must be 1 to {min(matrix.shape)} for kernels of shape {np.shape(kernels)}, got {length}")
    centred = matrix - matrix.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    basis = vectors[:, ::-1][:, :length]
    signs = np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(length)])
    return np.ascontiguousarray(basis * signs, np.float32)


def encode(kernel: jax.Array, basis: jax.Array) -> jax.Array:
    """Code of a kernel: its inner products with the basis. As in DAN, the mean kernel is NOT subtracted.

    Args:
      kernel: [..., K, K].
      basis: [K², L].

    Returns:
      [..., L].
    """
    flat = kernel.reshape(*kernel.shape[:-2], -1)
    return jnp.matmul(flat, basis, precision=jax.lax.Precision.HIGHEST)


def decode(code: jax.Array, basis: jax.Array) -> jax.Array:
    """The kernel that a code stands for: the adjoint of ``encode``, hence the projection onto the basis.

    The result may be slightly negative and need not sum to one: see ``normalize_kernel``.

    Args:
      code: [..., L].
      basis: [K², L].

    Returns:
      [..., K, K].
    """
    size = int(round(basis.shape[0] ** 0.5))
    flat = jnp.matmul(code, basis.T, precision=jax.lax.Precision.HIGHEST)
    return flat.reshape(*code.shape[:-1], size, size)
