"""Layers shared by several models. Padding is always explicit and symmetric, as in PyTorch."""

from __future__ import annotations

import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.dtypes import promote_dtype

from blindsr_jax.networks.bands import across
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.parameters import Parametric, torch_uniform
from blindsr_jax.networks.region import Region, mask_outside, mean, valid_size
from blindsr_jax.ops.pixel import pixel_shuffle
from blindsr_jax.ops.resize import imresize, upsample_nearest

MEAN_COLOUR = (0.4488, 0.4371, 0.4040)  # of DIV2K, as EDSR and its successors subtract it
_PLAIN = Compute()


class Conv(Parametric):
    """A square convolution that computes as ``compute`` says.

    Attributes:
      features: output channels.
      size: side of the kernel.
      stride: in pixels.
      padding: number of zeros on every side.
      use_bias: add a bias.
      kernel_init: initialiser of the weights.
      initial_bias: initial value of the bias.
      last: whether this is the last convolution before a kernel or a code, which always is in float32.
      compute: see ``networks.compute``.
    """

    features: int
    size: int
    stride: int
    padding: int
    use_bias: bool
    kernel_init: nn.initializers.Initializer
    initial_bias: float
    last: bool
    compute: Compute

    @nn.compact
    def __call__(self, x: jax.Array, region: Region | None = None) -> jax.Array:
        """Map [B, H, W, C] to [B, H', W', features]. The region refers to the result, which is zero outside images."""
        compute, dtype = self.compute, None if self.last else self.compute.dtype
        shape = self.size, self.size, x.shape[-1], self.features
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        x, kernel = promote_dtype(x, kernel, dtype=dtype)
        padding = ((self.padding, self.padding),) * 2
        y = across(lambda x: compute.convolve(x, kernel, padding, self.stride), x, region, self.size // 2)
        if self.use_bias:  # in float32, see ``networks.compute``
            initial = nn.initializers.constant(self.initial_bias)
            y = y + self.param("bias", initial, (self.features,), jnp.float32).reshape(1, 1, 1, -1)
        return mask_outside(y if dtype is None else y.astype(dtype), region)


def conv(
    features: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int | None = None,
    bias: bool = True,
    kernel_init: nn.initializers.Initializer = torch_uniform,
    initial_bias: float = 0.0,
    last: bool = False,
    compute: Compute = _PLAIN,
    name: str | None = None,
) -> Conv:
    """Return a square convolution with ``padding`` zeros on every side; by default the size is kept at stride 1.

    For the other arguments see ``Conv``.
    """
    padding = kernel // 2 if padding is None else padding
    return Conv(features, kernel, stride, padding, bias, kernel_init, initial_bias, last, compute, name=name)


def lrelu(x: jax.Array, slope: float = 0.2) -> jax.Array:
    """Leaky ReLU; 0.2 is the slope of DAN and DSSR."""
    return nn.leaky_relu(x, slope)


def mean_colour(like: jax.Array) -> jax.Array:
    """Return the mean colour of DIV2K, [1, 1, 1, 3] in [0, 1], in the type of an array."""
    return jnp.asarray(MEAN_COLOUR, like.dtype).reshape(1, 1, 1, 3)


class ResidualBlock(nn.Module):
    """x + w·conv(lrelu(conv(x))), 3×3 convolutions.

    Attributes:
      slope: slope of the leaky ReLU.
      weight: w.
      compute: see ``networks.compute``.
    """

    slope: float = 0.2
    weight: float = 1.0
    compute: Compute = Compute()
    in_bands: typing.ClassVar[bool] = True  # see ``networks.bands``

    @nn.compact
    def __call__(self, x: jax.Array, region: Region | None = None) -> jax.Array:
        y = lrelu(conv(x.shape[-1], 3, compute=self.compute, name="conv1")(x, region), self.slope)
        return x + self.weight * conv(x.shape[-1], 3, compute=self.compute, name="conv2")(y, region)


class ChannelAttention(nn.Module):
    """Squeeze-and-excitation gate (RCAN, ECCV 2018, section 3.3): x · sigmoid(conv(lrelu(conv(mean(x))))).

    The mean is taken over the image. For a network that sees only a tile, pass the means of the whole image as the
    collection ``means``. With ``mutable=["means"]``, a network returns the means of its input in that collection.

    Attributes:
      reduction: the bottleneck has channels // reduction features, but at least one.
      slope: slope of the leaky ReLU; RCAN's own is 0.
      compute: see ``networks.compute``.
    """

    reduction: int = 16
    slope: float = 0.2
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array, region: Region | None = None) -> jax.Array:
        channels = x.shape[-1]
        gate = self._mean(x, region)
        gate = conv(max(channels // self.reduction, 1), 1, compute=self.compute, name="squeeze")(gate)
        gate = lrelu(gate, self.slope)
        gate = nn.sigmoid(conv(channels, 1, compute=self.compute, name="excite")(gate).astype(jnp.float32))
        return (x * gate).astype(x.dtype)

    def _mean(self, x: jax.Array, region: Region | None) -> jax.Array:
        """Return the mean in the collection ``means``, or else the mean of x. Write the latter there if mutable."""
        own = mean(x, region)
        given: jax.Array | None = self.get_variable("means", "of_image")
        if self.is_mutable_collection("means") and not self.is_initializing():
            self.put_variable("means", "of_image", own[:1].astype(jnp.float32))
        return own if given is None else jnp.broadcast_to(given.astype(x.dtype), own.shape)


def interpolation_skip(
    lr: jax.Array, scale: int, kind: typing.Literal["none", "nearest", "bicubic"], region: Region | None = None
) -> jax.Array | float:
    """Return the interpolated image [B, s·H, s·W, 3] that a Restorer adds to its output, or 0 for ``none``."""
    if kind == "none":
        return 0.0
    if kind == "nearest":
        return upsample_nearest(lr, scale)
    return imresize(lr, scale, valid_size=valid_size(region))


class ConvTranspose(Parametric):
    """PyTorch's transposed convolution, computed as one ordinary convolution per output phase (stride² phases).

    The result equals that of ``flax.linen.ConvTranspose`` with the same parameters, but no input is dilated. On CPU,
    the gradient of a convolution with a dilated input is over ten times slower (``benchmarks/README.md``).

    Attributes:
      features: output channels.
      size, padding, stride: as in PyTorch, equal on both axes, with size = stride + 2 · padding. The output is
        ``stride`` times as large as the input.
      bias: add a bias.
      kernel_init: initialiser of the weights.
      compute: see ``networks.compute``.
    """

    features: int
    size: int
    padding: int
    stride: int
    bias: bool = True
    kernel_init: nn.initializers.Initializer = torch_uniform
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array, region: Region | None = None) -> jax.Array:
        """Map [B, H, W, C] to [B, stride·H, stride·W, features]. The region refers to the result."""
        if self.size != self.stride + 2 * self.padding:
            raise ValueError(f"size {self.size} is not stride {self.stride} + 2 * padding {self.padding}")
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        taps, before, after = _phase_taps(self.size, self.padding, self.stride)
        by_phase = jnp.einsum("yrk,xqj,kjio->yxiorq", taps, taps, kernel)
        by_phase = by_phase.reshape(len(taps), len(taps), x.shape[-1], -1)
        y = self.compute.convolve(x, by_phase.astype(x.dtype), ((before, after),) * 2)
        y = pixel_shuffle(y, self.stride)
        if not self.bias:
            return mask_outside(y, region)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32).reshape(1, 1, 1, -1)
        return mask_outside((y + bias).astype(x.dtype), region)


def _phase_taps(size: int, padding: int, stride: int) -> tuple[np.ndarray, int, int]:
    """Return the pairs of weight and input that make each output of a transposed convolution, along one axis.

    Output s·m + r, for stride s, is Σ weight[j] · x[m + d] over all j and d with s·d = r + j − (size − 1 − padding).

    Returns:
      Zeros and ones [D, s, size] over d − d_min, r and j, and the numbers of zeros before and after the input.
    """
    first = size - 1 - padding
    pairs = [(r + j - first, r, j) for r in range(stride) for j in range(size) if (r + j - first) % stride == 0]
    low, high = (extreme(distance for distance, _, _ in pairs) // stride for extreme in (min, max))
    taps = np.zeros((high - low + 1, stride, size), np.float32)
    for distance, r, j in pairs:
        taps[distance // stride - low, r, j] = 1
    return taps, -low, high
