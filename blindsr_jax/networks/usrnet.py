"""USRNet: deep unfolding network for non-blind super-resolution (Zhang et al., CVPR 2020)."""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradations.kernels import dirac
from blindsr_jax.errors import DataError
from blindsr_jax.networks.compute import Compute
from blindsr_jax.networks.layers import conv
from blindsr_jax.networks.network import Network
from blindsr_jax.networks.parameters import torch_uniform
from blindsr_jax.networks.resunet import ResUNet, with_level
from blindsr_jax.networks.unfolded import unfold
from blindsr_jax.ops.fft import data_solution
from blindsr_jax.ops.resize import upsample_nearest
from blindsr_jax.types import Degraded, Estimate, SROutput, Trace


class HyPaNet(nn.Module):
    """Computes the weights of all steps from noise level and scale: softplus of an MLP, plus 1e-6 (section 3.3).

    Before training the weights increase with the noise level, from about 0.01 without noise to 0.7 at 0.1. This
    initialisation is ours: noise levels are small numbers, and training from random weights learns slowly to use them.

    Attributes:
      iterations: n.
      features: channels of the two hidden layers (h in the paper).
      compute: see ``networks.compute``.
    """

    iterations: int
    features: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, sigma: jax.Array, scale: int) -> tuple[jax.Array, jax.Array]:
        """Map sigma [B] to alpha [n, B] for the data steps and beta [n, B] for the priors."""
        x = jnp.stack([sigma, jnp.full_like(sigma, scale)], axis=-1)[:, None, None, :]
        layer = functools.partial(conv, kernel=1, compute=self.compute)
        x = nn.relu(layer(self.features, kernel_init=_noise_level_init, name="fc1")(x))
        x = nn.relu(layer(self.features, kernel_init=_noise_level_init, name="fc2")(x))
        last = layer(2 * self.iterations, kernel_init=_noise_level_output_init, initial_bias=-5.0, name="fc3")
        x = nn.softplus(last(x)) + 1e-6
        alpha, beta = jnp.split(x[:, 0, 0, :].T, 2)
        return alpha, beta


