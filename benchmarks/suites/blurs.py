"""Per-sample blur, other ways than ``ops.blur`` computes it; borders are reflected."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from blindsr_jax import ops


def grouped_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """One convolution with a group per image; colours as its batch."""
    weights = kernel.transpose(1, 2, 0)[:, :, None, :]
    y = jax.lax.conv_general_dilated(
        _padded(x, kernel).transpose(3, 1, 2, 0),
        weights,
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[0],
    )
    return y.transpose(3, 1, 2, 0)


def mapped_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """vmap of a convolution of one image with one kernel."""

    def one(image: jax.Array, weights: jax.Array) -> jax.Array:
        image = image.transpose(2, 0, 1)[:, None]
        return jax.lax.conv_general_dilated(image, weights[None, None], (1, 1), "VALID")[:, 0].transpose(1, 2, 0)

    return jax.vmap(one)(_padded(x, kernel), kernel)


def fourier(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Product of spectra; needs all-gathers when the batch is sharded."""
    padded = _padded(x, kernel).transpose(0, 3, 1, 2)
    shape = padded.shape[2:]
    spectrum = jnp.fft.rfft2(padded) * jnp.conj(jnp.fft.rfft2(kernel, shape))[:, None]
    return jnp.fft.irfft2(spectrum, shape)[:, :, : x.shape[1], : x.shape[2]].transpose(0, 2, 3, 1)


def _padded(x: jax.Array, kernel: jax.Array) -> jax.Array:
    pad = kernel.shape[-1] // 2
    return jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")


WAYS = {
    "shifted reads (ops.blur)": ops.blur,
    "grouped convolution": grouped_convolution,
    "vmap of convolution": mapped_convolution,
    "FFT": fourier,
}
