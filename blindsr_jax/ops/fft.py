"""Operators that are diagonal in the Fourier domain: the closed forms of USRNet, DPIR and KernelNet.

Some versions of XLA gather a sharded batch before an FFT. ``per_shard`` avoids this.
"""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # loads its submodules on first use
from jax.sharding import Mesh, PartitionSpec

from blindsr_jax.errors import InputError
from blindsr_jax.ops import dft
from blindsr_jax.ops.arguments import as_floating, check_floating, check_images, check_kernels, check_range, known
from blindsr_jax.ops.blur import normalize_kernel
from blindsr_jax.ops.resize import s_fold_down, s_fold_up
from blindsr_jax.ops.symbolic import is_symbolic


def psf_to_otf(kernel: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Compute the optical transfer function of a point-spread function, like MATLAB's ``psf2otf``.

    The kernel is padded with zeros to the image size and rolled by −⌊K/2⌋ on each axis, which moves its central pixel
    to the origin. Multiplying the spectrum of an image by the result convolves the image circularly. This is the only
    function that takes a convolution kernel. Flip a kernel for ``blur``, which correlates, on both axes first.

    Args:
      kernel: [..., K, K]; the two sides may differ.
      shape: height and width of the image.

    Returns:
      Complex [..., H, W], with frequencies in the order of ``fft2``.

    Raises:
      InputError: the kernel is larger than the image.

    >>> psf_to_otf(jnp.zeros((3, 3)).at[1, 1].set(1.0), (4, 4)).real.mean().item()
    1.0
    """
    height, width = shape
    rows, columns = kernel.shape[-2:]
    if rows > height or columns > width:
        raise InputError(f"a {rows}x{columns} kernel is larger than the {height}x{width} image")
    check_floating("kernel", kernel)
    leading = [(0, 0)] * (kernel.ndim - 2)
    padded = jnp.pad(kernel, [*leading, (0, height - rows), (0, width - columns)])
    return jnp.fft.fft2(jnp.roll(padded, (-(rows // 2), -(columns // 2)), axis=(-2, -1)))


def data_solution(x: jax.Array, lr: jax.Array, kernel: jax.Array, alpha: jax.Array | float, s: int) -> jax.Array:
    """Solve the data step exactly: argmin_z ‖lr − (z ⊗ k)↓s‖² + α‖z − x‖².

    The blur is ``blur(…, "circular")`` and the sampling is ``s_fold_down``. Let A be the blur followed by the sampling.
    Then z = x + Aᵀ(AAᵀ + α)⁻¹(lr − Ax). AAᵀ is a circular blur of the LR image. Its transfer function is the mean of
    |F(k)|² over the s×s blocks of frequencies that the sampling folds together (Zhao et al., TIP 2016; USRNet, CVPR
    2020, section 3.2). USRNet's form of the solution subtracts two numbers that agree to within α and divides the
    difference by α. The form used here stays precise for small α.

    Args:
      x: [B, s·H, s·W, C], the prior image.
      lr: [B, H, W, C].
      kernel: [B, K, K], or [1, K, K] shared by all images; a correlation kernel as for ``blur``, with odd K.
      alpha: weight of the prior, positive; a number, or [B] with one for each image.
      s: scale factor.

    Returns:
      [B, s·H, s·W, C]. Differentiable in all arrays.

    Raises:
      InputError: the sizes do not match, or the kernel is even-sized, not square or larger than the image.
    """
    _check_sizes(x, lr, kernel, s)
    check_range("alpha", alpha, float(np.finfo(np.float32).tiny))
    if jnp.finfo(x.dtype).bits < 32:  # an FFT wants more, as does the inversion of a blur
        wide_x, wide_lr, wide_kernel = (array.astype(jnp.float32) for array in (x, lr, kernel))
        return data_solution(wide_x, wide_lr, wide_kernel, alpha, s).astype(x.dtype)
    height, width = x.shape[1:3]
    transfer = psf_to_otf(jnp.flip(jnp.asarray(kernel, x.dtype), (1, 2)), (height, width))
    power = jnp.square(transfer.real) + jnp.square(transfer.imag)
    folded = power.reshape(-1, s, height // s, s, width // s).mean(axis=(1, 3))
    alpha = jnp.reshape(jnp.asarray(alpha, x.dtype), (-1, 1, 1, 1))

    half = transfer[:, :, : width // 2 + 1, None]  # real images: the other half of the spectrum is its conjugate
    residual = lr - s_fold_down(_filter(x, half), s)
    correction = _filter(residual, 1 / (folded[:, :, : width // s // 2 + 1, None] + alpha))
    return x + _filter(s_fold_up(correction, s), half.conj())


def constrained_least_squares(x: jax.Array, kernel: jax.Array, smoothness: jax.Array) -> jax.Array:
    """Deblur each channel with a smoothness filter of its own, by constrained least squares, as DCLS does.

    The solution minimises ‖y ⊗ k − x‖² + ‖y ⊗ P‖² with circular borders: F(y) = conj F(k) F(x) / (|F(k)|² + |F(P)|²).
    Nothing is added to the denominator, so it must not vanish at any frequency.

    Args:
      x: [B, H, W, C].
      kernel: [B, K, K], or [1, K, K] shared by all images; a correlation kernel as for ``blur``, with odd K.
      smoothness: P, [B, p, p, C] or [1, p, p, C].

    Returns:
      [B, H, W, C]. Differentiable in all arrays.

    Raises:
      InputError: the kernel is even-sized, not square or larger than the image.
    """
    x, kernel = as_floating(check_images("x", x)), as_floating(check_kernels(kernel, len(x)))
    height, width = x.shape[1:3]
    half = width // 2 + 1
    transfer = psf_to_otf(jnp.flip(kernel, (1, 2)), (height, width))[:, :, :half, None]
    penalty = psf_to_otf(jnp.moveaxis(smoothness, -1, 1), (height, width))[..., :half]
    power = jnp.square(transfer.real) + jnp.square(transfer.imag)
    power += jnp.moveaxis(jnp.square(penalty.real) + jnp.square(penalty.imag), 1, -1)
    spectrum = transfer.conj() * jnp.fft.rfft2(x, axes=(1, 2)) / power.astype(transfer.dtype)
    return jnp.fft.irfft2(spectrum, (height, width), axes=(1, 2))


def kernel_least_squares(
    sharp: jax.Array, blurred: jax.Array, lam: float, size: int, *, normalize: bool = True
) -> jax.Array:
    """Solve for the blur between two gradient fields by regularised least squares (KernelNet eq. 10 and 11, FFT-1).

    The solution minimises Σ_c ‖blurred_c − sharp_c ⊗ k‖² + λ‖k‖² over all kernels as large as the image, with circular
    borders: F(k) = Σ_c F(sharp_c) conj F(blurred_c) / (Σ_c |F(sharp_c)|² + λ). The paper prints F(·)² in the
    denominator but means the squared modulus. It conjugates the other factor because its ⊗ is a convolution; here ⊗ is
    the correlation that ``blur`` computes. The central window of the solution is clipped and normalised.

    Args:
      sharp: [B, H, W, C], the sharp gradients; the C directions share one kernel.
      blurred: [B, H, W, C], the same gradients after the blur.
      lam: λ, positive. The data term is a sum over all pixels, so twice the pixels need twice the λ.
      size: K, side of the window, odd and no larger than the image.
      normalize: clip negative weights and scale to sum to one; otherwise return the window of the bare solution.

    Returns:
      [B, K, K], the correlation kernel. All zeros if the gradients determine nothing, as for flat images.

    Raises:
      InputError: λ is not positive, the shapes differ, or the window is even or larger than the image.

    >>> sharp = jax.random.normal(jax.random.key(0), (1, 16, 16, 2))
    >>> to_the_right = jnp.roll(sharp, 1, axis=2)  # the result of ``blur`` with a weight left of the centre
    >>> [round(float(w), 2) for w in kernel_least_squares(sharp, to_the_right, 1e-3, 3)[0, 1]]
    [1.0, 0.0, 0.0]
    """
    if known(lam) is not None and not lam > 0:
        raise InputError(f"lam must be positive, or the division is undefined where an image is flat; got {lam}")
    if sharp.ndim != 4 or sharp.shape != blurred.shape:
        raise InputError(f"sharp and blurred must be [B, H, W, C] of one shape, got {sharp.shape} and {blurred.shape}")
    _check_odd("size", size)
    sharp, blurred = (as_floating(check_images(name, x)) for name, x in (("sharp", sharp), ("blurred", blurred)))
    height, width = sharp.shape[1:3]
    if size > height or size > width:
        raise InputError(f"a {size}x{size} kernel does not fit in a {height}x{width} image: use a smaller window")
    if is_symbolic(height, width):
        window = _window_without_fft(sharp, blurred, lam, size)
        return normalize_kernel(window) if normalize else window
    sharp_f, blurred_f = (jnp.fft.rfft2(x, axes=(1, 2)) for x in (sharp, blurred))
    cross = (sharp_f * blurred_f.conj()).sum(axis=-1)
    power = (jnp.square(sharp_f.real) + jnp.square(sharp_f.imag)).sum(axis=-1)
    kernel = jnp.fft.irfft2(cross / (power + lam).astype(cross.dtype), s=(height, width), axes=(1, 2))
    window = jnp.roll(kernel, (size // 2, size // 2), axis=(1, 2))[:, :size, :size]
    return normalize_kernel(window) if normalize else window


def _window_without_fft(sharp: jax.Array, blurred: jax.Array, lam: jax.Array | float, size: int) -> jax.Array:
    """Compute the window of ``kernel_least_squares`` for images whose sides are symbols."""
    s, b = (dft.transform(x, (x.shape[1], x.shape[2])) for x in (sharp, blurred))
    power = s.power().sum(axis=-1, keepdims=True) + lam
    real = (s.real * b.real + s.imag * b.imag).sum(axis=-1, keepdims=True) / power
    imag = (s.imag * b.real - s.real * b.imag).sum(axis=-1, keepdims=True) / power
    return dft.central_window(dft.Spectrum(real, imag), size)[..., 0]


def circular_gradients(x: jax.Array) -> jax.Array:
    """Forward differences to the right and down with circular borders: [B, H, W, 1] to [B, H, W, 2]."""
    check_images("x", x)
    return jnp.concatenate([jnp.roll(x, -1, axis=axis) - x for axis in (2, 1)], axis=-1)


def gradient_solver(blurred: jax.Array, kernel: jax.Array) -> typing.Callable[[jax.Array, jax.Array], jax.Array]:
    """Return a function that deblurs an image given its approximate sharp gradients (Xu et al., CVPR 2013, eq. 8).

    The paper is "Unnatural L0 sparse representation for natural image deblurring". The function solves
    argmin_x ‖x ⊗ k − blurred‖² + β‖∇x − g‖² with circular borders, where ∇ is ``circular_gradients``:
    F(x) = (conj F(k) F(blurred) + β Σ_c conj F(∂_c) F(g_c)) / (|F(k)|² + β Σ_c |F(∂_c)|²). Transforms that do not
    depend on g or β are computed once.

    Args:
      blurred: [B, H, W, 1].
      kernel: [B, K, K], or [1, K, K] shared by all images; a correlation kernel summing to one, with odd K.

    Returns:
      A function (g [B, H, W, 2], positive β) -> x [B, H, W, 1].
    """
    blurred, kernel = as_floating(check_images("blurred", blurred)), as_floating(check_kernels(kernel, len(blurred)))
    height, width = blurred.shape[1:3]
    half = width // 2 + 1
    transfer = psf_to_otf(jnp.flip(kernel, (1, 2)), (height, width))[:, :, :half, None]
    explained = transfer.conj() * jnp.fft.rfft2(blurred, axes=(1, 2))
    power = jnp.square(transfer.real) + jnp.square(transfer.imag)
    rows, columns = (2 - 2 * jnp.cos(2 * jnp.pi * jnp.arange(n, dtype=blurred.dtype) / n) for n in (height, width))
    slope = (rows[:, None] + columns[None, :half])[None, :, :, None].astype(blurred.dtype)  # Σ_c |F(∂_c)|²

    def solve(gradients: jax.Array, weight: jax.Array) -> jax.Array:
        gradients, weight = as_floating(gradients), as_floating(weight)
        right, below = gradients[..., :1], gradients[..., 1:]
        adjoint = jnp.roll(right, 1, axis=2) - right + jnp.roll(below, 1, axis=1) - below
        found = weight.astype(explained.dtype) * jnp.fft.rfft2(adjoint, axes=(1, 2))
        spectrum = (explained + found) / (power + weight * slope).astype(explained.dtype)
        return jnp.fft.irfft2(spectrum, (height, width), axes=(1, 2))

    return solve


def self_convolve(kernel: jax.Array, times: int, *, size: int | None = None) -> jax.Array:
    """Convolve 2^times copies of a kernel with each other (KernelNet algorithm 1, FFT-2).

    Each squaring of the Fourier transform doubles the variance, so the width grows by √(2^times). Zero padding keeps
    the result from wrapping into its window.

    Args:
      kernel: [B, K, K], with odd K, centred on its central pixel.
      times: number of squarings, not negative.
      size: side of the window that is returned, odd; K by default. The full result has 2^times · (K − 1) + 1 pixels
        per side. It is cropped to the window before the weights are scaled to sum to one.

    Returns:
      [B, size, size], non-negative, summing to one; all zeros for a zero kernel.

    Raises:
      InputError: the kernel is not square, a size is even, or ``times`` is negative.

    >>> two_pixels = jnp.zeros((1, 3, 3)).at[0, 1, 1:].set(0.5)
    >>> [round(float(w), 4) for w in self_convolve(two_pixels, 1)[0, 1]]
    [0.0, 0.3333, 0.6667]
    """
    if kernel.ndim != 3 or kernel.shape[1] != kernel.shape[2]:
        raise InputError(f"kernel must be [B, K, K], got shape {kernel.shape}")
    if times < 0:
        raise InputError(f"times must be 0 or more, got {times}")
    kernel = as_floating(check_floating("kernel", kernel))
    inner, outer = kernel.shape[1], size or kernel.shape[1]
    _check_odd("the kernel's size", inner)
    _check_odd("size", outer)
    # Wrapped values enter from the far side and must not reach the window.
    length = scipy.fft.next_fast_len(2**times * (inner // 2) + outer // 2 + 1, real=True)
    length = max(length, inner, outer)
    if is_symbolic(*kernel.shape):
        spectrum = dft.transform(kernel[..., None], (length, length), inner // 2)
        for _ in range(times):
            spectrum = spectrum.squared()
        return normalize_kernel(dft.central_window(spectrum, outer)[..., 0])
    padded = jnp.pad(kernel, ((0, 0), (0, length - inner), (0, length - inner)))
    transform = jnp.fft.rfft2(jnp.roll(padded, (-(inner // 2),) * 2, axis=(1, 2)))
    for _ in range(times):
        transform = transform * transform
    result = jnp.fft.irfft2(transform, s=(length, length))
    return normalize_kernel(jnp.roll(result, (outer // 2,) * 2, axis=(1, 2))[:, :outer, :outer])


Function = typing.Callable[..., typing.Any]


def per_shard(function: Function, mesh: Mesh) -> Function:
    """Run a function of a batch on each device's images without communication.

    To compute an FFT, XLA gathers the whole batch on every device (seen with jax 0.10, not with 0.12), although images
    do not depend on each other. ``jax.shard_map`` prevents that.

    Args:
      function: takes and returns arrays whose first axis is the batch; no image may depend on another. It may close
        over arrays that are replicated on every device, such as parameters, and be differentiated with respect to them.
      mesh: has an axis ``data`` that divides the batch evenly.

    Returns:
      A function of the same positional arguments: arrays, or trees of arrays, all [B, ...].
    """
    batch = PartitionSpec("data")
    # check_vma would reject loops that start from constants, such as zeros.
    return jax.shard_map(function, mesh=mesh, in_specs=batch, out_specs=batch, check_vma=False)


def _filter(x: jax.Array, transfer: jax.Array) -> jax.Array:
    """Apply a circular filter, given its transfer function over half the frequencies [B, H, W // 2 + 1, 1]."""
    spectrum = jnp.fft.rfft2(x, axes=(1, 2))
    spectrum *= transfer.astype(spectrum.dtype)
    return jnp.fft.irfft2(spectrum, x.shape[1:3], axes=(1, 2))


def _check_sizes(x: jax.Array, lr: jax.Array, kernel: jax.Array, s: int) -> None:
    batch, height, width, channels = check_images("lr", lr).shape
    if x.shape != (batch, height * s, width * s, channels):
        raise InputError(f"for LR images {lr.shape} at scale {s}, x must be {s} times larger, got shape {x.shape}")
    check_images("x", x)
    check_kernels(kernel, batch)


def _check_odd(name: str, size: int) -> None:
    if size < 1 or size % 2 == 0:
        raise InputError(f"{name} must be odd and positive, since a kernel needs a central pixel; got {size}")