def _noise_level_init(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    """Random weights, except that output channel 0 is four times input channel 0 (the noise level in layer 1)."""
    return torch_uniform(key, shape, dtype).at[..., 0].set(0).at[..., 0, 0].set(4)


def _noise_level_output_init(key: jax.Array, shape: tuple[int, ...], dtype: typing.Any = jnp.float32) -> jax.Array:
    """Random weights, except that input channel 0 contributes to every output channel with weight three."""
    return torch_uniform(key, shape, dtype).at[..., 0, :].set(3)


class USRNet(Network):
    """Alternates the exact data step and one learned prior n times, for given blur kernel, scale and noise level.

    One set of weights serves all scales. LR images must match the training data: circular blur, then the upper-left
    pixel of each s×s block.

    Attributes:
      iterations: n.
      hyper_features: h, the channels inside ``HyPaNet``.
      features, blocks: fields of the prior, see ``ResUNet``.
    """

    iterations: int = 8
    hyper_features: int = 64
    features: tuple[int, ...] = (64, 128, 256, 512)
    blocks: int = 2
    scales: typing.ClassVar[tuple[int, ...]] = (1, 2, 3, 4)
    validation_scales: typing.ClassVar[tuple[int, ...]] = (2, 3, 4)
    supervision: typing.ClassVar[str] = "image"
    blind: typing.ClassVar[bool] = False
    trained_with: typing.ClassVar[tuple[str, ...]] = ("kernel", "sigma", "scale")
    estimates_kernel: typing.ClassVar[bool] = False
    made_for: typing.ClassVar[typing.Mapping[str, str]] = {
        "kernel": "pool",
        "downsample": "s_fold",
        "blur_mode": "circular",
    }

    def setup(self) -> None:
        self.hyper = HyPaNet(self.iterations, self.hyper_features, self.compute)
        self.prior = ResUNet(self.features, self.blocks, compute=self.compute)

    def example(self) -> dict[str, typing.Any]:
        """Return arguments of a call that creates the parameters."""
        return {"lr": jnp.zeros((1, 8, 8, 3), jnp.float32), "kernel": dirac(3)[None], "scale": 1, "sigma": 0.0}

    def __call__(
        self,
        lr: jax.Array,
        *,
        kernel: jax.Array,
        scale: int,
        sigma: jax.Array | float = 0.0,
        iterations: int | None = None,
        trace: bool = False,
    ) -> SROutput:
        """Restore a batch.

        Args:
          lr: [B, H, W, 3] in [0, 1].
          kernel: [B, K, K], or [1, K, K] shared by all images; a correlation kernel summing to one, with odd K.
          scale: s, 1 to 4; static.
          sigma: standard deviation of the noise in [0, 1]; a number, or [B].
          iterations: number of steps T. If T differs from n, the schedule of n steps is interpolated to T steps.
          trace: also return the image of every step.

        Returns:
          SROutput with the given kernel.

        Raises:
          DataError: the scale is not one of ``scales``.
          ValueError: the kernel has another shape or is larger than the restored image.
        """
        if scale not in self.scales:
            raise DataError(f"USRNet restores at scales {', '.join(map(str, self.scales))}, not {scale}")
        batch = lr.shape[0]
        kernel = jnp.broadcast_to(kernel, (batch, *kernel.shape[1:]))
        sigma = jnp.broadcast_to(jnp.asarray(sigma, lr.dtype), (batch,))
        count = iterations or self.iterations
        schedule = tuple(_interpolated_schedule(values, count) for values in self.hyper(sigma, scale))
        start = (upsample_nearest(lr, scale), kernel)
        if self.is_initializing():
            (sr, _), steps = self.step(start, lr, *(values[0] for values in schedule)), None
        else:
            (sr, _), steps = unfold(self, start, lr, count, keep=trace, schedule=schedule)
        return SROutput(sr=sr, kernel=kernel, trace=Trace(sr=steps.sr) if trace else None)

    def training_steps(
        self, lr: jax.Array, *, kernel: jax.Array, scale: int, sigma: jax.Array, gradient: str = "last"
    ) -> list[Estimate]:
        """Return the last step, the only supervised one (section 4.1), with the gradient through all n steps.

        The steps are unrolled, as in ``Unfolded.training_steps``, because XLA's CPU gradient of a convolution inside a
        loop is over twenty times slower.

        Args:
          lr, kernel, scale: see ``__call__``.
          sigma: [B].
          gradient: ignored.
        """
        state = (upsample_nearest(lr, scale), kernel)
        alpha, beta = self.hyper(sigma, scale)
        for i in range(self.iterations):
            state = self.step(state, lr, alpha[i], beta[i])
        return [self.estimate_of(state)]

    def targets(self, hr: jax.Array, degraded: Degraded) -> Estimate:
        """Return the true image."""
        return Estimate(sr=hr)

    def step(
        self, state: tuple[jax.Array, jax.Array], lr: jax.Array, alpha: jax.Array, beta: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Compute the next (image, kernel): the data step with weight alpha [B], then the prior at level beta [B]."""
        x, kernel = state
        z = data_solution(x, lr, kernel, alpha, x.shape[1] // lr.shape[1])
        return self.prior(with_level(z, beta)), kernel

    def estimate_of(self, state: tuple[jax.Array, jax.Array]) -> Estimate:
        """Return the image of a state."""
        return Estimate(sr=state[0])


def _interpolated_schedule(values: jax.Array, count: int) -> jax.Array:
    """Interpolate a schedule [n, ...] of positive values to ``count`` steps in the logarithm, keeping its ends."""
    length = values.shape[0]
    if count == length:
        return values
    place = np.linspace(length - 1, 0, count)[::-1]  # a single step gets the last value
    lower, upper = np.floor(place).astype(int), np.ceil(place).astype(int)
    weight = jnp.asarray(place - lower, values.dtype).reshape(-1, *[1] * (values.ndim - 1))
    return jnp.exp((1 - weight) * jnp.log(values[lower]) + weight * jnp.log(values[upper]))
