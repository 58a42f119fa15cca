"""Operators that are diagonal in the Fourier domain.

Under data parallelism, call them inside ``jax.shard_map`` over the mesh axis ``data``: each device then transforms its
own images. XLA does not always cut an FFT along the batch by itself: with jax 0.10 each device gathers the whole batch.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import scipy.fft

from blindsr_jax.ops.blur import normalize_kernel


def kernel_least_squares(
    sharp: jax.Array, blurred: jax.Array, lam: float, size: int, *, normalize: bool = True
) -> jax.Array:
    """The blur between two gradient fields, by regularised least squares (KernelNet eq. 10 and 11: its FFT-1).

    Minimises Σ_c ‖blurred_c − sharp_c ⊗ k‖² + λ‖k‖² over all kernels as large as the image, with circular borders.
    The minimum is F(k) = Σ_c F(sharp_c) conj F(blurred_c) / (Σ_c |F(sharp_c)|² + λ). The paper prints F(·)² in the
    denominator, where the squared modulus is meant, and conjugates the other factor, since its ⊗ is a convolution; ours
    is the correlation that ``blur`` computes. Of that kernel the central window is kept, clipped and normalised.

    Args:
      sharp: [B, H, W, C], the sharp gradients; C directions that share one kernel.
      blurred: [B, H, W, C], the same gradients after the blur.
      lam: λ, positive. It weighs against sums over all pixels, so that twice the pixels want twice the λ.
      size: K, side of the window, odd and no larger than the image.
      normalize: clip negative weights and scale to sum one; otherwise the bare solution in the window.

    Returns:
      [B, K, K], the correlation kernel. All zeros where nothing can be known, as from flat images.

    Raises:
      ValueError: λ is not positive, the shapes differ, or the window is even or larger than the image.

    >>> sharp = jax.random.normal(jax.random.key(0), (1, 16, 16, 2))
    >>> to_the_right = jnp.roll(sharp, 1, axis=2)  # what ``blur`` makes with a weight left of the centre
    >>> [round(float(w), 2) for w in kernel_least_squares(sharp, to_the_right, 1e-3, 3)[0, 1]]
    [1.0, 0.0, 0.0]
    """
    if not lam > 0:
        raise ValueError(f"lam must be positive, or the division is undefined where an image is flat; got {lam}")
    if sharp.ndim != 4 or sharp.shape != blurred.shape:
        raise ValueError(f"gradient fields [B, H, W, C] of one shape are wanted, got {sharp.shape}, {blurred.shape}")
    _check_odd("size", size)
    height, width = sharp.shape[1:3]
    if size > min(height, width):
        raise ValueError(f"a {size}x{size} kernel cannot be found in a {height}x{width} image: take a smaller window")
    sharp_f, blurred_f = (jnp.fft.rfft2(x, axes=(1, 2)) for x in (sharp, blurred))
    cross = (sharp_f * blurred_f.conj()).sum(axis=-1)
    power = (jnp.square(sharp_f.real) + jnp.square(sharp_f.imag)).sum(axis=-1)
    kernel = jnp.fft.irfft2(cross / (power + lam), s=(height, width), axes=(1, 2))
    window = jnp.roll(kernel, (size // 2, size // 2), axis=(1, 2))[:, :size, :size]
    return normalize_kernel(window) if normalize else window


def self_convolve(kernel: jax.Array, times: int, *, size: int | None = None) -> jax.Array:
    """A kernel convolved with itself until it has been used 2^times times (KernelNet algorithm 1: its FFT-2).

    Each squaring of the Fourier transform doubles the variance: the width grows by √(2^times). Zeros around the kernel
    keep the result from wrapping into its window.

    Args:
      kernel: [B, K, K], odd K, centred on its central pixel.
      times: number of squarings, not negative.
      size: side of the result's window, odd; K if it is not given. The whole result has 2^times · (K − 1) + 1 pixels a
        side; what lies outside the window is cut before the weights are scaled to sum one.

    Returns:
      [B, size, size], non-negative, summing to one; all zeros for a kernel that is.

    Raises:
      ValueError: the kernel is not square, a size even, or ``times`` negative.

    >>> two_pixels = jnp.zeros((1, 3, 3)).at[0, 1, 1:].set(0.5)
    >>> [round(float(w), 4) for w in self_convolve(two_pixels, 1)[0, 1]]
    [0.0, 0.3333, 0.6667]
    """
    if kernel.ndim != 3 or kernel.shape[1] != kernel.shape[2]:
        raise ValueError(f"kernels [B, K, K] are wanted, got shape {kernel.shape}")
    if times < 0:
        raise ValueError(f"times must be 0 or more, got {times}")
    inner, outer = kernel.shape[1], size or kernel.shape[1]
    _check_odd("the kernel's size", inner)
    _check_odd("size", outer)
    # What wraps around arrives from the far side, and must not reach the window.
    length = scipy.fft.next_fast_len(2**times * (inner // 2) + outer // 2 + 1, real=True)
    length = max(length, inner, outer)
    padded = jnp.pad(kernel, ((0, 0), (0, length - inner), (0, length - inner)))
    transform = jnp.fft.rfft2(jnp.roll(padded, (-(inner // 2),) * 2, axis=(1, 2)))
    for _ in range(times):
        transform = transform * transform
    result = jnp.fft.irfft2(transform, s=(length, length))
    return normalize_kernel(jnp.roll(result, (outer // 2,) * 2, axis=(1, 2))[:, :outer, :outer])


def _check_odd(what: str, size: int) -> None:
    if size < 1 or size % 2 == 0:
        raise ValueError(f"{what} must be odd and positive, so that there is a central pixel; got {size}")
